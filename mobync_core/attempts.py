"""Load, merge and commit, again until no other writer came between."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mobync_core.diffs import DiffReader, Edit, Refusal
from mobync_core.errors import ConflictError, RecordRejected, ServerBusy, StorageUnavailable
from mobync_core.fold import edits_of
from mobync_core.limits import Limits, identifier_fault
from mobync_core.merge import Batch, Merged, Verdict, merge
from mobync_core.records import record_of
from mobync_core.storage import Commit, Key, Outside, Record, Snapshot, Storage

logger = logging.getLogger("mobync")

NOTHING = 2**62
"""A `since` that no clock reaches."""

_PATIENCE = 10.0  # seconds
_FOLDING = 0.5
"""Seconds for which a load takes in the same rows again and again; who writes without end must not keep it for ever."""

_SINGLE = 8
"""How many bad diffs of a record are found one by one."""

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

    def __init__(self, storage: Storage, reader: DiffReader, limits: Limits, now: Callable[[], int]) -> None:
        self._storage = storage
        self._reader = reader
        self._limits = limits
        self._now = now

    def load(
        self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None, turn: Turn | None = None
    ) -> Snapshot:
        """Read what an owner held at one moment, with all in it that the application wrote past Mobync before."""
        turn = turn or Turn()
        began = time.monotonic()
        folded: set[Key] = set()
        while True:
            snapshot = self._load(owner, since, keys, limit, turn)
            outside = {written.key for written in snapshot.outside}
            patience = _FOLDING if outside <= folded else _PATIENCE
            if not outside or time.monotonic() - began > patience:
                return snapshot
            self._fold(owner, snapshot.outside, turn)
            folded |= outside

    def _load(self, owner: str, since: int, keys: Collection[Key], limit: int | None, turn: Turn) -> Snapshot:
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

    def _fold(self, owner: str, outside: Sequence[Outside], turn: Turn) -> None:
        """Bring what the application wrote past Mobync into the records; a conflict leaves it for the next load."""
        keys = {written.key for written in outside}
        nameable = [key for key in keys if self._reader.key_fault(*key) is None]
        snapshot = self._load(owner, NOTHING, nameable, None, turn)
        # The rows are read again: what was read before may be older than the records, and would undo what they have.
        outside = [written for written in snapshot.outside if written.key in keys]
        if not outside:
            return
        edits = edits_of(snapshot, [written for written in outside if not self._untellable(owner, written)])
        merged = merge(snapshot, Batch(snapshot.clock, edits, in_order=True), now=self._now())
        records = [record_of(entry) for entry in merged.changed]
        for key, refusal in too_large(records, self._limits).items():
            _warn(owner, key, refusal.reason)
            records = [record for record in records if record.key != key]
        commit = Commit(
            expected=snapshot.clock,
            clock=merged.clock if records else snapshot.clock,
            epoch=snapshot.epoch or uuid.uuid4().hex,
            purged=snapshot.purged,
            put=records,
            folded=[mark for written in outside for mark in written.marks],
        )
        try:
            self._storage.commit(owner, commit)
        except ConflictError as conflict:
            turn.wait(conflict)
        except StorageUnavailable as error:
            raise ServerBusy(f"the storage is out of reach: {error}") from error

    def _untellable(self, owner: str, written: Outside) -> bool:
        fault = self._reader.key_fault(*written.key) or self._reader.fields_fault(written.fields or {})
        if fault:
            _warn(owner, written.key, fault)
        return fault is not None

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
        refusals = _Refusals()
        done: Batch | None = None  # it is committed, and to be answered
        verdicts: list[Verdict] = []
        turn = Turn()
        while True:
            snapshot = self.load(owner, since=since, keys=storable, limit=limit, turn=turn)
            batch = done or refusals.applied_to(batch_for(snapshot))
            merged = merge(snapshot, batch, now=self._now())
            if merged.clock == snapshot.clock:
                merged.verdicts = verdicts or merged.verdicts
                return Written(snapshot, merged, snapshot.epoch)
            records = [record_of(entry) for entry in merged.changed]
            if large := too_large(records, self._limits):
                refusals.add(batch, large, {})
                continue
            epoch = snapshot.epoch or uuid.uuid4().hex
            try:
                corrected = self._storage.commit(
                    owner,
                    Commit(
                        expected=snapshot.clock, clock=merged.clock, epoch=epoch, purged=snapshot.purged, put=records
                    ),
                )
            except ConflictError as conflict:
                turn.wait(conflict)
            except RecordRejected as rejection:
                reasons = {key: Refusal("invalid_data", why) for key, why in rejection.reasons.items()}
                if not refusals.add(batch, reasons, rejection.fields):  # nothing of the batch is left to refuse
                    raise
            except StorageUnavailable as error:
                raise ServerBusy(f"the storage is out of reach: {error}") from error
            else:
                done, verdicts = batch, verdicts or merged.verdicts
                if not corrected:
                    merged.verdicts = verdicts
                    return Written(snapshot, merged, epoch)
                # What the store made of the records comes outside at the next load. To answer with that is to answer
                # the same request again, which changes nothing.


class _Refusals:
    """The diffs of a batch that the store or the limits refuse, and why."""

    def __init__(self) -> None:
        self._by_id: dict[str, Refusal] = {}
        self._times: Counter[Key] = Counter()

    def applied_to(self, batch: Batch) -> Batch:
        """Return the batch with these diffs refused."""
        if not self._by_id:
            return batch
        edits = [
            msgspec.structs.replace(edit, refusal=self._by_id[edit.id])
            if edit.refusal is None and edit.id in self._by_id
            else edit
            for edit in batch.edits
        ]
        return msgspec.structs.replace(batch, edits=edits)

    def add(self, batch: Batch, reasons: Mapping[Key, Refusal], fields: Mapping[Key, Collection[str]]) -> bool:
        """Refuse some diffs of each record in `reasons`. Return False if none is left.

        The last that sets one of the `fields` at fault, or the last at all; then the one before, as what came earlier
        may be good; but after some such tries twice as many each time, as to try each of thousands would take for ever.
        """
        open_edits: dict[Key, list[Edit]] = {}
        for edit in batch.edits:
            if edit.key is not None and edit.key in reasons and edit.refusal is None and not edit.is_echo:
                open_edits.setdefault(edit.key, []).append(edit)
        for key, edits in open_edits.items():
            at_fault = [edit for edit in edits if not edit.fields.keys().isdisjoint(fields.get(key, ()))]
            for edit in (at_fault or edits)[-(2 ** max(0, self._times[key] - _SINGLE)) :]:
                self._by_id[edit.id] = reasons[key]
            self._times[key] += 1
        return bool(open_edits)


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


def _warn(owner: str, key: Key, fault: str) -> None:
    logger.warning("the row %s/%s of owner %r is kept from its devices: %s", *key, owner, fault)


def _is_torn(snapshot: Snapshot) -> bool:
    """Say whether a commit fell between the reads of a store that has no snapshots."""
    latest = snapshot.changed[-1].clock if snapshot.changed else -1
    return max(latest, *(record.clock for record in snapshot.named), -1) >= snapshot.clock
