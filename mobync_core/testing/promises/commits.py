"""A commit is done whole, on the clock and epoch that it expects, or leaves no trace."""

from __future__ import annotations

import pytest

from mobync_core.errors import ConflictError, StorageError
from mobync_core.storage import Commit, Note, Record, Snapshot, Storage
from mobync_core.testing.examples import EPOCH, changed, everything, head, named, put, record, refused


class Commits:
    """Commits are whole."""

    def test_an_owner_never_seen_is_empty_at_clock_0(self, storage: Storage, owner: str) -> None:
        held = storage.load(owner, since=0, keys=[("task", "a")])
        assert head(held) == Snapshot(0, "", -1, ())
        assert list(held.changed) == []
        assert list(held.named) == []

    def test_what_was_committed_is_read_back_as_it_was(self, storage: Storage, owner: str) -> None:
        records = [record("a", 0, '{"x": 1.50}'), record("b", 1, deleted=True), record("a", 2, "{}", model="list")]
        storage.commit(owner, Commit(expected=0, clock=3, epoch=EPOCH, purged=7, put=records))
        held = storage.load(owner, since=0)
        assert head(held) == Snapshot(3, EPOCH, 7, ())
        assert list(held.changed) == records
        assert all(type(found.deleted) is bool for found in held.changed)

    def test_a_commit_without_records_raises_the_clock_and_replaces_purged_and_epoch(
        self, storage: Storage, owner: str
    ) -> None:
        put(storage, owner, record("a", 0))
        storage.commit(owner, Commit(expected=1, clock=9, epoch=EPOCH, renew="another", purged=4))
        held = storage.load(owner, since=0)
        assert head(held) == Snapshot(9, "another", 4, ())
        assert list(held.changed) == [record("a", 0)]
        with refused("a commit of the epoch that was replaced", ConflictError):
            storage.commit(owner, Commit(expected=9, clock=10, epoch=EPOCH, put=[record("b", 9)]))
        storage.commit(owner, Commit(expected=9, clock=10, epoch="another", purged=4, put=[record("b", 9)]))
        assert changed(storage, owner) == [record("a", 0), record("b", 9)]

    def test_a_record_put_again_replaces_the_old_one_entirely(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0, "old"), record("b", 1))
        new = Record("task", "a", 5, True, 12345, "new")
        put(storage, owner, new)
        assert changed(storage, owner) == [record("b", 1), new]
        assert named(storage, owner, ("task", "a")) == {("task", "a"): new}

    def test_a_tombstone_is_kept_and_told(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), record("b", 1))
        tombstone = record("a", 2, '{"deleted_by": "d"}', deleted=True)
        put(storage, owner, tombstone)
        assert changed(storage, owner) == [record("b", 1), tombstone]
        assert named(storage, owner, ("task", "a")) == {("task", "a"): tombstone}

    def test_a_removed_record_is_gone_and_others_stay(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), record("a", 1, model="list"), record("b", 2))
        keys = [("task", "a"), ("task", "never there")]
        storage.commit(owner, Commit(expected=3, clock=4, epoch=EPOCH, purged=0, remove=keys))
        held = storage.load(owner, since=0)
        assert head(held) == Snapshot(4, EPOCH, 0, ())
        assert list(held.changed) == [record("a", 1, model="list"), record("b", 2)]
        assert named(storage, owner, ("task", "a")) == {}

    def test_a_removed_record_may_come_again(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0, "old"))
        storage.commit(owner, Commit(expected=1, clock=2, epoch=EPOCH, remove=[("task", "a")]))
        put(storage, owner, record("a", 2, "new"))
        assert changed(storage, owner) == [record("a", 2, "new")]

    def test_one_commit_may_put_remove_note_and_forget(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), notes=[Note("history", "1", "old"), Note("parked", "1", "x")])
        storage.commit(
            owner,
            Commit(
                expected=1,
                clock=3,
                epoch=EPOCH,
                put=[record("b", 2)],
                remove=[("task", "a")],
                notes=[Note("history", "2", "new")],
                forget=[("history", "1"), ("history", "never there")],
            ),
        )
        snapshot, notes = everything(storage, owner)
        assert list(snapshot.changed) == [record("b", 2)]
        assert notes == [Note("history", "2", "new"), Note("parked", "1", "x")]

    @pytest.mark.parametrize("expected", [1, 4, 6, 10**9])
    def test_a_commit_on_a_stale_or_future_clock_conflicts_and_leaves_no_trace(
        self, storage: Storage, owner: str, expected: int
    ) -> None:
        put(storage, owner, record("a", 4), notes=[Note("history", "1", "n")])
        before = everything(storage, owner)
        with refused(f"a commit that expects the clock {expected} of an owner whose clock is 5", ConflictError):
            storage.commit(owner, intruder(expected))
        assert everything(storage, owner) == before

    def test_a_commit_of_another_epoch_conflicts_and_leaves_no_trace(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 4), notes=[Note("history", "1", "n")])
        before = everything(storage, owner)
        with refused("a commit of another epoch, on the right clock,", ConflictError):
            storage.commit(owner, intruder(5, epoch="another"))
        assert everything(storage, owner) == before

    def test_a_first_commit_conflicts_if_the_owner_is_there(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0))
        before = everything(storage, owner)
        with refused("a first commit of an owner who was there", ConflictError):
            storage.commit(owner, Commit(expected=0, clock=5, epoch=EPOCH, put=[record("b", 4)]))
        assert everything(storage, owner) == before

    def test_a_later_commit_conflicts_if_the_owner_is_not_there(
        self, storage: Storage, owner: str, prefix: str
    ) -> None:
        with refused("a commit that expects the clock 1 of an owner never seen", ConflictError):
            storage.commit(owner, Commit(expected=1, clock=2, epoch=EPOCH, put=[record("a", 1)]))
        assert storage.load(owner, since=0).clock == 0
        assert list(storage.owners(prefix=prefix)) == []

    def test_the_clock_never_goes_back_or_stays(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0))
        for clock in (0, 1):
            with refused(f"a commit that sets the clock from 1 to {clock}", StorageError):
                storage.commit(owner, Commit(expected=1, clock=clock, epoch=EPOCH, put=[record("b", 1)]))
        assert everything(storage, owner)[0].clock == 1
        assert changed(storage, owner) == [record("a", 0)]

    @pytest.mark.parametrize("at", [0, 50, 99])
    def test_a_commit_that_fails_midway_leaves_no_trace(self, storage: Storage, owner: str, at: int) -> None:
        put(storage, owner, record("a", 0), notes=[Note("history", "1", "n")])
        before = everything(storage, owner)
        records = [record(f"b{i}", 1 + i) for i in range(100)]
        records[at] = record("b", 1 + at, "a lone surrogate: \ud800")
        commit = Commit(
            expected=1, clock=101, epoch=EPOCH, put=records, remove=[("task", "a")], forget=[("history", "1")]
        )
        with refused("a commit of a text that UTF-8 cannot hold", StorageError):
            storage.commit(owner, commit)
        assert everything(storage, owner) == before
        put(storage, owner, record("b", 1))  # and the storage goes on

    def test_a_commit_whose_last_step_fails_leaves_no_trace(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0))
        before = everything(storage, owner)
        notes = [Note("history", "1", "fine"), Note("history", "2", "a lone surrogate: \udfff")]
        with refused("a commit of a note that UTF-8 cannot hold", StorageError):
            storage.commit(owner, Commit(expected=1, clock=3, epoch=EPOCH, put=[record("b", 1)], notes=notes))
        assert everything(storage, owner) == before

    def test_a_first_commit_that_fails_leaves_no_owner(self, storage: Storage, owner: str, prefix: str) -> None:
        with refused("a commit of the clock 2**64", StorageError):
            storage.commit(owner, Commit(expected=0, clock=2**64, epoch=EPOCH, put=[record("a", 0)]))
        assert list(storage.owners(prefix=prefix)) == []
        put(storage, owner, record("a", 0))

    def test_a_commit_of_thousands_is_done_whole(self, storage: Storage, owner: str) -> None:
        first = [record(f"r{i}", i) for i in range(5000)]
        storage.commit(owner, Commit(expected=0, clock=5000, epoch=EPOCH, put=first))
        assert changed(storage, owner) == first
        keys = [found.key for found in first[:4000]]
        second = [record(f"r{i}", 1000 + i, "again") for i in range(4000, 6000)]
        storage.commit(owner, Commit(expected=5000, clock=7000, epoch=EPOCH, put=second, remove=keys))
        assert changed(storage, owner) == second

    def test_commits_of_different_owners_do_not_meet(self, storage: Storage, owner: str, other: str) -> None:
        put(storage, owner, record("a", 0, "ada's"), notes=[Note("history", "1", "ada's")])
        put(storage, other, record("a", 3, "bob's"), notes=[Note("history", "1", "bob's")])
        forgetting = Commit(expected=4, clock=5, epoch=EPOCH, remove=[("task", "a")], forget=[("history", "1")])
        storage.commit(other, forgetting)
        snapshot, notes = everything(storage, owner)
        assert snapshot.clock == 1
        assert list(snapshot.changed) == [record("a", 0, "ada's")]
        assert notes == [Note("history", "1", "ada's")]
        assert storage.load(other, since=0).clock == 5
        assert named(storage, other, ("task", "a")) == {}
        assert named(storage, owner, ("task", "a")) == {("task", "a"): record("a", 0, "ada's")}

    def test_records_of_different_models_do_not_meet(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0, model="task"), record("a", 1, model="list"))
        put(storage, owner, record("a", 2, "new", model="list"))
        assert changed(storage, owner) == [record("a", 0, model="task"), record("a", 2, "new", model="list")]

    def test_clocks_and_times_of_53_bits_are_kept_exactly(self, storage: Storage, owner: str) -> None:
        largest = 2**53 - 1
        new = [Record("task", "a", largest - 2, False, largest, ""), Record("task", "b", largest - 1, False, 1, "")]
        storage.commit(owner, Commit(expected=0, clock=largest, epoch=EPOCH, purged=largest - 3, put=new))
        held = storage.load(owner, since=largest - 1)
        assert (held.clock, held.purged, list(held.changed)) == (largest, largest - 3, new[1:])
        assert changed(storage, owner) == new
        with refused("a commit that expects one clock less", ConflictError):
            storage.commit(owner, Commit(expected=largest - 1, clock=largest + 1, epoch=EPOCH))


