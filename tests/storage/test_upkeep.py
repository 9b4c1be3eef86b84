"""Purges and renewed epochs on every storage, while devices go on."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mobync_core import InvalidClock, Mobync, ResyncRequired, Storage, open_storage
from mobync_core.replica import Replica
from tests.replica.engines import Serving
from tests.storage.conftest import SHARED, Place

NOTES = 300
OWNERS = ("ann", "bob", "carl", "dora")


def live_and_deleted(mobync: Mobync, owner: str, number: int) -> None:
    """Make so many notes, and as many more that are deleted again."""
    for name in [f"{kind} {at}" for at in range(number) for kind in ("live", "dead")]:
        mobync.create(owner, "note", {"id": name, "x": 1})
        if name.startswith("dead"):
            mobync.delete(owner, "note", name)


def live(storage: Storage, owner: str) -> list[str]:
    """The notes of an owner of whom there are no tombstones."""
    held = storage.load(owner, since=0).changed
    assert [record for record in held if record.deleted] == []
    return sorted(record.id for record in held)


def test_what_was_deleted_long_ago_goes_while_a_device_is_at_work(place: Place) -> None:
    """A replica that syncs meanwhile, again and again, loses nothing by it, and is never sent away for long."""
    storage = open_storage(place.url)
    mobync = Mobync(storage)
    try:
        with Replica(":memory:", Serving(mobync, "ann")) as phone, Replica(":memory:", Serving(mobync, "ann")) as other:
            for number in range(NOTES):
                phone.create("note", {"id": f"{number:03}", "text": "x"})
            phone.synchronize()
            other.synchronize()
            for number in range(NOTES - 5):
                phone.delete("note", f"{number:03}")
            phone.synchronize()
            stop, at_work = threading.Event(), threading.Event()
            failures: list[BaseException] = []

            def work() -> None:
                try:
                    while not stop.is_set():
                        phone.update("note", f"{NOTES - 1:03}", {"text": "y"})
                        phone.synchronize()
                        at_work.set()
                except BaseException as error:  # noqa: BLE001 - told by the test's thread
                    failures.append(error)
                    at_work.set()

            thread = threading.Thread(target=work)
            thread.start()
            at_work.wait(30)
            purged = mobync.purge(2**52)
            stop.set()
            thread.join()
            assert failures == []
            assert (purged.owners, purged.tombstones) == (1, NOTES - 5)
            assert len(storage.load("ann", since=0).changed) == 5
            with pytest.raises(ResyncRequired):
                mobync.apply(NOTES, [], "ann")
            assert other.synchronize().resynced
            assert len(other.all("note")) == 5
            assert other.all("note") == phone.all("note")
    finally:
        storage.erase("ann")
        storage.close()


def test_another_epoch_lasts_and_changes_nothing_else(place: Place) -> None:
    storage = open_storage(place.url)
    mobync = Mobync(storage)
    try:
        mobync.create("ann", "note", {"id": "a", "x": 1})
        mobync.create("ann", "note", {"id": "b", "x": 1})
        mobync.delete("ann", "note", "b")
        mobync.purge(2**52)
        before = storage.load("ann", since=0)

        assert mobync.restored() == 1

        after = storage.load("ann", since=0)
        assert (after.changed, after.purged) == (before.changed, before.purged)
        assert after.epoch not in ("", before.epoch)
        with pytest.raises(InvalidClock):
            mobync.apply(after.clock, [], "ann", epoch=before.epoch)
    finally:
        storage.erase("ann")
        storage.close()


@contextmanager
def process(job: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that does a job of `tests.storage.purging`, and has said a first line."""
    command = [sys.executable, "-m", "tests.storage.purging", job, url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_another_process_that_writes_without_end_loses_nothing_by_it(place: Place, storage: Storage) -> None:
    mobync = Mobync(storage)
    live_and_deleted(mobync, "ann", 20)
    with process("write", place.url) as writing:
        clock = storage.load("ann", since=0).clock
        assert mobync.purge(2**52).tombstones == 20
        assert writing.stdout is not None
        writing.stdout.readline()
        writing.kill()
        said = writing.stdout.read().split()
    held = storage.load("ann", since=clock)
    assert held.purged == 59
    assert held.changed, "nothing was written meanwhile"
    names = live(storage, "ann")
    assert [name for name in names if name.startswith("live")] == sorted(f"live {at}" for at in range(20))
    new = [name for name in names if name.startswith("new")]
    assert new == [f"new {at:06}" for at in range(len(new))]
    assert len(new) > max(map(int, said[:-1]), default=0)


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_killed_in_the_middle_it_is_whole_and_goes_on_when_it_is_said_again(place: Place, storage: Storage) -> None:
    mobync = Mobync(storage)
    for owner in OWNERS:
        live_and_deleted(mobync, owner, 3)
    with process("purge", place.url) as purging:
        purging.kill()
        purging.wait()

    held = [storage.load(owner, since=0) for owner in OWNERS]
    assert sorted(one.purged for one in held) == [-1, -1, -1, 8]
    assert sorted(sum(record.deleted for record in one.changed) for one in held) == [0, 3, 3, 3]

    purged = mobync.purge(2**52)

    assert (purged.owners, purged.tombstones) == (3, 9)
    for owner in OWNERS:
        assert live(storage, owner) == ["live 0", "live 1", "live 2"]
        assert storage.load(owner, since=0).purged == 8
