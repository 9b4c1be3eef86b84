"""Triggers are installed while the application writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy.exc import OperationalError

from tests.own_tables.raw import Database


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


class TestAtWork:
    @pytest.fixture
    def writers(self, database: Database) -> Iterator[Writers]:
        database.run("CREATE TABLE tasks (id VARCHAR(30) PRIMARY KEY, user_id VARCHAR(30), title VARCHAR(30))")
        with Writers(database) as writers:
            yield writers

    def test_all_that_is_not_marked_is_committed_when_they_are_there(
        self, database: Database, writers: Writers
    ) -> None:
        writers.wait_for(20)
        install_at_work(database)
        there = {id for (id,) in database.run("SELECT id FROM tasks")}
        writers.wait_for(20)
        written = writers.stop()
        marked = {mark.id for mark in database.marks()}
        assert written - there - marked == set()
        assert there - marked  # or it was no test
        assert written == {id for (id,) in database.run("SELECT id FROM tasks")}

    def test_nothing_is_missed_while_others_take_their_place(self, database: Database, writers: Writers) -> None:
        install_at_work(database)
        there = {id for (id,) in database.run("SELECT id FROM tasks")}
        for owner in ("title", "user_id", "title"):  # which have the same values
            writers.wait_for(10)
            install_at_work(database, owner=owner)
        written = writers.stop()
        assert written - there - {mark.id for mark in database.marks()} == set()


def install_at_work(database: Database, **binding: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            database.install(**binding)
        except OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


class Writers:
    """Threads that insert rows, some in transactions of several statements, until they are stopped."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopped = threading.Event()
        self._written: set[str] = set()
        self._errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(3)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def stop(self) -> set[str]:
        """Return the ids of all rows whose commit was told of."""
        self.__exit__()
        assert self._errors == []
        return self._written

    def wait_for(self, rows: int) -> None:
        wanted, deadline = len(self._written) + rows, time.monotonic() + 30
        while len(self._written) < wanted:
            assert not self._errors
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _write(self, writer: int) -> None:
        try:
            with self._database.session() as session:
                number = 0
                while not self._stopped.is_set():
                    ids = [f"{writer}-{number + more}" for more in range(1 + number % 3)]
                    number += len(ids)
                    session.run("BEGIN IMMEDIATE" if self._database.name == "sqlite" else "BEGIN")
                    for id in ids:
                        session.run(f"INSERT INTO tasks (id, user_id, title) VALUES ('{id}', 'ada', 'ada')")
                        time.sleep(0.002)
                    session.run("COMMIT")
                    self._written.update(ids)
                    time.sleep(0.001)
        except Exception as error:  # noqa: BLE001 - of another thread: told by stop()
            self._errors.append(error)
