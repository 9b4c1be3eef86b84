"""A load gives what changed since, in the order of the clock, and what it was asked for by name."""

from __future__ import annotations

import random

from mobync_core import Commit, Record, Storage
from tests.storage.examples import EPOCH, named, put, record

OWNER = "ada"


class TestLoads:
    def test_records_come_in_the_order_of_their_clock_not_of_their_names_or_writing(self, storage: Storage) -> None:
        records = [record(f"r{i:03}", clock) for i, clock in enumerate(random.Random(1).sample(range(1000), 300))]
        put(storage, OWNER, *records)
        assert list(storage.load(OWNER, since=0).changed) == sorted(records, key=lambda found: found.clock)

    def test_since_takes_the_clock_itself_and_what_is_later(self, storage: Storage) -> None:
        records = [record(f"r{i}", i) for i in range(10)]
        put(storage, OWNER, *records)
        assert list(storage.load(OWNER, since=7).changed) == records[7:]
        assert list(storage.load(OWNER, since=9).changed) == records[9:]
        assert list(storage.load(OWNER, since=10).changed) == []
        assert list(storage.load(OWNER, since=-1).changed) == records

    def test_a_limit_keeps_the_earliest(self, storage: Storage) -> None:
        records = [record(f"r{9 - i}", i) for i in range(10)]
        put(storage, OWNER, *records)
        assert list(storage.load(OWNER, since=2, limit=3).changed) == records[2:5]
        assert list(storage.load(OWNER, since=8, limit=3).changed) == records[8:]
        assert list(storage.load(OWNER, since=0, limit=0).changed) == []

    def test_the_head_comes_whatever_the_limit(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), record("b", 1))
        for since, limit in ((0, 0), (0, 1), (2, None), (10**9, 5)):
            held = storage.load(OWNER, since=since, limit=limit)
            assert (held.clock, held.epoch, held.purged) == (2, EPOCH, -1)

    def test_pages_by_clock_make_up_the_whole(self, storage: Storage) -> None:
        records = [record(f"r{i}", 3 * i) for i in range(25)]
        put(storage, OWNER, *records)
        found: list[Record] = []
        since = 0
        while page := storage.load(OWNER, since=since, limit=10).changed:
            found += page
            since = page[-1].clock + 1
        assert found == records

    def test_named_records_come_whatever_their_clock_and_the_limit(self, storage: Storage) -> None:
        records = [record(f"r{i}", i) for i in range(10)]
        put(storage, OWNER, *records)
        held = storage.load(OWNER, since=5, keys=[("task", "r1"), ("task", "r7"), ("task", "none")], limit=1)
        assert list(held.changed) == [records[5]]
        assert sorted(held.named, key=lambda found: found.clock) == [records[1], records[7]]

    def test_a_key_is_model_and_id_together(self, storage: Storage) -> None:
        put(storage, OWNER, record("x", 0, model="a"), record("y", 1, model="b"))
        assert named(storage, OWNER, ("a", "y"), ("b", "x")) == {}
        assert list(named(storage, OWNER, ("a", "x"))) == [("a", "x")]

    def test_a_key_asked_for_twice_comes_once(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0))
        held = storage.load(OWNER, since=1, keys=[("task", "a"), ("task", "a")])
        assert list(held.named) == [record("a", 0)]

    def test_tombstones_come_as_records_do(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0, deleted=True))
        held = storage.load(OWNER, since=0, keys=[("task", "a")])
        assert list(held.changed) == list(held.named) == [record("a", 0, deleted=True)]

    def test_keys_of_any_collection_and_thousands_of_them(self, storage: Storage) -> None:
        records = [record(f"r{i}", i) for i in range(3000)]
        put(storage, OWNER, *records)
        keys = {found.key for found in records}
        assert set(named(storage, OWNER, *keys)) == keys
        assert len(storage.load(OWNER, since=3000, keys=keys).named) == 3000
        assert len(storage.load(OWNER, since=3000, keys=frozenset(keys)).named) == 3000

    def test_a_record_that_changed_stands_once_at_its_new_clock(self, storage: Storage) -> None:
        put(storage, OWNER, record("a", 0), record("b", 1))
        storage.commit(OWNER, Commit(expected=2, clock=3, epoch=EPOCH, put=[record("a", 2)]))
        assert list(storage.load(OWNER, since=0).changed) == [record("b", 1), record("a", 2)]
        assert list(storage.load(OWNER, since=0, limit=1).changed) == [record("b", 1)]
