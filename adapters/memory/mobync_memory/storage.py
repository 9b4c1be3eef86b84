"""The storage itself: per owner two sorted maps, under one lock."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sortedcontainers import SortedDict  # type: ignore[import-untyped]

from mobync_core.checks import check_commit
from mobync_core.errors import ConflictError, StorageClosed
from mobync_core.storage import Commit, Key, Note, Record, Snapshot


@dataclass(slots=True)
class _Owner:
    """What one owner has. `by_clock` maps (clock, model, id), `notes` maps (kind, key)."""

    clock: int = 0
    epoch: str = ""
    purged: int = -1
    records: dict[Key, Record] = field(default_factory=dict)
    by_clock: Any = field(default_factory=SortedDict)
    notes: Any = field(default_factory=SortedDict)

    def apply(self, commit: Commit) -> None:
        self.clock, self.epoch, self.purged = commit.clock, commit.renew or commit.epoch, commit.purged
        for key in commit.remove:
            self._drop(key)
        for record in commit.put:
            self._drop(record.key)
            self.records[record.key] = record
            self.by_clock[record.clock, record.model, record.id] = record
        for kind_and_key in commit.forget:
            self.notes.pop(tuple(kind_and_key), None)
        for note in commit.notes:
            self.notes[note.kind, note.key] = note

    def _drop(self, key: Key) -> None:
        old = self.records.pop(key, None)
        if old is not None:
            del self.by_clock[old.clock, old.model, old.id]


class MemoryStorage:
    """A storage that ends with the process: for tests, examples and trials.

    It may be shared by threads. See `mobync_core.storage.Storage` for its calls.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[str, _Owner] = {}
        self._closed = False

    def __repr__(self) -> str:
        return "MemoryStorage()"

    def setup(self) -> None:
        """Do nothing: there is no layout to make."""
        with self._lock:
            self._check_open()

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        with self._lock:
            self._check_open()
            held = self._owners.get(owner)
            if held is None:
                return Snapshot(clock=0, epoch="", purged=-1, changed=())
            positions = islice(held.by_clock.irange((since,)), limit)
            return Snapshot(
                clock=held.clock,
                epoch=held.epoch,
                purged=held.purged,
                changed=tuple(held.by_clock[position] for position in positions),
                named=tuple(held.records[key] for key in set(keys) if key in held.records),
            )

    def commit(self, owner: str, commit: Commit) -> None:
        check_commit(owner, commit)  # all that can fail comes before the first change
        with self._lock:
            self._check_open()
            held = self._owners.get(owner) or _Owner(epoch=commit.epoch)
            if (held.clock, held.epoch) != (commit.expected, commit.epoch):
                raise ConflictError(f"the owner's clock is {held.clock}, not {commit.expected}, or its epoch differs")
            self._owners[owner] = held
            held.apply(commit)

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        # Code points order as UTF-8 bytes do, so strings need no encoding to be compared.
        found: list[Note] = []
        with self._lock:
            self._check_open()
            if held := self._owners.get(owner):
                for position in held.notes.irange((kind, max(prefix, after))):
                    if position[0] != kind or not position[1].startswith(prefix) or len(found) == limit:
                        break
                    if position[1] > after:
                        found.append(held.notes[position])
        return iter(found)

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        with self._lock:
            self._check_open()
            return iter([owner for owner in self._owners if owner.startswith(prefix)])

    def erase(self, owner: str) -> None:
        with self._lock:
            self._check_open()
            self._owners.pop(owner, None)

    def close(self) -> None:
        """Forget everything. Calls after it raise `StorageClosed`."""
        with self._lock:
            self._closed = True
            self._owners.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageClosed("the storage is closed")
