"""Threads may work on one storage at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from mobync_core.storage import Commit, Note, Record, Storage
from mobync_core.testing.examples import EPOCH, changed, everything, put, record, tries, wins

T = TypeVar("T")

THREADS = 8


def together(work: Callable[[int], T], threads: int = THREADS) -> list[T]:
    """Do `work` in as many threads, all begun at one moment."""
    start = threading.Barrier(threads)

    def begin(number: int) -> T:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(begin, range(threads)))


class Threads:
    """Threads at once."""

    @pytest.mark.parametrize("expected", [0, 5])
    def test_of_eight_threads_on_one_clock_one_wins_and_the_losers_leave_no_trace(
        self, storage: Storage, prefix: str, expected: int
    ) -> None:
        for turn in range(10):
            owner = f"{prefix}{turn}"
            if expected:
                put(storage, owner, record("before", expected - 1))

            def attempt(number: int, owner: str = owner) -> bool:
                put = [record(f"{number}-{i}", expected + i) for i in range(20)]
                notes = [Note("history", f"{number}", "")]
                return wins(
                    storage, owner, Commit(expected=expected, clock=expected + 20, epoch=EPOCH, put=put, notes=notes)
                )

            won = together(attempt)
            winners = [number for number, done in enumerate(won) if done]
            assert len(winners) == 1, f"{len(winners)} of {THREADS} commits that expected one clock were done"
            (winner,) = winners
            snapshot, notes = everything(storage, owner)
            assert snapshot.clock == expected + 20
            written = [found.id for found in snapshot.changed if found.id != "before"]
            assert written == [f"{winner}-{i}" for i in range(20)]
            assert [note.key for note in notes] == [f"{winner}"]

    def test_no_increment_of_another_thread_is_lost(self, storage: Storage, owner: str) -> None:
        def count(number: int) -> None:
            for turn in range(15):
                for _ in tries("to raise a number in a record, in spite of other threads"):
                    held = storage.load(owner, since=0, keys=[("counter", "c")])
                    value = int(held.named[0].body) + 1 if held.named else 1
                    new = [
                        record("c", held.clock, str(value), model="counter"),
                        record(f"{number}-{turn}", held.clock + 1),
                    ]
                    epoch = held.epoch or EPOCH
                    if wins(storage, owner, Commit(expected=held.clock, clock=held.clock + 2, epoch=epoch, put=new)):
                        break

        together(count)
        held = storage.load(owner, since=0, keys=[("counter", "c")])
        assert held.named[0].body == str(15 * THREADS)
        assert held.clock == 2 * 15 * THREADS
        assert [found.clock for found in held.changed if found.model == "task"] == list(range(1, held.clock, 2))

    def test_owners_are_written_side_by_side(self, storage: Storage, prefix: str) -> None:
        def write(number: int) -> list[bool]:
            commits = [Commit(expected=i, clock=i + 1, epoch=EPOCH, put=[record(f"r{i}", i)]) for i in range(40)]
            return [wins(storage, f"{prefix}{number}", commit) for commit in commits]

        assert all(all(won) for won in together(write))
        for number in range(THREADS):
            assert [found.clock for found in changed(storage, f"{prefix}{number}")] == list(range(40))

    def test_a_load_never_sees_half_a_commit(self, storage: Storage, owner: str) -> None:
        put(storage, owner, *(record(f"r{i}", i, "0") for i in range(50)))
        keys = [("task", f"r{i}") for i in range(50)]
        done = threading.Event()

        def write() -> None:
            for turn in range(1, 40):
                clock = 50 * turn
                new = [record(f"r{i}", clock + i, str(turn)) for i in range(50)]
                storage.commit(owner, Commit(expected=clock, clock=clock + 50, epoch=EPOCH, put=new))

        def read() -> int:
            reads = 0
            while not done.is_set():
                held = storage.load(owner, since=0, keys=keys)
                if torn(held.clock, [*held.changed, *held.named]):
                    continue  # a store without snapshots; the engine reads again
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

    def test_no_change_is_skipped_because_a_commit_was_under_way(self, storage: Storage, owner: str) -> None:
        done = threading.Event()

        def write(number: int) -> None:
            for turn in range(20):
                for _ in tries("to commit, in spite of other threads"):
                    held = storage.load(owner, since=2**53)
                    clock = held.clock + 10
                    new = [record(f"{number}-{turn}-{i}", held.clock + i) for i in range(10)]
                    commit = Commit(expected=held.clock, clock=clock, epoch=held.epoch or EPOCH, put=new)
                    if wins(storage, owner, commit):
                        break

        def follow(limit: int | None) -> list[Record]:
            seen: list[Record] = []
            since = 0
            last = False
            while not last:
                last = done.is_set()
                for _ in tries("to read all that changed"):
                    held = storage.load(owner, since=since, limit=limit)
                    if torn(held.clock, held.changed):
                        continue
                    seen += held.changed
                    since = held.changed[-1].clock + 1 if limit and len(held.changed) == limit else held.clock
                    if not held.changed:
                        break
            return seen

        with ThreadPoolExecutor(THREADS) as pool:
            followers = [pool.submit(follow, limit) for limit in (None, 7)]
            writers = [pool.submit(write, number) for number in range(4)]
            try:
                for writer in writers:
                    writer.result()
            finally:
                done.set()
            for follower in followers:
                assert follower.result() == changed(storage, owner)

    def test_erasures_and_commits_leave_an_owner_whole_or_gone(self, storage: Storage, owner: str) -> None:
        def work(number: int) -> None:
            for turn in range(30):
                if number % 2:
                    storage.erase(owner)
                    continue
                held = storage.load(owner, since=0)
                new = [record(f"{number}-{turn}-{i}", held.clock + i) for i in range(3)]
                epoch = held.epoch or f"{number}-{turn}"
                wins(storage, owner, Commit(expected=held.clock, clock=held.clock + 3, epoch=epoch, put=new))

        together(work)
        held = storage.load(owner, since=0)
        assert [found.clock for found in held.changed] == list(range(held.clock))
        storage.erase(owner)
        assert everything(storage, owner)[0].changed == ()


def torn(clock: int, records: Sequence[Record]) -> bool:
    """Whether a commit fell between the reads of a load, which the contract allows if the clock was read first."""
    return any(found.clock >= clock for found in records)
