"""Purging tombstones and renewing epochs, as far as any storage will do."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from mobync_core import Commit, InvalidClock, Mobync, ResyncRequired, Storage
from tests.synchronizer.application import Application

from .sent import diff

DAY = 86_400_000


class Time:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def mobync(memory: Storage, time: Time) -> Mobync:
    return Mobync(memory, now=time)


def delete(mobync: Mobync, owner: str, *records: str) -> None:
    for record in records:
        mobync.create(owner, "todo", {"id": record, "x": 1})
        mobync.delete(owner, "todo", record)


def held(storage: Storage, owner: str) -> list[str]:
    return [record.id for record in storage.load(owner, since=0).changed]


def test_old_tombstones_go_and_the_floor_tells(mobync: Mobync, memory: Storage, time: Time) -> None:
    mobync.create("ann", "todo", {"id": "live", "x": 1})
    delete(mobync, "ann", "old", "older")
    time.now += 10 * DAY
    delete(mobync, "ann", "new")

    purged = mobync.purge(time.now - 7 * DAY)

    assert held(memory, "ann") == ["live", "new"]
    assert (purged.owners, purged.tombstones, purged.newest) == (1, 2, time.now - 10 * DAY)
    with pytest.raises(ResyncRequired):
        mobync.apply(1, [], "ann")
    assert len(mobync.apply(5, [], "ann")["diffs"]) == 1


def test_it_takes_a_time_with_a_zone(mobync: Mobync, memory: Storage) -> None:
    delete(mobync, "ann", "a")

    with pytest.raises(ValueError, match="time zone"):
        mobync.purge(datetime(2030, 1, 1))
    assert mobync.purge(datetime(2030, 1, 1, tzinfo=UTC)).tombstones == 1
    assert held(memory, "ann") == []


def test_a_dry_run_only_counts(mobync: Mobync, memory: Storage, time: Time) -> None:
    delete(mobync, "ann", "a", "b")
    before = memory.load("ann", since=0)

    assert mobync.purge(time.now + 1, dry_run=True).tombstones == 2
    assert memory.load("ann", since=0) == before


def test_nothing_to_purge_changes_nothing(mobync: Mobync, memory: Storage, time: Time) -> None:
    delete(mobync, "ann", "a")
    before = memory.load("ann", since=0)

    assert mobync.purge(time.now).newest is None
    assert memory.load("ann", since=0) == before


def test_one_owner_alone(mobync: Mobync, memory: Storage, time: Time) -> None:
    delete(mobync, "ann", "a")
    delete(mobync, "bob", "b")

    assert mobync.purge(time.now + 1, owner="ann").owners == 1
    assert (held(memory, "ann"), held(memory, "bob")) == ([], ["b"])


def test_more_than_a_page_of_them(mobync: Mobync, memory: Storage, time: Time) -> None:
    records = [str(number) for number in range(2500)]
    mobync.apply(0, [diff("create", record, x=1) for record in records], "ann")
    mobync.apply(2500, [diff("delete", record) for record in records if record != "1200"], "ann")

    assert mobync.purge(time.now + 1).tombstones == 2499
    assert held(memory, "ann") == ["1200"]


def test_a_later_purge_never_lowers_the_floor(mobync: Mobync, memory: Storage, time: Time) -> None:
    delete(mobync, "ann", "first")
    time.now -= 10 * DAY  # the server's clock was put back
    delete(mobync, "ann", "second")
    mobync.purge(time.now + 1)
    floor = memory.load("ann", since=0).purged

    mobync.purge(time.now + 20 * DAY)

    assert memory.load("ann", since=0).purged == floor == 3
    assert held(memory, "ann") == []


def test_a_device_that_writes_meanwhile_comes_first(memory: Storage, time: Time) -> None:
    class Busy:
        """A storage where somebody creates the record again just before the first commit of the purge."""

        def __init__(self) -> None:
            self.load, self.notes, self.owners = memory.load, memory.notes, memory.owners
            self.setup, self.erase, self.close = memory.setup, memory.erase, memory.close
            self.times = itertools.count()

        def commit(self, owner: str, commit: Commit) -> bool | None:
            if commit.remove and next(self.times) == 0:
                Mobync(memory, now=time).create("ann", "todo", {"id": "a", "x": 2})
            return memory.commit(owner, commit)

    delete(Mobync(memory, now=time), "ann", "a", "b")

    assert Mobync(Busy(), now=time).purge(time.now + 1).tombstones == 1
    assert held(memory, "ann") == ["a"]


def test_each_owner_gets_another_epoch(mobync: Mobync, memory: Storage) -> None:
    for owner in ("ann", "bob", "carl"):
        mobync.create(owner, "todo", {"id": "a", "x": 1})
    known = mobync.apply(1, [], "bob", epoch=None)["epoch"]

    assert mobync.restored(prefix="c") == 1
    assert mobync.apply(1, [], "bob", epoch=known)["epoch"] == known
    assert mobync.restored() == 3
    with pytest.raises(InvalidClock):
        mobync.apply(1, [], "bob", epoch=known)
    assert held(memory, "bob") == ["a"]


def test_a_synchronizer_has_nothing_of_that() -> None:
    mobync = Mobync(Application())

    with pytest.raises(TypeError, match="purge is for a storage"):
        mobync.purge(0)
    with pytest.raises(TypeError, match="restored is for a storage"):
        mobync.restored()
