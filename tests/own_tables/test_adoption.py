"""A table is adopted by its name, while the application that it belongs to is at work."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import count

import pytest
from mobync_sql import open_sql
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from mobync_core import Mobync, SchemaError
from mobync_core.adoption import Adoption
from tests.own_tables.devices import Device, records_of, rows_of
from tests.own_tables.tables import Project, Task

OWNERS = ("ada", "bob", "eve")


class Writers:
    """An application at work on its table, by its ORM, which knows nothing of Mobync."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(2)]
        self.errors: list[Exception] = []
        self.done = 0

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads)

    def _work(self, number: int) -> None:
        try:
            for turn in count():
                if self._stop.wait(0.002):
                    return
                with Session(self._engine) as session, session.begin():
                    self._write(session, number, turn)
                self.done += 1
        except Exception as error:  # noqa: BLE001 - the test tells it
            self.errors.append(error)

    def _write(self, session: Session, number: int, turn: int) -> None:
        name = f"new{number}-{turn}"
        session.add(Task(id=name, user_id=OWNERS[turn % 3], text="new"))
        old = session.get(Task, f"t{number}{turn % 500:04}")
        if old is not None and turn % 5 == 0:
            old.user_id = OWNERS[(turn + 1) % 3]
        elif old is not None and turn % 7 == 0:
            session.delete(old)
        elif old is not None:
            old.text = f"changed {turn}"


def test_the_application_goes_on_and_nothing_is_missed(engine: Engine, database_url: str) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(
            Task(id=f"t{thread}{number:04}", user_id=OWNERS[number % 3], text="old")
            for thread in range(2)
            for number in range(2000)
        )
    with closing(open_sql(database_url)) as storage:
        assert isinstance(storage, Adoption)
        mobync = Mobync(storage)
        device = Device(mobync, "ada")
        with Writers(engine) as writers:
            told: list[tuple[int, int]] = []
            hidden = ("note", "created_at")
            bound = storage.adopt(
                "tasks",
                owner="user_id",
                model="todo",
                fields={"text": "title"},
                hidden=hidden,
                read_only=["approved"],
                progress=lambda done, total: told.append((done, total)),
            )
            for owner in storage.marked_owners():
                mobync.fold(owner)
            for number in range(20):
                device.create("todo", f"device{number}", {"text": "offline", "status": "OPEN"})
                device.sync()
        assert writers.errors == []
        assert writers.done > 20
        assert told[-1][0] >= 4000
        assert bound.caught == "triggers"
        for owner in OWNERS:
            rows = {
                key: {name: value for name, value in row.items() if name != "created_at"}
                for key, row in rows_of(engine, owner).items()
            }
            fresh = Device(mobync, owner)
            fresh.sync()
            assert records_of(mobync, owner) == rows
            assert fresh.seen() == rows


def test_what_was_cut_off_goes_on_where_it_was(engine: Engine, database_url: str) -> None:
    class CutOff(Exception):
        pass

    def cut(done: int, _total: int) -> None:
        if done >= 2000:
            raise CutOff

    with Session(engine) as session, session.begin():
        session.add_all(Project(id=f"p{number:04}", user_id="ada", name=f"{number}") for number in range(3500))
    with closing(open_sql(database_url)) as storage:
        storage.setup()
        with pytest.raises(CutOff):
            storage.adopt("projects", owner="user_id", progress=cut)
    with closing(open_sql(database_url)) as storage:
        told: list[int] = []
        storage.adopt("projects", owner="user_id", progress=lambda done, _: told.append(done))
        assert told[-1] == 1500
        assert len(list(Mobync(storage).records("ada", "projects"))) == 3500


@pytest.mark.usefixtures("engine")
def test_names_that_are_none(database_url: str) -> None:
    with closing(open_sql(database_url)) as storage:
        storage.setup()
        with pytest.raises(SchemaError, match=r"no table project; did you mean projects\?"):
            storage.adopt("project", owner="user_id")
        with pytest.raises(ValueError, match="did you mean 'user_id'"):
            storage.adopt("projects", owner="userid")
        with pytest.raises(SchemaError, match="bound are: none"):
            storage.rescan("projects")
        assert storage.bound_models() == []


def test_a_table_in_another_schema(engine: Engine, database_url: str) -> None:
    if engine.name != "postgresql":
        pytest.skip("of these databases only PostgreSQL has schemas within a database")
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA shop"))
        connection.execute(text("CREATE TABLE shop.orders (id text PRIMARY KEY, user_id text, total numeric(10, 2))"))
        connection.execute(text("INSERT INTO shop.orders VALUES ('o1', 'ada', 12.5)"))
    with closing(open_sql(database_url)) as storage:
        mobync = Mobync(storage)
        storage.adopt("shop.orders", owner="user_id", model="orders")
        device = Device(mobync, "ada")
        device.create("orders", "o2", {"total": "7.00"})
        device.sync()
        device.sync()
        assert device.rows == {("orders", "o1"): {"total": "12.50"}, ("orders", "o2"): {"total": "7.00"}}
    other = create_engine(engine.url)
    with other.begin() as connection:
        rows = connection.execute(text("SELECT id, total::text FROM shop.orders ORDER BY id")).all()
    other.dispose()
    assert rows == [("o1", "12.50"), ("o2", "7.00")]
