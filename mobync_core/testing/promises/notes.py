"""Notes and owners are read by name, in parts, without the records."""

from __future__ import annotations

import itertools

from mobync_core.storage import Commit, Note, Storage
from mobync_core.testing.examples import EPOCH, put, record


class Notes:
    """Notes are read by name, in parts."""

    def test_a_note_replaces_the_one_of_its_key(self, storage: Storage, owner: str) -> None:
        put(storage, owner, notes=[Note("history", "1", "old"), Note("history", "2", "old")])
        put(storage, owner, notes=[Note("history", "1", "new")])
        assert list(storage.notes(owner, "history")) == [Note("history", "1", "new"), Note("history", "2", "old")]

    def test_notes_are_no_records(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), notes=[Note("task", "a", "note")])
        held = storage.load(owner, since=0, keys=[("task", "a")])
        assert list(held.changed) == list(held.named) == [record("a", 0)]

    def test_kinds_and_owners_are_apart(self, storage: Storage, owner: str, other: str) -> None:
        put(storage, owner, notes=[Note("history", "1", "a"), Note("History", "1", "b"), Note("parked", "1", "c")])
        put(storage, other, notes=[Note("history", "1", "d")])
        assert [note.body for note in storage.notes(owner, "history")] == ["a"]
        assert [note.body for note in storage.notes(owner, "History")] == ["b"]
        assert [note.body for note in storage.notes(other, "history")] == ["d"]
        assert list(storage.notes(other, "parked")) == []
        assert list(storage.notes(owner + "nobody", "history")) == []

    def test_a_forgotten_note_is_gone_and_others_stay(self, storage: Storage, owner: str) -> None:
        put(storage, owner, notes=[Note("history", "1", ""), Note("history", "2", ""), Note("parked", "1", "")])
        storage.commit(owner, Commit(expected=1, clock=2, epoch=EPOCH, forget=[("history", "1"), ("parked", "2")]))
        assert keys(storage, owner, "history") == ["2"]
        assert keys(storage, owner, "parked") == ["1"]

    def test_a_prefix_takes_its_keys_and_no_others(self, storage: Storage, owner: str) -> None:
        names = ["a", "a/", "a/1", "a/2", "a/\U0010ffff", "a0", "A/1", "b", "%", "%/1", "_/1"]
        put(storage, owner, notes=[Note("history", name, "") for name in names])
        assert keys(storage, owner, "history", prefix="a/") == ["a/", "a/1", "a/2", "a/\U0010ffff"]
        assert keys(storage, owner, "history", prefix="%") == ["%", "%/1"]
        assert keys(storage, owner, "history", prefix="_") == ["_/1"]
        assert keys(storage, owner, "history", prefix="a/\U0010ffff") == ["a/\U0010ffff"]
        assert keys(storage, owner, "history", prefix="zzz") == []

    def test_after_leaves_out_the_key_itself_and_what_is_before(self, storage: Storage, owner: str) -> None:
        put(storage, owner, notes=[Note("history", name, "") for name in ("a/1", "a/2", "a/3", "b/1")])
        assert keys(storage, owner, "history", after="a/2") == ["a/3", "b/1"]
        assert keys(storage, owner, "history", after="a/2", prefix="a/") == ["a/3"]
        assert keys(storage, owner, "history", after="A", prefix="a/") == ["a/1", "a/2", "a/3"]
        assert keys(storage, owner, "history", after="b", prefix="a/") == []

    def test_a_limit_takes_the_first(self, storage: Storage, owner: str) -> None:
        put(storage, owner, notes=[Note("history", f"{i:03}", "") for i in range(350)])
        for limit in (0, 1, 99, 100, 101, 200, 349, 350, 1000):
            assert keys(storage, owner, "history", limit=limit) == [f"{i:03}" for i in range(min(limit, 350))]
        assert keys(storage, owner, "history", prefix="01", after="012", limit=3) == ["013", "014", "015"]

    def test_keys_that_differ_only_at_their_end_are_ordered_too(self, storage: Storage, owner: str) -> None:
        alike = "a" * 1000
        names = [f"{alike}{end}" for end in ("", "0", "1", "1/2", "10", "b", "é")]
        put(storage, owner, notes=[Note("history", name, "") for name in (*names[::2], *names[1::2])])
        assert keys(storage, owner, "history") == names
        assert keys(storage, owner, "history", prefix=f"{alike}1") == names[2:5]
        assert keys(storage, owner, "history", after=names[2], limit=2) == names[3:5]

    def test_thousands_are_read_in_order_whole(self, storage: Storage, owner: str) -> None:
        put(storage, owner, notes=[Note("history", f"{i:04}", str(i)) for i in reversed(range(2500))])
        assert [note.body for note in storage.notes(owner, "history")] == [str(i) for i in range(2500)]

    def test_who_reads_notes_may_write_meanwhile_and_stop_early(self, storage: Storage, owner: str) -> None:
        put(storage, owner, notes=[Note("history", f"{i:04}", "") for i in range(500)])
        reading = storage.notes(owner, "history")
        first = list(itertools.islice(reading, 10))
        put(storage, owner, record("a", 5))
        assert len(first) + len(list(reading)) == 500
        abandoned = storage.notes(owner, "history")
        next(abandoned)
        del abandoned
        storage.erase(owner)


class Owners:
    """Owners are listed by name."""

    def test_every_owner_comes_once(self, storage: Storage, prefix: str) -> None:
        names = [f"{prefix}user-{i}" for i in range(1100)]
        for name in names:
            storage.commit(name, Commit(expected=0, clock=1, epoch=EPOCH))
        assert sorted(storage.owners(prefix=prefix)) == sorted(names)

    def test_a_prefix_takes_its_owners_and_no_others(self, storage: Storage, prefix: str) -> None:
        for name in ("a", "a/1", "a/2", "A/1", "á/1", "a\U0010ffff", "%", "_", "*", "[a]", "^a", "a\\1"):
            storage.commit(prefix + name, Commit(expected=0, clock=1, epoch=EPOCH))

        def found(part: str) -> list[str]:
            return sorted(owner.removeprefix(prefix) for owner in storage.owners(prefix=prefix + part))

        assert found("a/") == ["a/1", "a/2"]
        assert found("a") == sorted(["a", "a/1", "a/2", "a\U0010ffff", "a\\1"])
        for exact in ("%", "_", "*", "[a]", "^a"):
            assert found(exact) == [exact]
        assert found("b") == []

    def test_to_load_an_owner_does_not_make_one(self, storage: Storage, prefix: str) -> None:
        storage.load(prefix, since=0, keys=[("task", "a")])
        assert list(storage.notes(prefix, "history")) == []
        assert list(storage.owners(prefix=prefix)) == []


def keys(
    storage: Storage, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
) -> list[str]:
    return [note.key for note in storage.notes(owner, kind, prefix=prefix, after=after, limit=limit)]
