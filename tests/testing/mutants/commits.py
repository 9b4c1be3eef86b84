"""Faults of `commit`."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from mobync_core import Commit, ConflictError, Snapshot, Storage, StorageError
from mobync_core.storage import Key
from tests.testing.mutants.base import Mutant, force


class LosesTheLast(Mutant):
    """Loses the last record of a batch."""

    breaks = "test_what_was_committed_is_read_back_as_it_was"
    tells = r"^list 'a' at clock 2 is missing$"
    in_histories = True

    def commit(self, owner: str, commit: Commit) -> None:
        kept = commit.put[:-1] if len(commit.put) > 1 else commit.put
        self.real.commit(owner, replace(commit, put=kept))


class CommitsHalf(Mutant):
    """Writes one record after the other, and stops at the one that cannot be written."""

    breaks = "test_a_commit_that_fails_midway_leaves_no_trace"
    tells = r"clock is 101, not 1\n.*'a' at clock 0 is missing\n.*'b1' at clock 2 should not be there"

    def commit(self, owner: str, commit: Commit) -> None:
        try:
            self.real.commit(owner, commit)
        except ConflictError:
            raise
        except StorageError:
            fine = [record for record in commit.put if record.body.isascii()]
            self.real.commit(owner, replace(commit, put=fine, notes=()))
            raise


class IgnoresTheClock(Mutant):
    """Does not compare the clock that a commit expects."""

    breaks = "test_a_commit_on_a_stale_or_future_clock_conflicts_and_leaves_no_trace"
    tells = "expects the clock 4 of an owner whose clock is 5 was done, and raised no ConflictError"

    def commit(self, owner: str, commit: Commit) -> None:
        held = self.real.load(owner, since=2**53)
        if held.epoch in ("", commit.epoch):
            force(self.real, owner, commit)
        else:
            self.real.commit(owner, commit)


class IgnoresTheEpoch(Mutant):
    """Compares the clock alone, which an erased owner may come to again."""

    breaks = "test_what_was_merged_before_an_erasure_conflicts_after_it_whatever_the_clock"
    tells = "a commit of the epoch before the erasure, on the right clock, was done"

    def commit(self, owner: str, commit: Commit) -> None:
        held = self.real.load(owner, since=2**53)
        if held.clock == commit.expected:
            force(self.real, owner, commit)
        else:
            self.real.commit(owner, commit)


class KeepsTheFirstEpoch(Mutant):
    """Tells the epoch that replaced another, and goes on to compare the first."""

    breaks = "test_a_commit_without_records_raises_the_clock_and_replaces_purged_and_epoch"
    keeps = "test_a_commit_of_another_epoch_conflicts_and_leaves_no_trace"
    tells = "a commit of the epoch that was replaced was done"

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self._first: dict[str, str] = {}

    def commit(self, owner: str, commit: Commit) -> None:
        first = self._first.setdefault(owner, commit.epoch)
        held = self.real.load(owner, since=2**53)
        self.real.commit(owner, replace(commit, epoch=held.epoch or first) if commit.epoch == first else commit)


class RemovesWithoutAFloor(Mutant):
    """Forgets how far it was purged where records are removed."""

    breaks = "test_a_removed_record_is_gone_and_others_stay"
    tells = "purged is -1, not 0"
    in_histories = True

    def commit(self, owner: str, commit: Commit) -> None:
        held = self.real.load(owner, since=2**53)
        self.real.commit(owner, replace(commit, purged=held.purged) if commit.remove else commit)


class LetsTheClockGoBack(Mutant):
    """Takes whatever clock a commit brings."""

    breaks = "test_the_clock_never_goes_back_or_stays"
    tells = "a commit that sets the clock from 1 to 0 was done"

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.turned_back: dict[str, int] = {}

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, replace(commit, clock=max(commit.clock, commit.expected + 1)))
        self.turned_back[owner] = commit.clock

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys, limit=limit)
        return replace(held, clock=self.turned_back.get(owner, held.clock))


class KeepsTheEpoch(Mutant):
    """Does not renew the epoch."""

    breaks = "test_a_commit_without_records_raises_the_clock_and_replaces_purged_and_epoch"
    tells = "^epoch is '6b1d0d6e', not 'another'$"

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, replace(commit, renew=""))


class ForgetsTheFloor(Mutant):
    """Does not keep up to where tombstones were purged."""

    breaks = "test_what_was_committed_is_read_back_as_it_was"
    tells = "^purged is -1, not 7$"
    in_histories = True

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, replace(commit, purged=-1))


class KeepsWhatWasRemoved(Mutant):
    """Writes and does not remove, so that what was removed comes back."""

    breaks = "test_a_removed_record_is_gone_and_others_stay"
    tells = "^task 'a' at clock 0 should not be there$"
    in_histories = True

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, replace(commit, remove=()))


class ChecksThenWrites(Mutant):
    """Compares the clock and then writes, with no lock around both."""

    breaks = "test_of_eight_threads_on_one_clock_one_wins_and_the_losers_leave_no_trace"
    tells = "[2-8] of 8 commits that expected one clock were done"

    def commit(self, owner: str, commit: Commit) -> None:
        held = self.real.load(owner, since=2**53)
        if held.clock != commit.expected or held.epoch not in ("", commit.epoch):
            raise ConflictError("the owner's clock or epoch is another")
        time.sleep(0.001)
        force(self.real, owner, commit)


class LocksItsOwnThreadsOnly(Mutant):
    """Compares and writes under a lock that other processes know nothing of."""

    on = "sqlite"
    breaks = "test_of_four_processes_on_one_clock_one_wins_and_the_losers_leave_no_trace"
    tells = "[2-8] of 8 commits that expected one clock were done"
    keeps = "test_of_eight_threads_on_one_clock_one_wins_and_the_losers_leave_no_trace"

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def commit(self, owner: str, commit: Commit) -> None:
        with self.locks[owner]:
            ChecksThenWrites.commit(self, owner, commit)  # type: ignore[arg-type]  # borrowed
