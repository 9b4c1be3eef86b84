"""What the rest of the application writes reaches the devices."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from mobync_sql import Binding, SQLStorage, open_sql
from sqlalchemy import Engine, create_engine, delete, text, update
from sqlalchemy.orm import Session

from mobync_core import Limits, Mobync, SchemaError, ServerBusy, Snapshot
from tests.own_tables.conftest import bindings
from tests.own_tables.devices import Device, records_of, rows_of
from tests.own_tables.tables import Base, Project, Task
from tests.own_tables.test_pushes import agree


class TestWrites:
    def test_the_orm(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        with Session(engine) as session, session.begin():
            project = Project(id="p", user_id="ada", name="home")
            project.tasks = [Task(id="t", user_id="ada", text="milk"), Task(id="u", user_id="ada", text="bread")]
            session.add(project)
        agree(mobync, engine, device)
        assert len(device.rows) == 3
        with Session(engine) as session, session.begin():
            session.get_one(Task, "t").text = "oat milk"
            session.delete(session.get_one(Task, "u"))
        agree(mobync, engine, device)
        assert device.rows["todo", "t"]["text"] == "oat milk"
        assert ("todo", "u") not in device.rows

    def test_bulk_statements_of_a_session(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        with Session(engine) as session, session.begin():
            session.add_all([Task(id=f"t{number}", user_id="ada", text="milk") for number in range(50)])
        agree(mobync, engine, device)
        with Session(engine) as session, session.begin():
            session.execute(update(Task).where(Task.id.like("t1%")).values(done=True))
            session.execute(delete(Task).where(Task.id.like("t2%")))
        agree(mobync, engine, device)
        assert sum(row["done"] for row in device.rows.values()) == 11
        assert len(device.rows) == 39

    def test_what_is_rolled_back_never_was(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        with Session(engine) as session:
            session.add(Task(id="t", user_id="ada", text="milk"))
            session.flush()
            session.rollback()
        agree(mobync, engine, device)
        assert device.rows == {}
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM mobync_outbox")).scalar() == 0

    def test_a_row_that_changes_owner_leaves_one_and_comes_to_the_other(self, mobync: Mobync, engine: Engine) -> None:
        ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
        ada.create("todo", "t", {"text": "milk"})
        agree(mobync, engine, ada, bob)
        with Session(engine) as session, session.begin():
            session.get_one(Task, "t").user_id = "bob"
        agree(mobync, engine, ada, bob)
        assert (list(ada.rows), list(bob.rows)) == ([], [("todo", "t")])
        with Session(engine) as session, session.begin():
            session.get_one(Task, "t").user_id = None
        agree(mobync, engine, ada, bob)
        assert bob.rows == {}

    def test_hidden_columns_are_no_change(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        device.sync()
        clock = device.clock
        with Session(engine) as session, session.begin():
            session.get_one(Task, "t").note = "not for devices"
        agree(mobync, engine, device)
        assert device.clock == clock
        with engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM mobync_outbox")).scalar() == 0

    @pytest.mark.parametrize("device_ms", [-3_600_000, 3_600_000])
    def test_who_wrote_later_wins_a_field(self, engine: Engine, mobync: Mobync, device_ms: int) -> None:
        """The application's write counts from when it was made, not from when Mobync looks at it."""
        device = Device(mobync, "ada", now=lambda: int(time.time() * 1000) + device_ms)
        device.create("todo", "t", {"text": "milk"})
        device.sync()
        device.update("todo", "t", {"text": "the device's"})
        with Session(engine) as session, session.begin():
            task = session.get_one(Task, "t")
            task.text, task.done = "the application's", True
        device.update("todo", "t", {"priority": 1})
        agree(mobync, engine, device)
        row = device.rows["todo", "t"]
        assert (row["done"], row["priority"]) == (True, 1)
        if device_ms < 0:
            assert row["text"] == "the application's"
        agree(mobync, engine, device)

    def test_a_row_that_is_too_large_for_devices_is_kept_from_them_and_said(
        self, mobync: Mobync, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Session(engine) as session, session.begin():
            session.add(Task(id="small", user_id="ada", text="milk"))
        mobync.fold("ada")
        (record,) = mobync.storage.load("ada", since=0).changed
        small = Mobync(mobync.storage, limits=Limits(record_bytes=len(record.body) + 20))
        device = Device(small, "ada")
        with Session(engine) as session, session.begin():
            session.add(Task(id="large", user_id="ada", text="x" * 50))
        device.sync()
        assert set(device.rows) == {("todo", "small")}
        assert "todo/large of owner 'ada'" in caplog.text
        with Session(engine) as session, session.begin():
            session.get_one(Task, "large").text = "bread"
        agree(small, engine, device)
        assert set(device.rows) == {("todo", "small"), ("todo", "large")}

    def test_a_value_that_is_none_of_its_column_concerns_its_own_row(
        self, mobync: Mobync, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        if engine.name != "sqlite":
            pytest.skip("only SQLite takes a value of another type than the column's")
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        device.create("todo", "u", {"text": "bread"})
        agree(mobync, engine, device)
        with engine.begin() as connection:
            connection.execute(text("UPDATE tasks SET due = 'soon' WHERE id = 't'"))
            connection.execute(text("UPDATE tasks SET due = '2026-12-24' WHERE id = 'u'"))
        assert isinstance(mobync.storage, SQLStorage)
        mobync.storage.rescan("todo")
        device.sync()
        assert device.rows["todo", "u"]["due"] == "2026-12-24"
        assert "due" not in device.rows["todo", "t"]
        assert "todo/t of owner 'ada'" in caplog.text

    def test_reads_of_the_application_know_it(self, mobync: Mobync, engine: Engine) -> None:
        with Session(engine) as session, session.begin():
            session.add(Task(id="t", user_id="ada", text="milk"))
        found = mobync.get("ada", "todo", "t")
        assert found is not None
        assert found["text"] == "milk"
        assert [record["id"] for record in mobync.records("ada", "todo")] == ["t"]


class Interrupted(SQLStorage):
    """A storage whose first load that tells of something outside is overtaken by what `meanwhile` does."""

    meanwhile: Callable[[], object] | None = None

    def load(self, owner: str, **asked: Any) -> Snapshot:
        snapshot = super().load(owner, **asked)
        if snapshot.outside and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return snapshot


class TestRaces:
    def test_who_looked_too_early_does_not_undo_what_came_between(self, mobync: Mobync, engine: Engine) -> None:
        one, two = Device(mobync, "ada"), Device(mobync, "ada")
        one.create("todo", "t", {"text": "one"})
        agree(mobync, engine, one, two)
        with Session(engine) as session, session.begin():
            session.get_one(Task, "t").done = True
        slow = Interrupted(engine)
        slow.setup()
        one.update("todo", "t", {"text": "two"})
        slow.meanwhile = one.sync  # it folds the row in, and writes over it
        two.mobync = Mobync(slow)
        agree(mobync, engine, two, one)
        assert one.rows["todo", "t"]["text"] == "two"
        assert one.rows["todo", "t"]["done"] is True


class TestOtherProcesses:
    def test_one_that_opens_the_url_knows_the_tables(self, mobync: Mobync, engine: Engine, database_url: str) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "price": "1.50", "due": "2026-12-24", "status": "DONE"})
        device.sync()
        with closing(open_sql(database_url)) as storage:
            other = Mobync(storage)
            second = Device(other, "ada")
            second.create("projects", "p", {"name": "home"})
            second.create(
                "todo", "u", {"text": "bread", "price": 2.5, "due": "2026-12-25", "project_id": "p", "status": "OPEN"}
            )
            second.create("todo", "bad", {"text": "bread", "status": "LATER"})
            outcomes = second.sync()
            assert [one["result"] for one in outcomes] == ["applied", "applied", "refused"], outcomes
            agree(other, engine, second)
        agree(mobync, engine, device)

    def test_one_that_was_open_before_the_tables_were_bound(self, engine: Engine, database_url: str) -> None:
        with closing(open_sql(database_url)) as storage:
            early = Mobync(storage)
            device = Device(early, "ada")
            device.create("settings", "s", {"x": 1})
            device.sync()
            with closing(SQLStorage(engine, bind=bindings(triggers=True))) as bound:
                bound.setup()
            device.create("todo", "t", {"text": "milk", "status": "OPEN"})  # Python's default is not the database's
            device.create("todo", "u", {"text": None})
            device.create("todo", "v", {"text": "bread", "status": "OPEN", "no such field": 1})
            device.sync()
            device.sync()
            assert set(rows_of(engine, "ada")) == {("todo", "t")}
            assert set(device.rows) == {("settings", "s"), ("todo", "t")}


