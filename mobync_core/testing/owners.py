"""The names of the owners that tests work on in a store that may hold others."""

from __future__ import annotations

import uuid

import pytest

RUN = pytest.StashKey[str]()
"""With what all of a run's owners begin, if whoever runs it wants to find them."""


def owners_prefix(config: pytest.Config) -> str:
    """With what the owners of one test begin; no two tests have the same."""
    run = config.stash.get(RUN, "~mobync")
    return f"{run}-{uuid.uuid4().hex[:12]}/"
