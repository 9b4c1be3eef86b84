"""Read the log, merge, and write the tables and the log: what `mobync_core.attempts` is for a storage."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from mobync_core.answer import Answer
from mobync_core.attempts import Turn, Written, too_large
from mobync_core.diffs import Refusal
from mobync_core.errors import ConflictError, RecordRejected, ServerBusy, StorageUnavailable
from mobync_core.limits import Limits
from mobync_core.merge import Batch, merge
from mobync_core.records import record_of
from mobync_core.storage import Key, Snapshot
from mobync_core.synchronizer.interface import Synchronizer
from mobync_core.synchronizer.known import mark_doubtful, refusing, without_echoes
from mobync_core.synchronizer.log import Log, key_of
from mobync_core.synchronizer.retold import retold
from mobync_core.synchronizer.tables import Tables
from mobync_core.synchronizer.taken import taken
from mobync_core.synchronizer.told import told_from_log
from mobync_core.wire import Diff


@dataclass(frozen=True, slots=True)
class Logged(Written):
    """What one successful attempt read and wrote, and the log after it."""

    log: Log

    def told(self, batch: Batch, answer: Answer) -> list[Diff]:
        """Return what to answer: the log's own diffs, where they do."""
        sent = {edit.id for edit in batch.edits}
        return told_from_log(self.log, answer.diffs, base=batch.base, named=self.merged.named, sent=sent)

    def assign(self, diffs: Sequence[Any]) -> None:
        """Write into the caller's dicts the clocks that their diffs have in the log."""
        for diff in diffs:
            if isinstance(diff, dict) and isinstance(name := diff.get("id"), str) and name in self.log.diffs:
                diff["logical_clock"] = self.log.diffs[name].logical_clock


class LogAttempts:
    """Reads and writes the owners of a `Synchronizer`, one at a time of each owner in this process.

    Raises `ServerBusy` when other processes come between for longer than ten seconds, and for a `StorageUnavailable` of
    the `Synchronizer`; what else that raises it leaves as it is.
    """

    def __init__(self, synchronizer: Synchronizer, diffs_model: str, limits: Limits, now: Callable[[], int]) -> None:
        self._synchronizer = synchronizer
        self._tables = Tables(synchronizer, diffs_model)
        self._limits = limits
        self._now = now
        self._turns = _Turns()

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        """Read what an owner's log says. `limit` is not kept: all of it has been read anyhow."""
        del limit
        turn = Turn()
        with self._turns.of(owner):
            while True:
                try:
                    with self._synchronizer.transaction(owner):
                        return self._tables.log(owner).snapshot(since, keys)
                except ConflictError as conflict:
                    turn.wait(conflict)
                except StorageUnavailable as error:
                    raise ServerBusy(f"the storage is out of reach: {error}") from error

    def write(
        self,
        owner: str,
        keys: Collection[Key],
        batch_for: Callable[[Snapshot], Batch],
        *,
        since: int,
        limit: int | None = None,
        sent: Sequence[Any] = (),
    ) -> Logged:
        """Do as `Attempts.write` does. `sent` are the diffs as they came."""
        del limit
        texts = dict(_texts(sent))
        log = Refusal("unauthorized", "nobody writes to the table of diffs but Mobync")
        rejected = {key: log for key in keys if self._tables.is_log(key[0])}
        refused: set[Key] = set()  # by the tables themselves
        turn = Turn()
        with self._turns.of(owner):
            while True:
                try:
                    with self._synchronizer.transaction(owner):
                        return self._attempt(owner, keys, batch_for, since, texts, rejected, refused)
                except ConflictError as conflict:
                    turn.wait(conflict)
                except StorageUnavailable as error:
                    raise ServerBusy(f"the storage is out of reach: {error}") from error
                except RecordRejected as rejection:
                    refusals = {key: Refusal("invalid_data", why) for key, why in rejection.reasons.items()}
                    if not refusals.keys() - rejected.keys():  # nothing of the batch is left to refuse
                        raise
                    rejected |= refusals
                    refused |= refusals.keys()

    def _attempt(
        self,
        owner: str,
        keys: Collection[Key],
        batch_for: Callable[[Snapshot], Batch],
        since: int,
        texts: Mapping[str, str],
        rejected: dict[Key, Refusal],
        refused: Collection[Key],
    ) -> Logged:
        log = self._tables.log(owner)
        snapshot = log.snapshot(since, keys)
        batch = without_echoes(batch_for(snapshot), log)
        while True:
            merged = merge(snapshot, batch, now=self._now(), rejected=rejected)
            if large := too_large([record_of(entry) for entry in merged.changed], self._limits):
                rejected |= large
                continue
            diffs = taken(log, batch, merged, texts)
            if again := {diff.id for diff in diffs if diff.id in log.diffs}:
                batch = refusing(batch, again)
                continue
            break
        mark_doubtful(batch, merged, log)
        before = log.clock
        if diffs and self._tables.strangers(owner, before):
            raise ConflictError("another process has written to the log since it was read")
        for diff in diffs:
            self._tables.write(log, diff)
        for key, named in merged.named.items():
            # Before it was cancelled or refused, a fault may have left it half done.
            if key in refused or any(verdict.result == "cancelled" for _, verdict in named.judged):
                self._tables.restore(log, key)
        ours = {diff.id for diff in diffs}
        if diffs and self._tables.strangers(owner, before, ours):
            self._retell(owner, {key for key in map(key_of, diffs) if key is not None}, before)
            raise ConflictError("another process wrote to the log at the same time")
        # A record whose diffs could not share a clock has moved the later ones on.
        for key, named in merged.named.items():
            named.entry = log.entry(key)
        merged.clock = max(merged.clock, log.clock)
        return Logged(snapshot, merged, log.epoch, log)

    def _retell(self, owner: str, keys: Collection[Key], since: int) -> None:
        """Tell records anew, and make their rows what the log says, until no other process has come between."""
        turn = Turn()
        while True:
            log = self._tables.log(owner)
            diffs = retold(log, keys, since)
            for diff in diffs:
                self._tables.append(diff)
            for key in keys:
                self._tables.restore(log, key)
            if not self._tables.strangers(owner, log.clock, {diff.id for diff in diffs}):
                return
            turn.wait(ConflictError("other processes kept writing to the log at the same time"))


class _Turns:
    """One lock for each owner that somebody waits for or holds."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: WeakValueDictionary[str, _OwnerLock] = WeakValueDictionary()

    @contextmanager
    def of(self, owner: str) -> Iterator[None]:
        with self._guard:
            held = self._locks.get(owner)
            if held is None:
                self._locks[owner] = held = _OwnerLock()
        with held.lock:
            yield


class _OwnerLock:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def _texts(sent: Sequence[Any]) -> Iterator[tuple[str, str]]:
    for diff in sent:
        if isinstance(diff, Diff):
            yield diff.id, diff.json_data
        elif isinstance(diff, Mapping) and isinstance(diff.get("id"), str) and isinstance(diff.get("json_data"), str):
            yield diff["id"], diff["json_data"]
