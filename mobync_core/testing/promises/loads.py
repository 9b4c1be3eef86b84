"""A load gives what changed since, in the order of the clock, and what it was asked for by name."""

from __future__ import annotations

import random
import tracemalloc

from mobync_core.storage import Commit, Record, Snapshot, Storage
from mobync_core.testing.examples import EPOCH, changed, head, named, put, record


class Loads:
    """Changes come in order, none is missed."""

    def test_records_come_in_the_order_of_their_clock_not_of_their_names(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{i:03}", clock) for i, clock in enumerate(random.Random(1).sample(range(1000), 300))]
        put(storage, owner, *records)
        assert changed(storage, owner) == sorted(records, key=lambda found: found.clock)

    def test_since_takes_the_clock_itself_and_what_is_later(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{i}", i) for i in range(10)]
        put(storage, owner, *records)
        assert changed(storage, owner, 7) == records[7:]
        assert changed(storage, owner, 9) == records[9:]
        assert changed(storage, owner, 10) == []
        assert changed(storage, owner, -1) == records

    def test_a_limit_keeps_the_earliest(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{9 - i}", i) for i in range(10)]
        put(storage, owner, *records)
        assert list(storage.load(owner, since=2, limit=3).changed) == records[2:5]
        assert list(storage.load(owner, since=8, limit=3).changed) == records[8:]
        assert list(storage.load(owner, since=0, limit=0).changed) == []

    def test_the_head_comes_whatever_the_limit(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), record("b", 1))
        for since, limit in ((0, 0), (0, 1), (2, None), (10**9, 5)):
            held = storage.load(owner, since=since, limit=limit)
            assert head(held) == Snapshot(2, EPOCH, -1, ())

    def test_pages_by_clock_make_up_the_whole(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{i}", 3 * i) for i in range(25)]
        put(storage, owner, *records)
        found: list[Record] = []
        since = 0
        while page := storage.load(owner, since=since, limit=10).changed:
            found += page
            since = page[-1].clock + 1
        assert found == records

    def test_ten_thousand_records_are_read_page_by_page_in_bounded_memory(self, storage: Storage, owner: str) -> None:
        body = "x" * 2000
        for clock in range(0, 10_000, 1000):
            put(storage, owner, *(record(f"r{at}", at, body) for at in range(clock, clock + 1000)))
        since = found = 0
        tracemalloc.start()
        try:
            while page := storage.load(owner, since=since, limit=250).changed:
                since = page[-1].clock + 1
                found += len(page)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert found == 10_000
        assert peak < 8 * 2**20, f"{peak >> 10} KiB for pages of 500 KiB, of 20 MiB in all"

    def test_named_records_come_whatever_their_clock_and_the_limit(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{i}", i) for i in range(10)]
        put(storage, owner, *records)
        held = storage.load(owner, since=5, keys=[("task", "r1"), ("task", "r7"), ("task", "none")], limit=1)
        assert list(held.changed) == [records[5]]
        assert sorted(held.named, key=lambda found: found.clock) == [records[1], records[7]]

    def test_a_key_is_model_and_id_together(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("x", 0, model="a"), record("y", 1, model="b"))
        assert named(storage, owner, ("a", "y"), ("b", "x")) == {}
        assert list(named(storage, owner, ("a", "x"))) == [("a", "x")]

    def test_a_key_asked_for_twice_comes_once(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0))
        held = storage.load(owner, since=1, keys=[("task", "a"), ("task", "a")])
        assert list(held.named) == [record("a", 0)]

    def test_tombstones_come_as_records_do(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0, deleted=True))
        held = storage.load(owner, since=0, keys=[("task", "a")])
        assert list(held.changed) == list(held.named) == [record("a", 0, deleted=True)]

    def test_keys_of_any_collection_and_thousands_of_them(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{i}", i) for i in range(3000)]
        put(storage, owner, *records)
        keys = {found.key for found in records}
        lacking = keys - named(storage, owner, *keys).keys()
        assert not lacking, f"{len(lacking)} of {len(keys)} records that were asked for by name did not come"
        assert len(storage.load(owner, since=3000, keys=keys).named) == 3000
        assert len(storage.load(owner, since=3000, keys=frozenset(keys)).named) == 3000

    def test_a_record_that_changed_stands_once_at_its_new_clock(self, storage: Storage, owner: str) -> None:
        put(storage, owner, record("a", 0), record("b", 1))
        storage.commit(owner, Commit(expected=2, clock=3, epoch=EPOCH, put=[record("a", 2)]))
        assert changed(storage, owner) == [record("b", 1), record("a", 2)]
        assert list(storage.load(owner, since=0, limit=1).changed) == [record("b", 1)]
