"""The MongoDB adapter's commits, where processes die or are slow between their commands, and answers are lost."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import pytest
from bson import ObjectId
from mobync_mongodb.commits import HOLD_SECONDS
from pymongo import MongoClient
from pymongo.database import Database

from mobync_core import Commit, Note, Record, Storage, StorageUnavailable, open_storage
from mobync_core.testing.examples import EPOCH, everything, put, record, wins
from mobync_core.testing.proxy import proxied
from tests.storage import mongodb_dying as dying
from tests.storage.conftest import Place

T = TypeVar("T")

COLLECTIONS = ("mobync_owners", "mobync_records", "mobync_notes", "mobync_staged")


@pytest.fixture
def place(mongodb_url: str) -> Place:
    return Place(mongodb_url)


@pytest.fixture
def database(mongodb_url: str) -> Iterator[Database[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        yield client.get_default_database()


def leftovers(database: Database[dict[str, Any]], owner: str) -> dict[str, int]:
    counts = {name: database[name].count_documents({"owner": owner}) for name in COLLECTIONS[1:]}
    counts["mobync_owners"] = database.mobync_owners.count_documents({"_id": owner})
    return {name: count for name, count in counts.items() if count}


def sweep_tomorrow(storage: Storage, database: Database[dict[str, Any]]) -> None:
    """Do what `setup` does a day later with what is staged."""
    for found in list(database.mobync_staged.find({}, {"at": 1})):
        database.mobync_staged.update_one({"_id": found["_id"]}, {"$set": {"at": found["at"] - timedelta(days=2)}})
    storage.setup()


@pytest.mark.parametrize("call", dying.CALLS)
def test_a_process_that_dies_before_any_command_leaves_all_or_nothing(
    place: Place, storage: Storage, database: Database[dict[str, Any]], call: str
) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.storage.mongodb_dying", place.url, call],
        check=True, timeout=120, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    owners = said.stdout.splitlines()
    assert len(owners) > 3  # more than one command, and the last owner's process came to the end
    for commit in [*dying.CALLS[call][0], *filter(None, [dying.CALLS[call][1]])]:
        storage.commit("before", commit)
    before = everything(storage, "before")
    after = everything(storage, owners[-1])
    done = [everything(storage, owner) == after for owner in owners]
    assert all(done[number] or everything(storage, owner) == before for number, owner in enumerate(owners))
    assert done == sorted(done)  # what is done is not undone by dying later
    assert done[0] == call.startswith("load")  # who reads finishes what another left
    for owner, is_done in zip(owners, done, strict=True):
        put(storage, owner, record("a", 100, "later"), notes=[Note("history", "9", "later")])
        snapshot, notes = everything(storage, owner)
        whole, whole_notes = after if is_done else before
        assert [*snapshot.changed] == [
            *(each for each in whole.changed if each.id != "a"), record("a", 100, "later")
        ]  # fmt: skip
        assert notes == [*whole_notes, Note("history", "9", "later")]
    sweep_tomorrow(storage, database)
    assert database.mobync_staged.count_documents({}) == 0
    for owner in owners:
        storage.erase(owner)
        assert leftovers(database, owner) == {}


class Paused(Generic[T]):
    """A call in a thread of its own that waits before its n-th command until `wake`."""

    def __init__(self, url: str, number: int, call: Callable[[Storage], T]) -> None:
        self._reached, self._woken = threading.Event(), threading.Event()
        self._storage = dying.storage_at(url, dying.At(number, self._pause))
        self._pool = ThreadPoolExecutor(1)
        self._result = self._pool.submit(call, self._storage)
        self._result.add_done_callback(lambda _: self._reached.set())
        assert self._reached.wait(30)
        self.is_over = self._result.done()

    def _pause(self) -> None:
        self._reached.set()
        assert self._woken.wait(30)

    def wake(self) -> T:
        self._woken.set()
        with self._pool, closing(self._storage):
            return self._result.result(30)


def overwrite(storage: Storage, owner: str) -> None:
    put(storage, owner, *(record(id, 100 + at, "later") for at, id in enumerate("abd")), notes=_later("1", "2", "3"))


def remove(storage: Storage, owner: str) -> None:
    held = storage.load(owner, since=2**53)
    keys = [("task", id) for id in "abcd"]
    forget = [("history", key) for key in "123"]
    storage.commit(
        owner, Commit(expected=held.clock, clock=held.clock + 1, epoch=held.epoch, remove=keys, forget=forget)
    )


def erase(storage: Storage, owner: str) -> None:
    storage.erase(owner)


def regrow(storage: Storage, owner: str) -> None:
    storage.erase(owner)
    storage.commit(owner, Commit(expected=0, clock=4, epoch="other", put=[record("a", 0, "again")], notes=_later("1")))


def regrow_to_the_same_clock(storage: Storage, owner: str) -> None:
    regrow(storage, owner)
    storage.commit(owner, Commit(expected=4, clock=8, epoch="other", put=[record("d", 4, "again")], notes=_later("3")))


def _later(*keys: str) -> list[Note]:
    return [Note("history", key, "later") for key in keys]


@pytest.mark.parametrize("commit", [dying.SMALL, dying.STAGED], ids=["small", "staged"])
@pytest.mark.parametrize("meanwhile", [overwrite, remove, erase, regrow, regrow_to_the_same_clock])
def test_what_a_slow_writer_writes_late_changes_nothing(
    place: Place,
    storage: Storage,
    database: Database[dict[str, Any]],
    meanwhile: Callable[[Storage, str], None],
    commit: Commit,
) -> None:
    for number in range(1, 30):
        owner = f"owner {number}"
        storage.commit(owner, dying.BEFORE)
        writer = Paused(place.url, number, partial(wins, owner=owner, commit=commit))
        if writer.is_over:
            assert writer.wake()
            break
        meanwhile(storage, owner)
        seen, counts = everything(storage, owner), leftovers(database, owner)
        writer.wake()
        assert everything(storage, owner) == seen
        if meanwhile is erase:
            counts.pop("mobync_staged", None)
            assert leftovers(database, owner) == counts == {}
    else:
        pytest.fail("a commit took more than 30 commands")
    assert number > 4


@pytest.mark.parametrize("meanwhile", [overwrite, remove, erase, regrow, regrow_to_the_same_clock])
def test_a_load_that_is_slow_shows_one_moment(
    place: Place, storage: Storage, meanwhile: Callable[[Storage, str], None]
) -> None:
    def load(storage: Storage, owner: str) -> tuple[int, list[Record], list[Record]]:
        held = storage.load(owner, since=0, keys=[("task", id) for id in "abcd"])
        return held.clock, list(held.changed), sorted(held.named, key=lambda each: each.clock)

    storage.commit("ada", dying.BEFORE)
    storage.commit("ada", dying.SMALL)
    after = load(storage, "ada")
    for number in range(1, 30):
        owner = f"owner {number}"
        storage.commit(owner, dying.BEFORE)
        dying.pending(storage, owner, dying.SMALL)
        reader = Paused(place.url, number, partial(load, owner=owner))
        if reader.is_over:
            assert reader.wake() == after
            break
        meanwhile(storage, owner)
        assert reader.wake() in (after, load(storage, owner))  # at the end all may be read already
    else:
        pytest.fail("a load took more than 30 commands")
    assert number > 5


@pytest.mark.parametrize("commit", [dying.SMALL, dying.STAGED, dying.FIRST_STAGED], ids=["small", "staged", "first"])
def test_a_commit_that_was_done_is_never_called_a_conflict(mongodb_url: str, storage: Storage, commit: Commit) -> None:
    # The driver tries again for as long as it may.
    hasty = f"{mongodb_url}{'&' if '?' in mongodb_url else '?'}timeoutMS=1000"
    with proxied(hasty) as (through, proxy), closing(open_storage(through)) as far:
        for number in range(40):
            owner = f"owner {number}"
            if commit.expected:
                storage.commit(owner, dying.BEFORE)
            far.load(owner, since=0)
            proxy.lose_answers(number)
            try:
                won: bool | None = wins(far, owner, commit)
            except StorageUnavailable:
                won = None
            lost = proxy.lost
            proxy.lose_answers(None)
            clock = storage.load(owner, since=2**53).clock
            assert clock in (commit.expected, commit.clock)
            assert won is None or won == (clock == commit.clock)
            if not lost:
                assert won
                return
    pytest.fail("a commit took more than 40 answers")


class TestReadersUnderConstantCommits:
    def test_every_reader_reads_while_others_commit(self, storage: Storage) -> None:
        put(storage, "ada", *(record(f"r{at}", at) for at in range(50)))
        keys = [("task", f"r{at}") for at in range(50)]
        ended = threading.Event()

        def read() -> int:
            reads = 0
            while not ended.is_set():
                held = storage.load("ada", since=0, keys=keys)
                assert [each.clock for each in held.changed] == list(range(held.clock - 50, held.clock))
                reads += 1
            return reads

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            try:
                for clock in range(50, 50 * 21, 50):
                    new = [record(f"r{at}", clock + at) for at in range(50)]
                    storage.commit("ada", Commit(expected=clock, clock=clock + 50, epoch=EPOCH, put=new))
            finally:
                ended.set()
            assert all(reader.result() > 1 for reader in readers)

    def test_a_reader_that_died_holds_a_commit_up_but_once(
        self, storage: Storage, database: Database[dict[str, Any]]
    ) -> None:
        storage.commit("ada", dying.BEFORE)
        database.mobync_owners.update_one({"_id": "ada"}, {"$addToSet": {"held": ObjectId()}})
        began = time.monotonic()
        storage.commit("ada", dying.SMALL)
        assert HOLD_SECONDS <= time.monotonic() - began < HOLD_SECONDS + 2
        began = time.monotonic()
        put(storage, "ada", record("e", 8))
        assert time.monotonic() - began < 1

    def test_a_load_that_was_torn_twice_holds_commits_up_until_it_is_over(
        self, place: Place, storage: Storage, database: Database[dict[str, Any]]
    ) -> None:
        storage.commit("ada", dying.BEFORE)
        with ThreadPoolExecutor(1) as pool:
            meanwhile: list[Future[None]] = []

            def commit() -> None:
                meanwhile.append(pool.submit(put, storage, "ada", record("a", 2**40 + len(meanwhile))))
                wait(meanwhile, timeout=1)

            with closing(dying.storage_at(place.url, *(dying.At(number, commit) for number in (2, 5, 9)))) as reader:
                held = reader.load("ada", since=0)
            for each in meanwhile:
                each.result()
        assert (len(meanwhile), held.clock) == (3, 2**40 + 2)  # the third had to wait
        assert storage.load("ada", since=0).clock == 2**40 + 3
        found = database.mobync_owners.find_one({"_id": "ada"})
        assert found is not None
        assert found["held"] == []
