"""Threads and processes sync the same owner and different ones: nothing is lost, and clocks only grow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mobync_core import Commit, Mobync, MobyncError, Storage, open_storage
from tests.concurrency.checks import check
from tests.concurrency.crews import work_in_processes, work_in_threads
from tests.concurrency.worker import Report
from tests.http.storages import Behind

THREADS = 8
PROCESSES = 4
SYNCS = 200

Owners = Callable[[int], str]


def same(_number: int) -> str:
    return "ann"


def different(number: int) -> str:
    return f"owner {number}"


@pytest.fixture(params=[same, different], ids=["same-owner", "different-owners"])
def owner_of(request: pytest.FixtureRequest) -> Owners:
    chosen: Owners = request.param
    return chosen


def test_threads_of_one_engine(url: str, owner_of: Owners) -> None:
    with Mobync(url) as engine:
        reports = work_in_threads(engine, [owner_of(number) for number in range(THREADS)], SYNCS)
        tell(reports)
        check(engine.storage, reports, SYNCS)


def test_processes(url: str, owner_of: Owners, tmp_path: Path) -> None:
    reports = work_in_processes(url, [owner_of(number) for number in range(PROCESSES)], SYNCS, tmp_path)
    tell(reports)
    with closing(open_storage(url)) as storage:
        check(storage, reports, SYNCS)


def tell(reports: list[Report]) -> None:
    """Print figures, for who asks pytest for the output of tests that passed."""
    asked = sum(len(one.exchanges) for one in reports)
    print(f"{asked / max(one.seconds for one in reports):.0f} requests/s, {sum(one.busy for one in reports)} put off")


class Slow(Behind):
    """A storage in memory that, as a real one, lets others in between a load and a commit."""

    def commit(self, owner: str, commit: Commit) -> None:
        time.sleep(0.001)
        self._storage.commit(owner, commit)


class Careless(Slow):
    """One that takes every commit for one on the clock that it has."""

    def commit(self, owner: str, commit: Commit) -> None:
        time.sleep(0.001)
        clock = self._storage.load(owner, since=2**62).clock
        self._storage.commit(owner, replace(commit, expected=clock, clock=max(commit.clock, clock + 1)))


class Forgetful(Slow):
    """One that loses a record now and then."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self._commits = itertools.count(1)

    def commit(self, owner: str, commit: Commit) -> None:
        lost = next(self._commits) % 100 == 0
        super().commit(owner, replace(commit, put=commit.put[lost:]))


@pytest.mark.parametrize(("storage", "found"), [(Slow, False), (Careless, True), (Forgetful, True)])
def test_a_storage_that_loses_something_is_found_out(
    memory: Storage, storage: Callable[[Storage], Any], found: bool
) -> None:
    """The checks above would fail if they had to."""
    engine = Mobync(storage(memory))
    with pytest.raises((AssertionError, MobyncError)) if found else nullcontext():
        check(memory, work_in_threads(engine, ["ann"] * THREADS, 30), 30)
