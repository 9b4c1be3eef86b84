"""What devices push becomes rows of the application's tables, or is refused alone."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from mobync_sql import Binding, SQLStorage
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session

from mobync_core import InvalidRecord, Mobync, StorageError
from tests.own_tables.devices import Device, records_of, rows_of
from tests.own_tables.tables import Project, Status, Task


def agree(mobync: Mobync, engine: Engine, *devices: Device) -> None:
    for device in devices:
        device.sync()
        rows = rows_of(engine, device.owner)
        assert records_of(mobync, device.owner) == rows
        assert device.seen() == rows


def refused(outcomes: list[dict[str, Any]]) -> dict[str, str]:
    return {one["record"]: one["reason"] for one in outcomes if one["result"] == "refused"}


class TestRows:
    def test_a_create_is_a_typed_row(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        fields = {
            "project_id": "p",
            "text": "milk",
            "price": "12.50",
            "done": True,
            "due": "2026-12-24",
            "status": "DONE",
        }
        device.create("todo", "t", fields)
        assert refused(device.sync()) == {}
        with Session(engine) as session:
            task = session.get_one(Task, "t")
            assert task.project is not None
            assert (task.user_id, task.project.name, task.text) == ("ada", "home", "milk")
            assert (str(task.price), task.done, str(task.due), task.status) == (
                "12.50",
                True,
                "2026-12-24",
                Status.DONE,
            )
        agree(mobync, engine, device, Device(mobync, "ada"))

    def test_updates_deletes_and_lives(self, mobync: Mobync, engine: Engine) -> None:
        one, two = Device(mobync, "ada"), Device(mobync, "ada")
        one.create("todo", "t", {"text": "milk"})
        one.sync()
        two.sync()
        two.update("todo", "t", {"done": True})
        one.update("todo", "t", {"text": "oat milk"})
        agree(mobync, engine, one, two, one)
        assert rows_of(engine, "ada")["todo", "t"]["text"] == "oat milk"
        one.delete("todo", "t")
        agree(mobync, engine, one, two)
        assert rows_of(engine, "ada") == {}
        two.create("todo", "t", {"text": "again", "price": "1.00"})
        agree(mobync, engine, two, one)
        two.delete("todo", "t")
        two.create("todo", "t", {"text": "in one batch"})
        agree(mobync, engine, two, one)
        assert "price" not in rows_of(engine, "ada")["todo", "t"]

    def test_what_the_database_makes_of_it_comes_with_the_same_answer(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "price": 12.345})
        device.sync()
        row = device.seen()["todo", "t"]
        assert row["priority"] == 3
        assert row["done"] is False
        assert row["status"] == "OPEN"
        assert row["price"] in ("12.34", "12.35")  # the databases round differently
        assert row["created_at"]
        assert row == rows_of(engine, "ada")["todo", "t"]

    def test_the_outcome_is_that_of_the_edit_all_the_same(self, mobync: Mobync) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "price": 12.345})
        assert [one["result"] for one in device.sync()] == ["applied"]

    def test_sending_again_changes_nothing(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.create("todo", "t", {"text": "milk", "price": 12.345, "project_id": "p"})
        request = device.request()
        mobync.apply(request["logical_clock"], request["diffs"], "ada")
        before = rows_of(engine, "ada")
        agree(mobync, engine, device)
        assert rows_of(engine, "ada") == before

    def test_models_that_are_not_bound_lie_beside(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("settings", "s", {"anything": [1, {"goes": True}]})
        device.create("todo", "t", {"text": "milk"})
        assert refused(device.sync()) == {}
        assert mobync.get("ada", "settings", "s") == {"id": "s", "anything": [1, {"goes": True}]}

    def test_a_fault_in_the_middle_leaves_neither_rows_nor_records(self, mobync: Mobync, engine: Engine) -> None:
        def fail(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
            if statement.startswith("INSERT INTO mobync_records"):
                raise RuntimeError("out of order")

        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        event.listen(engine, "before_cursor_execute", fail)
        with pytest.raises(RuntimeError, match="out of order"):
            device.sync()
        event.remove(engine, "before_cursor_execute", fail)
        assert rows_of(engine, "ada") == {}
        agree(mobync, engine, device)
        assert list(rows_of(engine, "ada")) == [("todo", "t")]

    def test_the_application_writes_through_mobync(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        mobync.create("ada", "todo", {"id": "t", "text": "milk", "approved": True})
        mobync.update("ada", "todo", "t", {"priority": 5})
        agree(mobync, engine, device)
        assert device.seen()["todo", "t"]["approved"] is True
        with pytest.raises(InvalidRecord, match="priority"):
            mobync.update("ada", "todo", "t", {"priority": "high"})
        with pytest.raises(InvalidRecord, match="'priority' must not have this value"):
            mobync.update("ada", "todo", "t", {"priority": 9})
        mobync.delete("ada", "todo", "t")
        agree(mobync, engine, device)


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({}, "'text' must have a value"),
            ({"text": None}, "'text' must have a value"),
            ({"text": "x" * 51}, "51 characters"),
            ({"text": 7}, "'text' must be a text"),
            ({"text": "a", "priority": 6}, "'priority' must not have this value"),
            ({"text": "a", "priority": 2**40}, "priority"),
            ({"text": "a", "priority": "1"}, "'priority' must be"),
            ({"text": "a", "done": 1}, "'done' must be"),
            ({"text": "a", "price": "much"}, "'price' must be"),
            ({"text": "a", "price": "123456789.00"}, "price"),
            ({"text": "a", "due": "tomorrow"}, "'due' must be"),
            ({"text": "a", "status": "LATER"}, "'status' must be"),
            ({"text": "a", "project_id": "none"}, "project_id"),
            ({"text": "a", "note": "hidden"}, "no field 'note'"),
            ({"text": "a", "user_id": "bob"}, "no field 'user_id'"),
            ({"text": "a", "title": "the column's name"}, "no field 'title'"),
            ({"text": "a\0b"}, "'text'"),
        ],
    )
    def test_a_row_that_cannot_be_is_refused_alone(
        self, mobync: Mobync, engine: Engine, fields: dict[str, Any], reason: str
    ) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "good", {"text": "milk"})
        device.create("todo", "bad", fields)
        device.create("todo", "fine", {"text": "bread"})
        found = refused(device.sync())
        assert list(found) == ["bad"]
        assert reason in found["bad"]
        agree(mobync, engine, device, Device(mobync, "ada"))
        assert {id for _, id in device.rows} == {"good", "fine"}

    def test_a_name_that_is_taken(self, mobync: Mobync, engine: Engine) -> None:
        one, two = Device(mobync, "ada"), Device(mobync, "ada")
        one.create("projects", "p", {"name": "home"})
        two.create("projects", "q", {"name": "home"})
        two.create("todo", "t", {"text": "in q", "project_id": "q"})
        two.create("todo", "u", {"text": "in none"})
        agree(mobync, engine, one)
        found = refused(two.sync())
        assert set(found) == {"q", "t"}
        assert "name" in found["q"]
        assert "project_id" in found["t"]
        agree(mobync, engine, two, one)
        assert set(two.rows) == {("projects", "p"), ("todo", "u")}

    def test_only_the_edit_at_fault_is_refused(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.create("projects", "q", {"name": "work"})
        device.create("todo", "t", {"text": "milk"})
        device.update("projects", "q", {"name": "home"})
        device.update("todo", "t", {"priority": 9})
        device.update("todo", "t", {"text": "oat milk"})
        assert [one["result"] for one in device.sync()] == ["applied"] * 3 + ["refused"] * 2 + ["applied"]
        agree(mobync, engine, device)
        assert device.rows["projects", "q"]["name"] == "work"
        assert device.rows["todo", "t"]["text"] == "oat milk"

    def test_names_can_be_handed_on_in_one_batch(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.create("todo", "t", {"text": "milk", "project_id": "p"})
        device.sync()
        device.update("projects", "p", {"name": "old home"})
        device.create("projects", "q", {"name": "home"})
        device.update("todo", "t", {"project_id": "q"})
        device.delete("projects", "p")
        assert refused(device.sync()) == {}
        agree(mobync, engine, device)
        assert set(device.rows) == {("projects", "q"), ("todo", "t")}

    def test_a_row_of_another_owner(self, mobync: Mobync, engine: Engine) -> None:
        ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
        ada.create("projects", "p", {"name": "home"})
        ada.sync()
        bob.create("projects", "p", {"name": "mine"})
        bob.create("todo", "t", {"text": "in ada's", "project_id": "p"})
        bob.create("todo", "u", {"text": "in nobody's", "project_id": "guessed"})
        found = refused(bob.sync())
        assert found["p"] == "this id is taken"
        assert found["t"] == found["u"]  # or it would tell which ids there are
        bob.update("projects", "p", {"name": "mine"})
        bob.delete("projects", "p")
        agree(mobync, engine, bob, ada)
        assert bob.rows == {}
        assert rows_of(engine, "ada") == {("projects", "p"): {"name": "home"}}

    def test_what_devices_may_not_write_is_ignored_and_put_right(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "approved": True})
        (outcome,) = device.sync()
        assert outcome["result"] == "merged"
        assert "approved" in outcome["reason"]
        agree(mobync, engine, device)
        assert device.rows["todo", "t"]["approved"] is False
        with Session(engine) as session, session.begin():
            session.get_one(Task, "t").approved = True
        device.update("todo", "t", {"text": "oat milk", "approved": False})
        device.sync()
        assert device.rows["todo", "t"]["approved"] is True
        agree(mobync, engine, device)
        device.update("todo", "t", {"text": "milk", "approved": True})  # a whole row, as it was told
        assert [one["result"] for one in device.sync()] == ["applied"]
        agree(mobync, engine, device)

    def test_a_thousand_edits_of_one_record_the_first_of_which_is_bad(self, mobync: Mobync, engine: Engine) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "0", "priority": 9})
        for number in range(1, 1000):
            device.update("todo", "t", {"text": str(number)})
        assert set(refused(device.sync())) == {"t"}
        agree(mobync, engine, device)

    def test_a_hidden_column_that_needs_a_value_is_not_named(self, engine: Engine) -> None:
        with closing(SQLStorage(engine, bind=[Binding(Task, owner="user_id", hidden=["title"])])) as storage:
            device = Device(Mobync(storage), "ada")
            device.create("tasks", "t", {"priority": 1})
            assert refused(device.sync()) == {"t": "a value is missing"}

    def test_errors_that_are_no_fault_of_a_row_stay_errors(self, mobync: Mobync, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE tasks RENAME TO gone"))
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        with pytest.raises(StorageError, match="tasks"):
            device.sync()


class TestCascades:
    def test_what_the_database_deletes_too_is_deleted_on_every_device(self, mobync: Mobync, engine: Engine) -> None:
        one, two = Device(mobync, "ada"), Device(mobync, "ada")
        one.create("projects", "p", {"name": "home"})
        one.create("todo", "t", {"text": "milk", "project_id": "p"})
        one.create("todo", "u", {"text": "bread"})
        agree(mobync, engine, one, two)
        one.delete("projects", "p")
        one.sync()
        assert set(one.rows) == {("todo", "u")}  # in the same answer
        two.update("todo", "t", {"text": "oat milk"})
        agree(mobync, engine, two, one)
        assert set(rows_of(engine, "ada")) == {("todo", "u")}

    def test_rows_of_other_owners_too(self, mobync: Mobync, engine: Engine) -> None:
        ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
        ada.create("projects", "p", {"name": "home"})
        ada.sync()
        with Session(engine) as session, session.begin():
            session.add(Task(id="t", user_id="bob", project=session.get_one(Project, "p"), text="shared"))
        agree(mobync, engine, bob)
        assert set(bob.rows) == {("todo", "t")}
        ada.delete("projects", "p")
        agree(mobync, engine, ada, bob)
        assert bob.rows == {}
