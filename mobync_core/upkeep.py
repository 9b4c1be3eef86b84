"""What an operator does to a store from time to time: purge old tombstones, and renew epochs after a restore."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from mobync_core.attempts import NOTHING, Attempts, Turn
from mobync_core.errors import ConflictError, ServerBusy, StorageUnavailable
from mobync_core.storage import Commit, Record, Snapshot, Storage

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge removed, or would: `tombstones` of `owners`.

    `newest` is the server's UTC time in ms of the last of these deletes, None if there were none. Who last synced
    before that may hold what was deleted, and must fetch the whole list.
    """

    owners: int = 0
    tombstones: int = 0
    newest: int | None = None

    def plus(self, tombstones: list[Record]) -> Purged:
        """Return this with one more owner's."""
        if not tombstones:
            return self
        newest = max(record.changed_at for record in tombstones)
        return Purged(
            self.owners + 1,
            self.tombstones + len(tombstones),
            newest if self.newest is None else max(self.newest, newest),
        )


class Upkeep:
    """Works on the owners of a storage one after the other, while devices go on syncing."""

    def __init__(self, storage: Storage, attempts: Attempts) -> None:
        self._storage = storage
        self._attempts = attempts

    def purge(self, owner: str, before: int, *, dry_run: bool) -> list[Record]:
        """Remove the owner's tombstones that are older than `before` (ms), and return them.

        A page of them goes with each commit, with the floor that makes it known: so it may be ended at any time.
        """
        gone: list[Record] = []
        since = 0
        while True:
            page: list[Record] = []

            def commit_for(snapshot: Snapshot, page: list[Record] = page) -> Commit | None:
                page[:] = snapshot.changed
                old = _old(page, before)
                if dry_run or not old:
                    return None
                return Commit(
                    expected=snapshot.clock,
                    clock=snapshot.clock + 1,
                    epoch=snapshot.epoch,
                    purged=max(snapshot.purged, old[-1].clock),
                    remove=[record.key for record in old],
                )

            self._change(owner, commit_for, since=since, limit=_PAGE)
            gone += _old(page, before)
            if len(page) < _PAGE:
                return gone
            since = page[-1].clock + 1

    def renew(self, owner: str) -> None:
        """Give the owner another epoch, so that each device finds out that this is not the server that it knew."""

        def commit_for(snapshot: Snapshot) -> Commit | None:
            if not snapshot.epoch:
                return None  # erased meanwhile
            return Commit(
                expected=snapshot.clock,
                clock=snapshot.clock + 1,
                epoch=snapshot.epoch,
                renew=uuid.uuid4().hex,
                purged=snapshot.purged,
            )

        self._change(owner, commit_for, since=NOTHING, limit=1)

    def owners(self, prefix: str) -> list[str]:
        """Return the owners whose name starts so. Raises `ServerBusy`."""
        try:
            return list(self._storage.owners(prefix=prefix))
        except StorageUnavailable as error:
            raise ServerBusy(f"the storage is out of reach: {error}") from error

    def _change(
        self, owner: str, commit_for: Callable[[Snapshot], Commit | None], *, since: int, limit: int | None
    ) -> None:
        turn = Turn()
        while True:
            commit = commit_for(self._attempts.load(owner, since=since, limit=limit, turn=turn))
            if commit is None:
                return
            try:
                self._storage.commit(owner, commit)
            except ConflictError as conflict:
                turn.wait(conflict)
            except StorageUnavailable as error:
                raise ServerBusy(f"the storage is out of reach: {error}") from error
            else:
                return


def _old(records: list[Record], before: int) -> list[Record]:
    return [record for record in records if record.deleted and record.changed_at < before]
