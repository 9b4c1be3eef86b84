"""Short ways to say records and commits."""

from __future__ import annotations

from collections.abc import Sequence

from mobync_core import Commit, ConflictError, Note, Record, Snapshot, Storage
from mobync_core.storage import Key

EPOCH = "6b1d0d6e"


def record(id: str, clock: int, body: str = "{}", *, model: str = "task", deleted: bool = False) -> Record:
    return Record(model, id, clock, deleted, 1_700_000_000_000 + clock, body)


def put(storage: Storage, owner: str, *records: Record, notes: Sequence[Note] = ()) -> None:
    """Commit `records` on top of what the owner has, whatever its clock."""
    held = storage.load(owner, since=2**62)
    clock = max([held.clock, *(record.clock for record in records)]) + 1
    storage.commit(owner, Commit(expected=held.clock, clock=clock, epoch=held.epoch or EPOCH, put=records, notes=notes))


def everything(storage: Storage, owner: str, kinds: Sequence[str] = ("history",)) -> tuple[Snapshot, list[Note]]:
    """All that can be read of an owner, to see that something left no trace."""
    held = storage.load(owner, since=0)
    found = Snapshot(held.clock, held.epoch, held.purged, tuple(held.changed), tuple(held.named))
    return found, [note for kind in kinds for note in storage.notes(owner, kind)]


def named(storage: Storage, owner: str, *keys: Key) -> dict[Key, Record]:
    return {record.key: record for record in storage.load(owner, since=2**62, keys=keys).named}


def wins(storage: Storage, owner: str, commit: Commit) -> bool:
    """Whether `commit` was done; False if it met a conflict."""
    try:
        storage.commit(owner, commit)
    except ConflictError:
        return False
    return True