def test_a_server_that_was_never_reached_is_busy() -> None:
    with Mobync("postgresql://nobody@127.0.0.1:1/nothing", setup=False) as mobync:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        with pytest.raises(ServerBusy, match="out of reach"):
            device.sync()
        with pytest.raises(ServerBusy, match="out of reach"):
            mobync.create("ada", "todo", {"text": "milk"})


class TestTakingOver:
    def test_rows_that_are_there_already_reach_the_devices(self, engine: Engine) -> None:
        with Session(engine) as session, session.begin():
            session.add(Project(id="p", user_id="ada", name="home"))
            session.add_all(
                [Task(id=f"t{number:04}", user_id="ada", text="milk", project_id="p") for number in range(2500)]
            )
            session.add(Task(id="b", user_id="bob", text="bread"))
            session.add(Task(id="n", user_id=None, text="nobody's"))
        with closing(SQLStorage(engine, bind=bindings(triggers=False))) as storage:
            mobync = Mobync(storage)
            ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
            agree(mobync, engine, ada, bob)
            assert (len(ada.rows), len(bob.rows)) == (2501, 1)
            with engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM mobync_outbox")).scalar() == 0

    def test_binding_again_is_nothing(self, engine: Engine) -> None:
        for _ in range(2):
            with closing(SQLStorage(engine, bind=bindings(triggers=True))) as storage:
                mobync = Mobync(storage)
                device = Device(mobync, "ada")
                device.create("todo", "t", {"text": "milk"})
                agree(mobync, engine, device)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT max(generation) FROM mobync_bindings")).scalar() == 2

    def test_a_table_that_was_rebuilt_without_its_triggers(self, engine: Engine) -> None:
        with closing(SQLStorage(engine, bind=bindings(triggers=True))) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            agree(mobync, engine, device)
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE tasks"))
            Base.metadata.create_all(engine)
            with Session(engine) as session, session.begin():
                session.add(Task(id="t", user_id="ada", text="from a backup"))
            storage.setup()
            with Session(engine) as session, session.begin():
                session.add(Task(id="u", user_id="ada", text="bread"))
            agree(mobync, engine, device)
            assert len(device.rows) == 2
            assert device.rows["todo", "t"]["text"] == "from a backup"

    def test_a_table_is_one_model(self, engine: Engine) -> None:
        twice = [Binding(Project, owner="user_id"), Binding(Project, owner="user_id", model="lists")]
        with (
            closing(SQLStorage(engine, bind=twice)) as storage,
            pytest.raises(SchemaError, match="is the model projects"),
        ):
            storage.setup()

    def test_a_column_that_devices_may_see_from_now_on(self, engine: Engine) -> None:
        hiding = Binding(Task, owner="user_id", model="todo", fields={"text": "title"}, hidden=["note", "price"])
        with closing(SQLStorage(engine, bind=[hiding])) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            device.sync()
            with Session(engine) as session, session.begin():
                session.get_one(Task, "t").price = 5  # type: ignore[assignment]
            device.sync()
            assert "price" not in device.rows["todo", "t"]
        showing = Binding(Task, owner="user_id", model="todo", fields={"text": "title"}, hidden=["note"])
        with closing(SQLStorage(engine, bind=[showing])) as storage:
            device.mobync = Mobync(storage)
            device.sync()
            assert device.rows["todo", "t"]["price"] == "5.00"

    def test_records_that_are_no_rows_are_not_lost(self, engine: Engine, database_url: str) -> None:
        with Mobync(database_url) as mobync:
            mobync.create("ada", "todo", {"id": "t", "text": "milk"})
        with (
            closing(SQLStorage(engine, bind=bindings(triggers=False))) as storage,
            pytest.raises(SchemaError, match="another model name"),
        ):
            storage.setup()

    def test_a_table_that_is_not_there(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE tasks"))
        with (
            closing(SQLStorage(engine, bind=bindings(triggers=False))) as storage,
            pytest.raises(SchemaError, match="no table tasks"),
        ):
            storage.setup()

    def test_sqlite_must_check_references(self, tmp_path: object) -> None:
        engine = create_engine(f"sqlite:///{tmp_path}/plain.db")
        Project.metadata.create_all(engine)
        with (
            closing(SQLStorage(engine, bind=bindings(triggers=False))) as storage,
            pytest.raises(SchemaError, match="PRAGMA foreign_keys"),
        ):
            storage.setup()
        engine.dispose()


class TestUncaught:
    def test_without_triggers_raw_sql_is_found_by_a_rescan(self, engine: Engine) -> None:
        with closing(SQLStorage(engine, bind=bindings(triggers=False))) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            for name in ("t", "u", "v"):
                device.create("todo", name, {"text": "milk"})
            agree(mobync, engine, device)
            with engine.begin() as connection:
                connection.execute(text("UPDATE tasks SET title = 'oat milk' WHERE id = 't'"))
                connection.execute(text("DELETE FROM tasks WHERE id = 'u'"))
            device.sync()
            assert device.rows["todo", "t"]["text"] == "milk"
            storage.rescan("todo")
            agree(mobync, engine, device)
            assert device.rows["todo", "t"]["text"] == "oat milk"
            assert ("todo", "u") not in device.rows

    def test_a_device_edits_a_row_that_is_gone_unseen(self, engine: Engine) -> None:
        with closing(SQLStorage(engine, bind=bindings(triggers=False))) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            agree(mobync, engine, device)
            with engine.begin() as connection:
                connection.execute(text("DELETE FROM tasks"))
            device.update("todo", "t", {"text": "oat milk"})
            agree(mobync, engine, device)
            assert device.rows == {}

    def test_with_triggers_raw_sql_is_caught(self, engine: Engine, database_url: str) -> None:
        with closing(SQLStorage(engine, bind=bindings(triggers=True))) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            agree(mobync, engine, device)
            with engine.begin() as connection:
                connection.execute(text("UPDATE tasks SET title = 'oat milk'"))
                connection.execute(text("INSERT INTO projects (id, user_id, name) VALUES ('p', 'ada', 'home')"))
            agree(mobync, engine, device)
            assert device.rows["todo", "t"]["text"] == "oat milk"
            assert ("projects", "p") in device.rows
            assert records_of(mobync, "ada") == rows_of(engine, "ada")
