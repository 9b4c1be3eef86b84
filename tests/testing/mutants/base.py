"""What all mutants have in common: a real storage, to which they pass on whatever they do not break."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import ClassVar

from mobync_core import Commit, ConflictError, Note, Snapshot, Storage
from mobync_core.storage import Key

MUTANTS: dict[str, type[Mutant]] = {}
"""Every mutant by its name, which is the second half of its scheme."""


class Mutant:
    """A storage with one fault; its docstring says which.

    Whoever breaks nothing is the control.
    """

    on: ClassVar[str] = "memory"
    """The scheme of the real storage: ``memory``, ``sqlite`` (a file) or ``redis`` (a server)."""

    breaks: ClassVar[str] = ""
    """The promise, as its test is called, that must be reported broken."""

    keeps: ClassVar[str] = ""
    """A promise that it keeps, so that the other must be there to find it."""

    case: ClassVar[str] = ""
    """One of its cases that must fail, if the case names the fault."""

    tells: ClassVar[str] = ""
    """What the report must say of it: a regular expression."""

    at_first: ClassVar[bool] = False
    """Whether only a store that nobody has set up yet shows it. `verify` begins with setting it up."""

    in_histories: ClassVar[bool] = False
    """Whether the random histories must find it too."""

    login: ClassVar[str] = ""
    """What the URL has before its host, if that matters."""

    def __init_subclass__(cls) -> None:
        if not cls.__name__.startswith("_"):
            MUTANTS[re.sub(r"\B(?=[A-Z])", "-", cls.__name__).lower()] = cls

    def __init__(self, real: Storage, url: str) -> None:
        self.real = real
        self.url = url

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.real!r})"

    def setup(self) -> None:
        self.real.setup()

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        return self.real.load(owner, since=since, keys=keys, limit=limit)

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, commit)

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        return self.real.notes(owner, kind, prefix=prefix, after=after, limit=limit)

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        return self.real.owners(prefix=prefix)

    def erase(self, owner: str) -> None:
        self.real.erase(owner)

    def close(self) -> None:
        self.real.close()


class Faultless(Mutant):
    """Nothing: the control, in memory."""


class FaultlessOnDisk(Mutant):
    """Nothing: the control, on a file."""

    on = "sqlite"


class FaultlessOnAServer(Mutant):
    """Nothing: the control, on a server."""

    on = "redis"


def force(storage: Storage, owner: str, commit: Commit) -> None:
    """Write `commit` whatever the owner's clock and epoch are."""
    while True:
        held = storage.load(owner, since=2**53)
        fitting = replace(
            commit,
            expected=held.clock,
            epoch=held.epoch or commit.epoch,
            renew=commit.renew or commit.epoch,
            clock=max(commit.clock, held.clock + 1),
        )
        try:
            storage.commit(owner, fitting)
        except ConflictError:
            continue
        else:
            return
