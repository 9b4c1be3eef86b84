"""Threads and processes may work on one storage at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from mobync_core import Commit, Note, Storage
from tests.storage.conftest import SHARED, Place
from tests.storage.examples import EPOCH, everything, put, record, wins

T = TypeVar("T")

THREADS = 8

_COUNT = """
import sys
from mobync_core import Commit, ConflictError, Record, open_storage
storage = open_storage(sys.argv[1])
left = 50
while left:
    held = storage.load("ada", since=0)
    number = int(held.changed[0].body) + 1 if held.changed else 1
    new = Record("counter", "c", held.clock, False, 0, str(number))
    try:
        storage.commit("ada", Commit(expected=held.clock, clock=held.clock + 1, epoch="e", put=[new]))
    except ConflictError:
        continue
    left -= 1
"""


def together(work: Callable[[int], T], threads: int = THREADS) -> list[T]:
    """Do `work` in as many threads, all begun at one moment."""
    start = threading.Barrier(threads)

    def begin(number: int) -> T:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


class TestThreads:
    @pytest.mark.parametrize("expected", [0, 5])
    def test_of_commits_on_one_expected_clock_one_wins(self, storage: Storage, expected: int) -> None:
        for turn in range(10):
            owner = f"owner {turn}"
            if expected:
                put(storage, owner, record("before", expected - 1))

            def attempt(number: int, owner: str = owner) -> bool:
                put = [record(f"{number}-{i}", expected + i) for i in range(20)]
                notes = [Note("history", f"{number}", "")]
                return wins(
                    storage, owner, Commit(expected=expected, clock=expected + 20, epoch=EPOCH, put=put, notes=notes)
                )

            won = together(attempt)
            assert won.count(True) == 1
            snapshot, notes = everything(storage, owner)
            winner = won.index(True)
            assert snapshot.clock == expected + 20
            assert [found.id for found in snapshot.changed if found.id != "before"] == [
                f"{winner}-{i}" for i in range(20)
            ]
            assert [note.key for note in notes] == [f"{winner}"]

    def test_no_increment_is_lost_and_no_clock_is_missed(self, storage: Storage) -> None:
        def count(number: int) -> None:
            left = 15
            while left:
                held = storage.load("ada", since=0, keys=[("counter", "c")])
                value = int(held.named[0].body) + 1 if held.named else 1
                new = [record("c", held.clock, str(value), model="counter"), record(f"{number}-{left}", held.clock + 1)]
                left -= wins(storage, "ada", Commit(expected=held.clock, clock=held.clock + 2, epoch=EPOCH, put=new))

        together(count)
        held = storage.load("ada", since=0, keys=[("counter", "c")])
        assert held.named[0].body == str(15 * THREADS)
        assert held.clock == 2 * 15 * THREADS
        assert [found.clock for found in held.changed if found.model == "task"] == list(range(1, held.clock, 2))

    def test_owners_are_written_side_by_side(self, storage: Storage) -> None:
        def write(number: int) -> list[bool]:
            owner = f"owner {number}"
            return [
                wins(storage, owner, Commit(expected=i, clock=i + 1, epoch=EPOCH, put=[record(f"r{i}", i)]))
                for i in range(40)
            ]

        assert all(all(won) for won in together(write))
        for number in range(THREADS):
            assert [found.clock for found in storage.load(f"owner {number}", since=0).changed] == list(range(40))

    def test_a_load_never_sees_half_a_commit(self, storage: Storage) -> None:
        put(storage, "ada", *(record(f"r{i}", i, "0") for i in range(50)))
        keys = [("task", f"r{i}") for i in range(50)]
        done = threading.Event()

        def write() -> None:
            for turn in range(1, 40):
                clock = 50 * turn
                new = [record(f"r{i}", clock + i, str(turn)) for i in range(50)]
                storage.commit("ada", Commit(expected=clock, clock=clock + 50, epoch=EPOCH, put=new))
            done.set()

        def read() -> int:
            reads = 0
            while not done.is_set():
                held = storage.load("ada", since=0, keys=keys)
                turn = held.clock // 50 - 1
                assert {found.body for found in held.changed} == {found.body for found in held.named} == {str(turn)}
                assert [found.clock for found in held.changed] == list(range(50 * turn, 50 * turn + 50))
                reads += 1
            return reads

        with ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            try:
                write()
            finally:
                done.set()
            assert all(reader.result() for reader in readers)

    def test_erasure_and_commits_leave_an_owner_whole_or_gone(self, storage: Storage) -> None:
        def work(number: int) -> None:
            for turn in range(30):
                if number % 2:
                    storage.erase("ada")
                    continue
                held = storage.load("ada", since=0)
                clock = held.clock + 3
                new = [record(f"{number}-{turn}-{i}", held.clock + i) for i in range(3)]
                wins(storage, "ada", Commit(expected=held.clock, clock=clock, epoch=EPOCH, put=new))

        together(work)
        held = storage.load("ada", since=0)
        assert [found.clock for found in held.changed] == list(range(held.clock))
        storage.erase("ada")
        assert everything(storage, "ada")[0].changed == ()


@pytest.mark.parametrize("place", SHARED, indirect=True)
class TestProcesses:
    def test_no_increment_of_another_process_is_lost(self, place: Place, storage: Storage) -> None:
        processes = [subprocess.Popen([sys.executable, "-c", _COUNT, place.url]) for _ in range(3)]
        assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
        held = storage.load("ada", since=0)
        assert (held.clock, held.changed[0].body) == (150, "150")
