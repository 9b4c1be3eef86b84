"""Any number of processes may work on one store, and any of them may be killed."""

from __future__ import annotations

import time
from random import Random

import pytest

from mobync_core.errors import ConflictError
from mobync_core.hookspecs import Abilities
from mobync_core.storage import Note, Snapshot, Storage
from mobync_core.testing.examples import changed, everything, put, record
from mobync_core.testing.not_run import not_run
from mobync_core.testing.worker import BATCH, Worker

PROCESSES = 4
KILLS = 8


class Processes:
    """Processes at once, and killed ones."""

    @pytest.fixture
    def _shared(self, abilities: Abilities, request: pytest.FixtureRequest) -> None:
        if not abilities.shared:
            not_run(request, "no other process may open it (its adapter says that it is not shared)")

    @pytest.mark.usefixtures("_shared")
    @pytest.mark.parametrize("expected", [0, 5])
    def test_of_four_processes_on_one_clock_one_wins_and_the_losers_leave_no_trace(
        self, url: str, storage: Storage, prefix: str, expected: int
    ) -> None:
        with Worker.crew(url, PROCESSES) as workers:
            for turn in range(10):
                owner = f"{prefix}{turn}"
                if expected:
                    put(storage, owner, record("before", expected - 1))
                for number, worker in enumerate(workers):
                    worker.begin("race", owner=owner, expected=expected, name=str(number), threads=2)
                winners = [winner for worker in workers for winner in worker.result()]
                assert len(winners) == 1, f"{len(winners)} of 8 commits that expected one clock were done"
                snapshot, notes = everything(storage, owner)
                assert snapshot.clock == expected + 5
                written = [found.id for found in snapshot.changed if found.id != "before"]
                assert written == [f"{winners[0]}-{i}" for i in range(5)]
                assert [note.key for note in notes] == winners

    @pytest.mark.usefixtures("_shared")
    def test_no_increment_of_another_process_is_lost(self, url: str, storage: Storage, owner: str) -> None:
        with Worker.crew(url, PROCESSES) as workers:
            for worker in workers:
                worker.begin("count", owner=owner, times=40)
            for worker in workers:
                worker.result()
        held = storage.load(owner, since=0)
        assert (held.clock, held.changed[0].body) == (40 * PROCESSES, str(40 * PROCESSES))

    @pytest.mark.usefixtures("_shared")
    def test_a_writer_that_is_killed_loses_nothing_acknowledged_and_leaves_nothing_by_half(
        self, url: str, abilities: Abilities, storage: Storage, owner: str, request: pytest.FixtureRequest
    ) -> None:
        if not abilities.persistent:
            not_run(request, "nothing is said to last (its adapter says that it is not persistent)")
        chance = Random(7)
        acknowledged = 0
        for _ in range(KILLS):
            with Worker.crew(url, 1) as (worker,):
                worker.begin("write", owner=owner)
                acknowledged = int(worker.next_line())
                time.sleep(chance.uniform(0, 0.1))
                said = worker.kill().split()
            acknowledged = max([acknowledged, *map(int, said)])  # a number cut off by the end is no greater
            snapshot, notes = _settled(storage, owner)
            lost = f"a commit to the clock {acknowledged} had returned and is lost: the clock is {snapshot.clock}"
            assert snapshot.clock >= acknowledged, lost
            assert snapshot.clock % BATCH == 0
            assert [found.clock for found in snapshot.changed] == list(range(snapshot.clock))
            assert [note.key for note in notes] == [f"{at:010}" for at in range(BATCH, snapshot.clock + 1, BATCH)]
        try:
            put(storage, owner, record("after", snapshot.clock))
        except ConflictError:  # only a write tells some stores that the dead writer's last was done: load again
            put(storage, owner, record("after", snapshot.clock + BATCH))
        assert changed(storage, owner)[-1].id == "after"


def _settled(storage: Storage, owner: str) -> tuple[Snapshot, list[Note]]:
    """All of an owner, once a server has ended what it was doing for a client that is dead."""
    before = None
    while before != (now := everything(storage, owner)):
        before = now
        time.sleep(0.05)
    return now
