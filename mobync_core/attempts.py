"""Load, merge and commit, again until no other writer came between."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from mobync_core.diffs import Refusal
from mobync_core.errors import ConflictError, RecordRejected, ServerBusy, StorageUnavailable
from mobync_core.limits import Limits, identifier_fault
from mobync_core.merge import Batch, Merged, merge
from mobync_core.records import record_of
from mobync_core.storage import Commit, Key, Record, Snapshot, Storage

_PATIENCE = 10.0  # seconds
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.1  # seconds


@dataclass(frozen=True, slots=True)
class Written:
    """What one successful attempt read and wrote. `epoch` is the owner's after it, "" for one never seen."""

    snapshot: Snapshot
    merged: Merged
    epoch: str


class Attempts:
    """Reads and writes the owners of a storage, waiting its turn where other writers come between.

    `ServerBusy` is raised when that takes longer than ten seconds, and when the storage is out of reach.
    """

    def __init__(self, storage: Storage, limits: Limits, now: Callable[[], int]) -> None:
        self._storage = storage
        self._limits = limits
        self._now = now

    def load(
        self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None, turn: Turn | None = None
    ) -> Snapshot:
        """Read what an owner held at one moment."""
        turn = turn or Turn()
        while True:
            try:
                snapshot = self._storage.load(owner, since=since, keys=keys, limit=limit)
            except StorageUnavailable as error:
                raise ServerBusy(f"the storage is out of reach: {error}") from error
            except ConflictError as conflict:
                turn.wait(conflict)
                continue
            if not _is_torn(snapshot):
                return snapshot
            turn.wait(ConflictError("commits fell between the reads of a load"))

    def write(
        self,
        owner: str,
        keys: Collection[Key],
        batch_for: Callable[[Snapshot], Batch],
        *,
        since: int,
        limit: int | None = None,
        sent: Sequence[Any] = (),
    ) -> Written:
        """Merge a batch about the records `keys` into what the owner holds, and commit what it changes.

        `batch_for` is called with each snapshot that is tried; it returns the batch, or raises to refuse it. The
        snapshot holds the records changed at or after `since`, at most `limit`. `sent` are the diffs as they came, of
        which a storage keeps nothing.
        """
        del sent
        storable = [key for key in keys if identifier_fault(key[0]) is None and identifier_fault(key[1]) is None]
        rejected: dict[Key, Refusal] = {}
        turn = Turn()
        while True:
            snapshot = self.load(owner, since=since, keys=storable, limit=limit, turn=turn)
            merged = merge(snapshot, batch_for(snapshot), now=self._now(), rejected=rejected)
            if merged.clock == snapshot.clock:
                return Written(snapshot, merged, snapshot.epoch)
            records = [record_of(entry) for entry in merged.changed]
            if large := too_large(records, self._limits):
                rejected |= large
                continue
            epoch = snapshot.epoch or uuid.uuid4().hex
            try:
                self._storage.commit(
                    owner,
                    Commit(
                        expected=snapshot.clock, clock=merged.clock, epoch=epoch, purged=snapshot.purged, put=records
                    ),
                )
            except ConflictError as conflict:
                turn.wait(conflict)
            except RecordRejected as rejection:
                refusals = {key: Refusal("invalid_data", why) for key, why in rejection.reasons.items()}
                if not refusals.keys() - rejected.keys():  # nothing of the batch is left to refuse
                    raise
                rejected |= refusals
            except StorageUnavailable as error:
                raise ServerBusy(f"the storage is out of reach: {error}") from error
            else:
                return Written(snapshot, merged, epoch)


class Turn:
    """How long one request has waited for its turn, and waits next: at random, so that no two keep colliding."""

    def __init__(self) -> None:
        self._deadline = time.monotonic() + _PATIENCE
        self._pause = _FIRST_PAUSE

    def wait(self, cause: ConflictError) -> None:
        """Wait before another try. Raises `ServerBusy` when that has taken too long."""
        if time.monotonic() > self._deadline:
            raise ServerBusy(f"the storage stayed in conflict for {_PATIENCE:.0f} s: {cause}") from cause
        time.sleep(random.uniform(0, self._pause))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)


def too_large(records: Collection[Record], limits: Limits) -> dict[Key, Refusal]:
    """Refuse the records of which more would be kept than `limits` allow."""
    most = limits.record_bytes
    refusal = Refusal("too_large", f"the server would keep more than {most} bytes of this record")
    return {
        record.key: refusal
        for record in records
        if len(record.body) * 4 > most and len(record.body.encode()) > most and not record.deleted
    }


def _is_torn(snapshot: Snapshot) -> bool:
    """Say whether a commit fell between the reads of a store that has no snapshots."""
    latest = snapshot.changed[-1].clock if snapshot.changed else -1
    return max(latest, *(record.clock for record in snapshot.named), -1) >= snapshot.clock
