"""A commit is done whole, on the clock that it expected, or leaves no trace."""

from __future__ import annotations

import pytest

from mobync_core import Commit, ConflictError, Note, Record, Storage, StorageError
from tests.storage.examples import EPOCH, everything, named, put, record

OWNER = "ada"


class TestCommits:
    def test_an_owner_never_seen_is_empty_at_clock_0(self, storage: Storage) -> None:
        held = storage.load(OWNER, since=0, keys=[("task", "a")])
        assert (held.clock, held.epoch, held.purged) == (0, "", -1)
        assert list(held.changed) == []
        assert list(held.named) == []

    def test_what_was_committed_is_read_back_as_it_was(self, storage: Storage) -> None:
        records = [record("a", 0, '{"x": 1.50}'), record("b", 1, deleted=True), record("a", 2, "{}", model="list")]
        storage.commit(OWNER, Commit(expected=0, clock=3, epoch=EPOCH, purged=7, put=records))
        held = storage.load(OWNER, since=0)
        assert (held.clock, held.epoch, held.purged) == (3, EPOCH, 7)
        assert list(held.changed) == records
        assert all(type(found.deleted) is bool for found in held.changed)

    def test_a_commit_without_records_raises_the_clock_and_replaces_epoch_and_floor(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0))
        storage.commit(OWNER, Commit(expected=1, clock=9, epoch=EPOCH, renew="another", purged=4))
        held = storage.load(OWNER, since=0)
        assert (held.clock, held.epoch, held.purged) == (9, "another", 4)
        assert list(held.changed) == [record("a", 0)]

    def test_a_record_put_again_replaces_the_old_one_entirely(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0, "old"), record("b", 1))
        new = Record("task", "a", 5, True, 12345, "new")
        put(storage, OWNER, new)
        assert list(storage.load(OWNER, since=0).changed) == [record("b", 1), new]
        assert named(storage, OWNER, ("task", "a")) == {("task", "a"): new}

    def test_a_removed_record_is_gone_and_others_stay(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), record("a", 1, model="list"), record("b", 2))
        keys = [("task", "a"), ("task", "never there")]
        storage.commit(OWNER, Commit(expected=3, clock=4, epoch=EPOCH, purged=0, remove=keys))
        assert list(storage.load(OWNER, since=0).changed) == [record("a", 1, model="list"), record("b", 2)]
        assert named(storage, OWNER, ("task", "a")) == {}

    def test_one_commit_may_put_remove_note_and_forget(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), notes=[Note("history", "1", "old"), Note("parked", "1", "x")])
        storage.commit(
            OWNER,
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
        snapshot, notes = everything(storage, OWNER, ("history", "parked"))
        assert list(snapshot.changed) == [record("b", 2)]
        assert notes == [Note("history", "2", "new"), Note("parked", "1", "x")]

    @pytest.mark.parametrize("expected", [1, 4, 6, 10**9])
    def test_a_stale_or_future_clock_conflicts_and_leaves_no_trace(self, storage: Storage, expected: int) -> None:
        put(storage, OWNER, record("a", 4), notes=[Note("history", "1", "n")])
        before = everything(storage, OWNER)
        commit = Commit(
            expected=expected,
            clock=expected + 1,
            epoch=EPOCH,
            renew="lost",
            purged=3,
            put=[record("b", expected)],
            remove=[("task", "a")],
            notes=[Note("history", "2", "n")],
            forget=[("history", "1")],
        )
        with pytest.raises(ConflictError):
            storage.commit(OWNER, commit)
        assert everything(storage, OWNER) == before

    def test_a_first_commit_conflicts_if_the_owner_is_there(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0))
        before = everything(storage, OWNER)
        with pytest.raises(ConflictError):
            storage.commit(OWNER, Commit(expected=0, clock=5, epoch=EPOCH, put=[record("b", 4)]))
        assert everything(storage, OWNER) == before

    def test_a_later_commit_conflicts_if_the_owner_is_not_there(self, storage: Storage) -> None:
        with pytest.raises(ConflictError):
            storage.commit(OWNER, Commit(expected=1, clock=2, epoch=EPOCH, put=[record("a", 1)]))
        assert everything(storage, OWNER)[0].clock == 0
        assert list(storage.owners()) == []

    def test_a_commit_that_does_not_raise_the_clock_is_refused(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0))
        for clock in (0, 1):
            with pytest.raises(StorageError):
                storage.commit(OWNER, Commit(expected=1, clock=clock, epoch=EPOCH, put=[record("b", 1)]))
        assert list(storage.load(OWNER, since=0).changed) == [record("a", 0)]

    @pytest.mark.parametrize("at", [0, 50, 99])
    def test_a_commit_that_fails_midway_leaves_no_trace(self, storage: Storage, at: int) -> None:
        put(storage, OWNER, record("a", 0), notes=[Note("history", "1", "n")])
        before = everything(storage, OWNER)
        records = [record(f"b{i}", 1 + i) for i in range(100)]
        records[at] = record("b", 1 + at, "a lone surrogate: \ud800")
        commit = Commit(
            expected=1,
            clock=101,
            epoch=EPOCH,
            renew="lost",
            put=records,
            remove=[("task", "a")],
            forget=[("history", "1")],
        )
        with pytest.raises(StorageError):
            storage.commit(OWNER, commit)
        assert everything(storage, OWNER) == before
        put(storage, OWNER, record("b", 1))  # and the storage goes on

    def test_a_commit_whose_last_step_fails_leaves_no_trace(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0))
        before = everything(storage, OWNER)
        commit = Commit(
            expected=1,
            clock=3,
            epoch=EPOCH,
            renew="lost",
            put=[record("b", 1)],
            notes=[Note("history", "1", "fine"), Note("history", "2", "a lone surrogate: \udfff")],
        )
        with pytest.raises(StorageError):
            storage.commit(OWNER, commit)
        assert everything(storage, OWNER) == before

    def test_a_first_commit_that_fails_leaves_no_owner(self, storage: Storage) -> None:
        with pytest.raises(StorageError):
            storage.commit(OWNER, Commit(expected=0, clock=2**64, epoch=EPOCH, put=[record("a", 0)]))
        assert list(storage.owners()) == []
        put(storage, OWNER, record("a", 0))

    def test_a_commit_of_thousands_is_done_whole(self, storage: Storage) -> None:
        first = [record(f"r{i}", i) for i in range(5000)]
        storage.commit(OWNER, Commit(expected=0, clock=5000, epoch=EPOCH, put=first))
        keys = [found.key for found in first[:4000]]
        second = [record(f"r{i}", 1000 + i, "again") for i in range(4000, 6000)]
        storage.commit(OWNER, Commit(expected=5000, clock=7000, epoch=EPOCH, put=second, remove=keys))
        assert list(storage.load(OWNER, since=0).changed) == second

    def test_commits_in_different_owners_do_not_meet(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0, "ada's"), notes=[Note("history", "1", "ada's")])
        put(storage, "bob", record("a", 3, "bob's"), notes=[Note("history", "1", "bob's")])
        storage.commit(
            "bob", Commit(expected=4, clock=5, epoch=EPOCH, remove=[("task", "a")], forget=[("history", "1")])
        )
        snapshot, notes = everything(storage, OWNER)
        assert snapshot.clock == 1
        assert list(snapshot.changed) == [record("a", 0, "ada's")]
        assert notes == [Note("history", "1", "ada's")]
        assert everything(storage, "bob")[0].clock == 5

    def test_clocks_and_times_of_53_bits_are_kept(self, storage: Storage) -> None:
        largest = 2**53 - 1
        new = Record("task", "a", largest - 1, False, largest, "{}")
        storage.commit(OWNER, Commit(expected=0, clock=largest, epoch=EPOCH, purged=largest - 2, put=[new]))
        held = storage.load(OWNER, since=largest - 1)
        assert (held.clock, held.purged, list(held.changed)) == (largest, largest - 2, [new])


