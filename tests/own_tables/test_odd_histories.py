"""Histories that a reviewer found, each of which once lost an edit, or kept a device from ever syncing again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from mobync_sql import Binding, SQLStorage, open_sql
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, String, Table, text
from sqlalchemy.orm import Session

from mobync_core import Limits, Mobync, SchemaError
from tests.own_tables.devices import Device, rows_of
from tests.own_tables.tables import Project, Task
from tests.own_tables.test_application import Interrupted
from tests.own_tables.test_pushes import agree, refused

metadata = MetaData()
numbered = Table(
    "numbered",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("user_id", String(36), nullable=False),
    Column("up", Integer, ForeignKey("numbered.id")),
    Column("extra", String(10)),
)


class TestBadIds:
    def test_an_id_that_the_column_cannot_hold_is_refused_alone(self, engine: Engine) -> None:
        metadata.create_all(engine)
        with closing(SQLStorage(engine, bind=[Binding(numbered, owner="user_id")])) as storage:
            device = Device(Mobync(storage), "ada")
            device.create("numbered", "7", {})
            device.create("numbered", "seven", {})
            if engine.name != "sqlite":  # whose integers have 64 bits
                device.create("numbered", "3000000000", {})
            device.sync()
            device.sync()
            assert list(device.rows) == [("numbered", "7")]

    def test_zero_where_it_means_another_number(self, engine: Engine) -> None:
        metadata.create_all(engine)
        with closing(SQLStorage(engine, bind=[Binding(numbered, owner="user_id")])) as storage:
            device = Device(Mobync(storage), "ada")
            device.create("numbered", "0", {"extra": "zero"})
            device.sync()
            device.sync()
            with engine.connect() as connection:
                ids = connection.execute(text("SELECT id FROM numbered")).scalars().all()
            assert [("numbered", str(id)) for id in ids] == list(device.rows)


class TestChangedTables:
    def test_a_column_that_is_gone_can_be_left_out_of_the_binding(self, engine: Engine, database_url: str) -> None:
        metadata.create_all(engine)
        with closing(SQLStorage(engine, bind=[Binding(numbered, owner="user_id")])) as storage:
            device = Device(Mobync(storage), "ada")
            device.create("numbered", "1", {"extra": "x"})
            device.create("settings", "s", {"x": 1})
            device.sync()
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE numbered DROP COLUMN extra"))
        with closing(open_sql(database_url)) as storage:
            other = Device(Mobync(storage), "bob")
            other.create("settings", "s", {"x": 1})
            other.sync()  # another model is not concerned
            other.create("numbered", "2", {})
            with pytest.raises(SchemaError, match="extra"):
                other.sync()
        with (
            closing(SQLStorage(engine, bind=[Binding(numbered, owner="user_id")])) as storage,
            pytest.raises(SchemaError, match="no column extra"),
        ):
            storage.setup()
        smaller = Table("numbered", MetaData(), autoload_with=engine)
        with closing(SQLStorage(engine, bind=[Binding(smaller, owner="user_id")])) as storage:
            device.mobync = Mobync(storage)
            device.create("numbered", "3", {})
            device.sync()
            assert {id for _, id in device.rows} == {"1", "3", "s"}
            assert not device.seen()["numbered", "1"]


class TestLives:
    def test_a_row_that_is_kept_from_devices_is_not_deleted_by_a_late_edit(
        self, mobync: Mobync, engine: Engine
    ) -> None:
        one, late = Device(mobync, "ada"), Device(mobync, "ada", now=lambda: 2**50)
        one.create("todo", "t", {"text": "milk"})
        one.sync()
        late.sync()
        one.delete("todo", "t")
        one.sync()
        small = Mobync(mobync.storage, limits=Limits(record_bytes=10))
        with Session(engine) as session, session.begin():
            session.add(Task(id="t", user_id="ada", text="too large for devices"))
        late.mobync = small
        late.update("todo", "t", {"text": "bread"})
        late.sync()
        assert rows_of(engine, "ada")["todo", "t"]["text"] == "too large for devices"

    def test_of_three_bad_edits_the_create_is_kept(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "priority": 2})
        device.update("todo", "t", {"priority": 9})
        device.update("todo", "t", {"priority": 8})
        device.update("todo", "t", {"priority": 7})
        assert [one["result"] for one in device.sync()] == ["applied", *["refused"] * 3]
        agree(mobync, engine, device)
        assert device.rows["todo", "t"]["priority"] == 2

    def test_a_row_that_went_to_another_owner_unseen(self, engine: Engine) -> None:
        with closing(SQLStorage(engine, bind=[Binding(Project, owner="user_id")])) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("projects", "p", {"name": "home"})
            device.sync()
            with engine.begin() as connection:
                connection.execute(text("UPDATE projects SET user_id = 'bob'"))
            device.update("projects", "p", {"name": "mine"})
            agree(mobync, engine, device)
            assert device.rows == {}

    @pytest.mark.parametrize("trigger", ["instead", "again"])
    def test_a_delete_that_the_database_undoes(self, mobync: Mobync, engine: Engine, trigger: str) -> None:
        if engine.name == "mariadb" or (engine.name == "sqlite" and trigger == "instead"):
            pytest.skip("its triggers cannot do that")
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.sync()
        with engine.begin() as connection:
            for statement in _UNDO[engine.name, trigger]:
                connection.execute(text(statement))
        device.delete("projects", "p")
        device.sync()
        agree(mobync, engine, device)
        assert device.rows["projects", "p"]["name"] == "kept"


_UNDO = {
    ("sqlite", "again"): [
        "CREATE TRIGGER keep AFTER DELETE ON projects BEGIN "
        "INSERT INTO projects VALUES (OLD.id, OLD.user_id, 'kept'); END"
    ],
    ("postgresql", "again"): [
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO projects VALUES (OLD.id, OLD.user_id, 'kept'); RETURN NULL; END $$",
        "CREATE TRIGGER keep AFTER DELETE ON projects FOR EACH ROW EXECUTE FUNCTION keep()",
    ],
    ("postgresql", "instead"): [
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN UPDATE projects SET name = 'kept' WHERE id = OLD.id; RETURN NULL; END $$",
        "CREATE TRIGGER keep BEFORE DELETE ON projects FOR EACH ROW EXECUTE FUNCTION keep()",
    ],
}


class TestRaces:
    def test_a_mark_that_another_has_looked_at_is_not_folded_twice(self, mobync: Mobync, engine: Engine) -> None:
        """The application writes A over with B and then A again; who saw only B must not have the last word."""
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "A"})
        agree(mobync, engine, device)

        def write(value: str) -> None:
            with Session(engine) as session, session.begin():
                session.get_one(Task, "t").text = value

        write("B")
        slow = Interrupted(engine)
        slow.setup()

        def back_again() -> None:
            write("A")
            mobync.fold("ada")

        def meanwhile() -> None:
            # The second load of a fold is the one whose rows count: so the next one is interrupted, too.
            slow.meanwhile = back_again

        slow.meanwhile = meanwhile
        Mobync(slow, setup=False).fold("ada")
        agree(mobync, engine, device)
        assert device.rows["todo", "t"]["text"] == "A"

    def test_a_busy_application_does_not_keep_a_device_for_ever(self, mobync: Mobync, engine: Engine) -> None:
        if engine.name == "sqlite":
            pytest.skip("it has one writer at a time: such threads meet a locked file")
        with Session(engine) as session, session.begin():
            session.add(Task(id="busy", user_id="ada", text="0"))
        stop = threading.Event()

        def work() -> None:
            for number in range(10**6):
                if stop.is_set():
                    return
                with Session(engine) as session, session.begin():
                    session.get_one(Task, "busy").text = str(number)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            began = time.monotonic()
            device.sync()
            assert time.monotonic() - began < 9
        finally:
            stop.set()
            for thread in threads:
                thread.join(30)
        agree(mobync, engine, device)

    def test_a_row_that_the_application_holds_costs_one_device_its_patience_and_no_one_else(
        self, mobync: Mobync, engine: Engine
    ) -> None:
        if engine.name == "sqlite":
            pytest.skip("it locks no rows, but the whole file")
        ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
        ada.create("todo", "t", {"text": "milk"})
        ada.sync()
        ada.update("todo", "t", {"text": "bread"})
        with Session(engine) as session:
            session.get_one(Task, "t").text = "held"
            session.flush()
            waiting = threading.Thread(target=_ignoring(ada.sync))
            waiting.start()
            time.sleep(0.5)
            began = time.monotonic()
            bob.create("todo", "b", {"text": "milk"})
            bob.sync()
            assert time.monotonic() - began < 5
            session.commit()
        waiting.join(20)
        agree(mobync, engine, ada, bob)


def _ignoring(work: Callable[[], object]) -> Callable[[], None]:
    def do() -> None:
        work()

    return do


class TestOwners:
    def test_owners_that_only_the_database_takes_for_one(self, engine: Engine) -> None:
        """On MariaDB, ada and Ada are the same to most collations."""
        with closing(SQLStorage(engine, bind=[Binding(Project, owner="user_id"), _TASKS])) as storage:
            mobync = Mobync(storage)
            ada, other = Device(mobync, "ada"), Device(mobync, "Ada")
            ada.create("projects", "p", {"name": "home"})
            ada.sync()
            other.create("todo", "t", {"text": "in ada's", "project_id": "p"})
            other.create("todo", "u", {"text": "in nobody's", "project_id": "guessed"})
            found = refused(other.sync())
            assert found["t"] == found["u"]
            other.sync()
            assert other.rows == {}


_TASKS = Binding(Task, owner="user_id", model="todo", fields={"text": "title"}, hidden=["note"], triggers=True)


def test_a_long_chain_is_written_in_a_moment(engine: Engine) -> None:
    metadata.create_all(engine)
    with closing(SQLStorage(engine, bind=[Binding(numbered, owner="user_id")])) as storage:
        device = Device(Mobync(storage), "ada")
        chain = range(1, 301)
        for number in reversed(chain):
            device.create("numbered", str(number), {"up": number - 1 or None, "extra": "x" * (number % 3)})
        device.create("numbered", "999", {"extra": "x" * 11 if engine.name != "sqlite" else None, "up": 998})
        began = time.monotonic()
        assert set(refused(device.sync())) == {"999"}
        for number in chain:
            device.delete("numbered", str(number))
        device.sync()
        assert time.monotonic() - began < 20
        device.sync()
        assert device.rows == {}
