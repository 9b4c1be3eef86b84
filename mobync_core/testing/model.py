"""The storage contract in its plainest form: what the random histories compare a storage with."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from mobync_core.checks import check_commit
from mobync_core.errors import ConflictError
from mobync_core.storage import Commit, Key, Note, Record, Snapshot


@dataclass
class _Owner:
    clock: int = 0
    epoch: str = ""
    purged: int = -1
    records: dict[Key, Record] = field(default_factory=dict)
    notes: dict[tuple[str, str], Note] = field(default_factory=dict)


class ModelStorage:
    """Dictionaries of one thread. Slow, and plain enough to be read as the contract's meaning."""

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}

    def setup(self) -> None:
        pass

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self._owners.get(owner, _Owner())
        changed = sorted((one for one in held.records.values() if one.clock >= since), key=attrgetter("clock"))
        named = [held.records[key] for key in dict.fromkeys(keys) if key in held.records]
        return Snapshot(held.clock, held.epoch, held.purged, changed[:limit], named)

    def commit(self, owner: str, commit: Commit) -> None:
        check_commit(owner, commit)
        held = self._owners.get(owner) or _Owner(epoch=commit.epoch)
        if (held.clock, held.epoch) != (commit.expected, commit.epoch):
            raise ConflictError("the owner's clock or epoch is another")
        held.clock, held.epoch, held.purged = commit.clock, commit.renew or commit.epoch, commit.purged
        for key in commit.remove:
            held.records.pop(key, None)
        held.records |= {record.key: record for record in commit.put}
        for name in commit.forget:
            held.notes.pop(name, None)
        held.notes |= {(note.kind, note.key): note for note in commit.notes}
        self._owners[owner] = held

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        found = [
            note
            for note in self._owners.get(owner, _Owner()).notes.values()
            if note.kind == kind and note.key.startswith(prefix) and note.key.encode() > after.encode()
        ]
        return iter(sorted(found, key=lambda note: note.key.encode())[:limit])

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        return iter([owner for owner in self._owners if owner.startswith(prefix)])

    def erase(self, owner: str) -> None:
        self._owners.pop(owner, None)

    def close(self) -> None:
        pass