class TestErase:
    def test_an_erased_owner_was_never_there_and_others_stay(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), notes=[Note("history", "1", "n"), Note("parked", "1", "n")])
        put(storage, "bob", record("a", 0), notes=[Note("history", "1", "n")])
        bob = everything(storage, "bob")
        storage.erase(OWNER)
        held, notes = everything(storage, OWNER, ("history", "parked"))
        assert (held.clock, held.epoch, held.purged, list(held.changed), notes) == (0, "", -1, [], [])
        assert named(storage, OWNER, ("task", "a")) == {}
        assert list(storage.owners()) == ["bob"]
        assert everything(storage, "bob") == bob

    def test_to_erase_nobody_is_no_error(self, storage: Storage) -> None:
        storage.erase(OWNER)
        storage.erase(OWNER)
        assert list(storage.owners()) == []

    def test_an_erased_owner_may_come_again(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), record("b", 1))
        storage.erase(OWNER)
        with pytest.raises(ConflictError):
            storage.commit(OWNER, Commit(expected=2, clock=3, epoch=EPOCH))
        storage.commit(OWNER, Commit(expected=0, clock=1, epoch="new", put=[record("c", 0)]))
        held = storage.load(OWNER, since=0)
        assert (held.clock, held.epoch, list(held.changed)) == (1, "new", [record("c", 0)])

    def test_what_was_merged_before_an_erasure_conflicts_after_it_whatever_the_clock(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), record("b", 1))
        storage.erase(OWNER)
        storage.commit(OWNER, Commit(expected=0, clock=2, epoch="new", put=[record("c", 1)]))
        before = everything(storage, OWNER)
        with pytest.raises(ConflictError):
            storage.commit(OWNER, Commit(expected=2, clock=3, epoch=EPOCH, put=[record("a", 2)]))
        assert everything(storage, OWNER) == before
