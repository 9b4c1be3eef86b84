"""What one device's open transaction does to others: it hides nothing for good, and no other owner waits for it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from random import Random
from typing import Any

import psycopg
import pytest
from mobync_sql import SQLStorage
from sqlalchemy import create_engine, event, make_url

from mobync_core import Mobync, ServerBusy
from mobync_core.testing.dart import DartDevice

MODEL = "todo"
PROMPT = 1.0
"""Seconds that a sync may take at most on a busy machine."""


@pytest.fixture
def engine(url: str) -> Iterator[Mobync]:
    with Mobync(url) as engine:
        yield engine


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


only_postgresql = pytest.mark.parametrize("url", ["postgresql"], indirect=True)


@contextmanager
def commit_under_way(url: str, owner: str) -> Iterator[psycopg.Connection]:
    """A transaction that holds the owner's row, as a commit does; rolled back unless it is committed."""
    with closing(psycopg.connect(url)) as connection:
        connection.execute(
            "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES (%s, 1, 'e', -1) "
            "ON CONFLICT (owner) DO UPDATE SET clock = mobync_owners.clock + 1",
            (owner,),
        )
        yield connection
        connection.rollback()


def push(engine: Mobync, owner: str, record: str) -> float:
    """Sync a new device that has made one record; return how long that took."""
    device = a_device()
    device.create(MODEL, record, {"title": "milk"})
    begin = time.monotonic()
    sync(engine, device, owner)
    return time.monotonic() - begin


def pull(engine: Mobync, owner: str) -> set[str]:
    device = a_device()
    sync(engine, device, owner)
    return {record for _, record in device.rows}


def a_device() -> DartDevice:
    return DartDevice("token", now=lambda: 1_700_000_000_000, random=Random(0))


def sync(engine: Mobync, device: DartDevice, owner: str) -> None:
    request = device.request()
    device.receive(json.loads(json.dumps(engine.apply(request["logical_clock"], request["diffs"], owner))))


def wait_for_blocked(url: str, number: int) -> None:
    """Wait until so many transactions of this database wait for a lock."""
    deadline = time.monotonic() + 10
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        while True:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ).fetchone()
            assert row is not None
            if row[0] >= number:
                return
            assert time.monotonic() < deadline, f"{row[0]} transactions wait for a lock, not {number}"
            time.sleep(0.01)


@only_postgresql
class TestOtherOwners:
    @pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
    @pytest.mark.parametrize("end", [psycopg.Connection.commit, psycopg.Connection.rollback])
    @pytest.mark.parametrize("processes", [1, 2])
    def test_they_do_not_wait(
        self,
        url: str,
        engine: Mobync,
        pool: ThreadPoolExecutor,
        known: bool,
        end: Callable[[psycopg.Connection], None],
        processes: int,
    ) -> None:
        if known:
            push(engine, "ann", "before")
        with Mobync(url) as another:
            bobs = engine if processes == 1 else another
            push(bobs, "bob", "before")
            with commit_under_way(url, "ann") as transaction:
                waiting = pool.submit(push, engine, "ann", "after")
                wait_for_blocked(url, 1)
                took = [push(bobs, "bob", f"{number}") for number in range(50)]
                assert max(took) < PROMPT
                assert push(bobs, "cid", "first") < PROMPT
                assert pull(bobs, "ann") == ({"before"} if known else set())  # who reads waits for nobody
                assert not waiting.done()
                end(transaction)
                assert waiting.result(10) < 10
        assert pull(engine, "ann") == ({"before", "after"} if known else {"after"})
        assert len(pull(engine, "bob")) == 51

    def test_they_do_not_wait_for_a_crowd(self, url: str, engine: Mobync, pool: ThreadPoolExecutor) -> None:
        """As many devices of one owner as a server has threads, and more than there are connections in a pool."""
        push(engine, "ann", "before")
        push(engine, "bob", "before")
        with commit_under_way(url, "ann"):
            crowd = [pool.submit(push, engine, "ann", f"{number}") for number in range(31)]
            wait_for_blocked(url, 1)
            time.sleep(0.5)
            took = [push(engine, "bob", f"{number}") for number in range(20)]
        for one in crowd:
            one.result(20)
        assert max(took) < PROMPT, f"another owner's sync took {max(took):.1f} s"
        assert len(pull(engine, "ann")) == 32

    def test_who_waits_for_too_long_is_put_off(
        self, url: str, engine: Mobync, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mobync_core.attempts._PATIENCE", 0.5)  # seconds
        push(engine, "ann", "before")
        with commit_under_way(url, "ann"):
            waiting = pool.submit(push, engine, "ann", "after")
            wait_for_blocked(url, 1)
            took: list[float] = []
            while not waiting.done():
                took.append(push(engine, "bob", f"{len(took)}"))
                time.sleep(0.02)
            with pytest.raises(ServerBusy):
                waiting.result()
            assert max(took) < PROMPT
        assert pull(engine, "ann") == {"before"}
        assert push(engine, "ann", "after") < PROMPT
        assert pull(engine, "ann") == {"before", "after"}


class TestHiddenRecords:
    def test_they_are_not_skipped_for_good(self, url: str, engine: Mobync, pool: ThreadPoolExecutor) -> None:
        """A writer has its clock and is slow to commit. Nobody may get past that clock before it has.

        A reader pulls before each statement of the writer; another writer comes before the last one.
        """
        push(engine, "ann", "before")
        reader = a_device()
        sync(engine, reader, "ann")
        second: list[Future[float]] = []

        def meanwhile(statement: str) -> None:
            sync(engine, reader, "ann")
            assert (MODEL, "hidden") not in reader.rows
            if statement == "COMMIT" and not second:
                second.append(pool.submit(push, engine, "ann", "second"))
                deadline = time.monotonic() + 0.5
                while time.monotonic() < deadline and not second[0].done():
                    sync(engine, reader, "ann")

        with slow_writer(url, meanwhile) as slow:
            push(slow, "ann", "hidden")
        second[0].result(20)
        sync(engine, reader, "ann")
        assert {record for _, record in reader.rows} == {"before", "hidden", "second"}
        clocks = [record.clock for record in engine.storage.load("ann", since=0).changed]
        assert clocks == [0, 1, 2]


@contextmanager
def slow_writer(url: str, meanwhile: Callable[[str], None]) -> Iterator[Mobync]:
    """An engine that calls `meanwhile` before each of its statements."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    database = create_engine(parsed)

    def pause(_connection: object, _cursor: object, statement: str, *_: Any) -> None:
        meanwhile(statement)

    event.listen(database, "before_cursor_execute", pause)
    try:
        yield Mobync(SQLStorage(database), setup=False)
    finally:
        database.dispose()
