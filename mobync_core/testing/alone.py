"""A storage as one finds it who writes alone."""

from __future__ import annotations

from collections.abc import Collection

from mobync_core.errors import ConflictError
from mobync_core.storage import Commit, Key, Snapshot, Storage


class Alone:
    """A storage to which nobody else writes: so what an engine would wait out and try again is a fault."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self.setup, self.notes, self.owners = storage.setup, storage.notes, storage.owners
        self.erase, self.close = storage.erase, storage.close

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self._storage.load(owner, since=since, keys=keys, limit=limit)
        for one in (*held.changed, *held.named):
            assert one.clock < held.clock, (
                f"a load gave the owner's clock {held.clock} and a record of clock {one.clock}"
            )
        return held

    def commit(self, owner: str, commit: Commit) -> None:
        try:
            self._storage.commit(owner, commit)
        except ConflictError as error:
            raise AssertionError(f"a commit conflicted ({error}), though nobody came between") from error
