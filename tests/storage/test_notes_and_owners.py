"""Notes and owners are read by name, in parts, without the records."""

from __future__ import annotations

import itertools

from mobync_core import Commit, Note, Storage
from tests.storage.examples import EPOCH, put, record

OWNER = "ada"


def keys(storage: Storage, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None) -> list[str]:
    return [note.key for note in storage.notes(OWNER, kind, prefix=prefix, after=after, limit=limit)]


class TestNotes:
    def test_a_note_replaces_the_one_of_its_key(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", "1", "old"), Note("history", "2", "old")])
        put(storage, OWNER, notes=[Note("history", "1", "new")])
        assert list(storage.notes(OWNER, "history")) == [Note("history", "1", "new"), Note("history", "2", "old")]

    def test_notes_are_no_records(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), notes=[Note("task", "a", "note")])
        held = storage.load(OWNER, since=0, keys=[("task", "a")])
        assert list(held.changed) == list(held.named) == [record("a", 0)]

    def test_kinds_and_owners_are_apart(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", "1", "a"), Note("History", "1", "b"), Note("parked", "1", "c")])
        put(storage, "bob", notes=[Note("history", "1", "d")])
        assert [note.body for note in storage.notes(OWNER, "history")] == ["a"]
        assert [note.body for note in storage.notes(OWNER, "History")] == ["b"]
        assert [note.body for note in storage.notes("bob", "history")] == ["d"]
        assert list(storage.notes("bob", "parked")) == []
        assert list(storage.notes("nobody", "history")) == []

    def test_a_forgotten_note_is_gone_and_others_stay(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", "1", ""), Note("history", "2", ""), Note("parked", "1", "")])
        storage.commit(OWNER, Commit(expected=1, clock=2, epoch=EPOCH, forget=[("history", "1"), ("parked", "2")]))
        assert keys(storage, "history") == ["2"]
        assert keys(storage, "parked") == ["1"]

    def test_a_prefix_takes_its_keys_and_no_others(self, storage: Storage) -> None:
        names = ["a", "a/", "a/1", "a/2", "a/\U0010ffff", "a0", "A/1", "b", "%", "%/1", "_/1"]
        put(storage, OWNER, notes=[Note("history", name, "") for name in names])
        assert keys(storage, "history", prefix="a/") == ["a/", "a/1", "a/2", "a/\U0010ffff"]
        assert keys(storage, "history", prefix="%") == ["%", "%/1"]
        assert keys(storage, "history", prefix="_") == ["_/1"]
        assert keys(storage, "history", prefix="a/\U0010ffff") == ["a/\U0010ffff"]
        assert keys(storage, "history", prefix="zzz") == []

    def test_after_leaves_out_the_key_itself_and_what_is_before(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", name, "") for name in ("a/1", "a/2", "a/3", "b/1")])
        assert keys(storage, "history", after="a/2") == ["a/3", "b/1"]
        assert keys(storage, "history", after="a/2", prefix="a/") == ["a/3"]
        assert keys(storage, "history", after="A", prefix="a/") == ["a/1", "a/2", "a/3"]
        assert keys(storage, "history", after="b", prefix="a/") == []

    def test_a_limit_takes_the_first(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", f"{i:03}", "") for i in range(350)])
        for limit in (0, 1, 99, 100, 101, 200, 349, 350, 1000):
            assert keys(storage, "history", limit=limit) == [f"{i:03}" for i in range(min(limit, 350))]
        assert keys(storage, "history", prefix="01", after="012", limit=3) == ["013", "014", "015"]

    def test_thousands_are_read_in_order_whole(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", f"{i:04}", str(i)) for i in reversed(range(2500))])
        assert [note.body for note in storage.notes(OWNER, "history")] == [str(i) for i in range(2500)]

    def test_who_reads_notes_may_write_meanwhile_and_stop_early(self, storage: Storage) -> None:
        put(storage, OWNER, notes=[Note("history", f"{i:04}", "") for i in range(500)])
        reading = storage.notes(OWNER, "history")
        first = list(itertools.islice(reading, 10))
        put(storage, OWNER, record("a", 5))
        assert len(first) + len(list(reading)) == 500
        abandoned = storage.notes(OWNER, "history")
        next(abandoned)
        del abandoned
        storage.erase(OWNER)


class TestOwners:
    def test_every_owner_comes_once(self, storage: Storage) -> None:
        names = [f"user-{i}" for i in range(2100)]
        for name in names:
            storage.commit(name, Commit(expected=0, clock=1, epoch=EPOCH))
        assert sorted(storage.owners()) == sorted(names)

    def test_a_prefix_takes_its_owners_and_no_others(self, storage: Storage) -> None:
        for name in ("a", "a/1", "a/2", "A/1", "á/1", "a\U0010ffff", "%", "_"):
            storage.commit(name, Commit(expected=0, clock=1, epoch=EPOCH))
        assert sorted(storage.owners(prefix="a/")) == ["a/1", "a/2"]
        assert sorted(storage.owners(prefix="a")) == ["a", "a/1", "a/2", "a\U0010ffff"]
        assert list(storage.owners(prefix="%")) == ["%"]
        assert list(storage.owners(prefix="b")) == []

    def test_to_load_an_owner_does_not_make_one(self, storage: Storage) -> None:
        storage.load("ada", since=0, keys=[("task", "a")])
        assert list(storage.owners()) == []
