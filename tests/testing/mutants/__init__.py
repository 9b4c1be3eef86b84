"""Storages that are broken on purpose: the conformance suite must find each of them, by a promise that names its fault.

Each wraps a real storage and is opened by a URL of its own, as a stranger's adapter is: ``mutant+loses-the-last://``.
"""

from __future__ import annotations

from tests.testing.mutants import commits, life, loads, names, notes, servers
from tests.testing.mutants.base import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "commits", "life", "loads", "names", "notes", "servers"]
