"""Short ways to say records and commits."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mobync_core.errors import ConflictError, MobyncError
from mobync_core.storage import Commit, Key, Note, Record, Snapshot, Storage

EPOCH = "6b1d0d6e"
KINDS = ("history", "parked")

PATIENCE = 120
"""How many seconds may go by until a commit is done that is tried again and again."""


def record(id: str, clock: int, body: str = "{}", *, model: str = "task", deleted: bool = False) -> Record:
    return Record(model, id, clock, deleted, 1_700_000_000_000 + clock, body)


def put(storage: Storage, owner: str, *records: Record, notes: Sequence[Note] = ()) -> None:
    """Commit `records` on top of what the owner has, whatever its clock."""
    held = storage.load(owner, since=2**53)
    clock = max([held.clock, *(record.clock for record in records)]) + 1
    storage.commit(owner, Commit(expected=held.clock, clock=clock, epoch=held.epoch or EPOCH, put=records, notes=notes))


def wins(storage: Storage, owner: str, commit: Commit) -> bool:
    """Whether `commit` was done; False if it met a conflict."""
    try:
        storage.commit(owner, commit)
    except ConflictError:
        return False
    return True


def tries(what: str) -> Iterator[int]:
    """Count the tries to do `what`. Raises `AssertionError` when that has taken too long."""
    deadline = time.monotonic() + PATIENCE
    for number in itertools.count():
        assert time.monotonic() < deadline, f"{what}: not done within {PATIENCE} s and {number} tries"
        yield number


@contextmanager
def refused(what: str, kind: type[MobyncError]) -> Iterator[None]:
    """Check that `what`, which a storage must refuse, raises an error of this kind."""
    try:
        yield
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{what} raised {error!r}, not {kind.__name__}") from error
    raise AssertionError(f"{what} was done, and raised no {kind.__name__}")


def everything(storage: Storage, owner: str) -> tuple[Snapshot, list[Note]]:
    """All that can be read of an owner, to see that something left no trace."""
    held = storage.load(owner, since=0)
    found = Snapshot(held.clock, held.epoch, held.purged, tuple(held.changed), tuple(held.named))
    return found, [note for kind in KINDS for note in storage.notes(owner, kind)]


def head(snapshot: Snapshot) -> Snapshot:
    """A snapshot without its records."""
    return Snapshot(snapshot.clock, snapshot.epoch, snapshot.purged, ())


def changed(storage: Storage, owner: str, since: int = 0) -> list[Record]:
    return list(storage.load(owner, since=since).changed)


def named(storage: Storage, owner: str, *keys: Key) -> dict[Key, Record]:
    return {record.key: record for record in storage.load(owner, since=2**53, keys=keys).named}
