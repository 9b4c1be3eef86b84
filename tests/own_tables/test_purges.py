"""A purge forgets tombstones and touches no row, whatever the application has just done to one."""

from __future__ import annotations

import time

from mobync_sql import SQLStorage
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from mobync_core import Mobync
from tests.own_tables.devices import Device, records_of, rows_of
from tests.own_tables.tables import Task
from tests.own_tables.test_pushes import agree


def deleted(mobync: Mobync, engine: Engine) -> tuple[Device, int]:
    """A device that has deleted one of two tasks, and the time after."""
    device = Device(mobync, "ada")
    for task in ("kept", "gone"):
        device.create("todo", task, {"text": task})
    device.sync()
    device.delete("todo", "gone")
    agree(mobync, engine, device)
    time.sleep(0.01)
    return device, time.time_ns() // 1_000_000


def tombstones(mobync: Mobync) -> list[str]:
    return [record.id for record in mobync.storage.load("ada", since=0).changed if record.deleted]


def test_rows_stay_with_what_is_hidden_of_them(mobync: Mobync, engine: Engine) -> None:
    device, before = deleted(mobync, engine)
    with Session(engine) as session, session.begin():
        session.get_one(Task, "kept").note = "hidden"

    assert mobync.purge(before).tombstones == 1

    assert tombstones(mobync) == []
    with Session(engine) as session:
        assert [(task.id, task.note) for task in session.query(Task)] == [("kept", "hidden")]
    agree(mobync, engine, device, Device(mobync, "ada"))
    assert isinstance(mobync.storage, SQLStorage)
    mobync.storage.rescan("todo")
    agree(mobync, engine, device, Device(mobync, "ada"))


def test_a_row_that_came_again_just_before_is_no_tombstone_any_more(mobync: Mobync, engine: Engine) -> None:
    device, before = deleted(mobync, engine)
    with Session(engine) as session, session.begin():
        session.add(Task(id="gone", user_id="ada", text="again", note="hidden"))

    assert mobync.purge(before).tombstones == 0

    agree(mobync, engine, device, Device(mobync, "ada"))
    assert device.rows["todo", "gone"]["text"] == "again"
    with Session(engine) as session:
        assert session.get_one(Task, "gone").note == "hidden"


def test_a_row_that_went_just_before_is_a_tombstone_of_now(mobync: Mobync, engine: Engine) -> None:
    device, before = deleted(mobync, engine)
    with Session(engine) as session, session.begin():
        session.delete(session.get_one(Task, "kept"))

    assert mobync.purge(before).tombstones == 1

    assert tombstones(mobync) == ["kept"]
    agree(mobync, engine, device)
    assert device.rows == {}


def test_a_row_of_the_same_id_may_come_after_it(mobync: Mobync, engine: Engine) -> None:
    device, before = deleted(mobync, engine)
    mobync.purge(before)
    with Session(engine) as session, session.begin():
        session.add(Task(id="gone", user_id="ada", text="again"))
    agree(mobync, engine, device, Device(mobync, "ada"))
    device.update("todo", "gone", {"text": "of the device"})
    agree(mobync, engine, device)
    assert rows_of(engine, "ada")["todo", "gone"]["text"] == "of the device"


def test_another_epoch_touches_no_row_and_takes_in_what_is_marked(mobync: Mobync, engine: Engine) -> None:
    device, _ = deleted(mobync, engine)
    with Session(engine) as session, session.begin():
        session.get_one(Task, "kept").text = "of the application"

    assert mobync.restored() == 1

    assert records_of(mobync, "ada")["todo", "kept"]["text"] == "of the application"
    agree(mobync, engine, device, Device(mobync, "ada"))