class Erasures:
    """Who is erased was never there."""

    def test_an_erased_owner_was_never_there_and_others_stay(
        self, storage: Storage, owner: str, other: str, prefix: str
    ) -> None:
        put(storage, owner, record("a", 0), notes=[Note("history", "1", "n"), Note("parked", "1", "n")])
        put(storage, other, record("a", 0), notes=[Note("history", "1", "n")])
        kept = everything(storage, other)
        storage.erase(owner)
        held, notes = everything(storage, owner)
        assert (held, notes) == (Snapshot(0, "", -1, ()), [])
        assert named(storage, owner, ("task", "a")) == {}
        assert list(storage.owners(prefix=prefix)) == [other]
        assert everything(storage, other) == kept

    def test_to_erase_nobody_is_no_error(self, storage: Storage, owner: str, prefix: str) -> None:
        storage.erase(owner)
        storage.erase(owner)
        assert list(storage.owners(prefix=prefix)) == []

    def test_an_erased_owner_may_come_again_from_clock_0(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), record("b", 1))
        storage.erase(owner)
        with refused("a commit that expects the clock of before the erasure", ConflictError):
            storage.commit(owner, Commit(expected=2, clock=3, epoch=EPOCH))
        storage.commit(owner, Commit(expected=0, clock=1, epoch="new", put=[record("c", 0)]))
        held = storage.load(owner, since=0)
        assert (held.clock, held.epoch, list(held.changed)) == (1, "new", [record("c", 0)])

    def test_what_was_merged_before_an_erasure_conflicts_after_it_whatever_the_clock(
        self, storage: Storage, owner: str
    ) -> None:
        put(storage, owner, record("a", 0), record("b", 1))
        storage.erase(owner)
        storage.commit(owner, Commit(expected=0, clock=2, epoch="new", put=[record("c", 1)]))
        before = everything(storage, owner)
        with refused("a commit of the epoch before the erasure, on the right clock,", ConflictError):
            storage.commit(owner, Commit(expected=2, clock=3, epoch=EPOCH, put=[record("a", 2)]))
        assert everything(storage, owner) == before


def intruder(expected: int, epoch: str = EPOCH) -> Commit:
    """A commit that would change all that an owner has."""
    return Commit(
        expected=expected,
        clock=expected + 1,
        epoch=epoch,
        renew="lost",
        purged=3,
        put=[record("b", expected)],
        remove=[("task", "a")],
        notes=[Note("history", "2", "n")],
        forget=[("history", "1")],
    )
