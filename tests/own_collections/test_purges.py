"""A purge forgets tombstones and touches no document, whatever the application has just done to one."""

from __future__ import annotations

import time
from typing import Any

from mobync_mongodb import CapturedCollection
from pymongo.database import Database

from mobync_core import Mobync
from tests.own_collections.documents import agree, documents_of
from tests.own_tables.devices import Device


def deleted(mobync: Mobync, database: Database[Any]) -> tuple[Device, int]:
    """A device that has deleted one of two tasks, and the time after."""
    device = Device(mobync, "ada")
    for task in ("kept", "gone"):
        device.create("todo", task, {"text": task})
    device.sync()
    device.delete("todo", "gone")
    agree(mobync, database, device)
    time.sleep(0.01)
    return device, time.time_ns() // 1_000_000


def tombstones(mobync: Mobync) -> list[str]:
    return [record.id for record in mobync.storage.load("ada", since=0).changed if record.deleted]


def test_documents_stay_with_what_is_hidden_of_them(
    mobync: Mobync, database: Database[Any], tasks: CapturedCollection
) -> None:
    device, before = deleted(mobync, database)
    tasks.update_one({"_id": "kept"}, {"$set": {"note": "hidden"}})

    assert mobync.purge(before).tombstones == 1

    assert tombstones(mobync) == []
    assert [(task["_id"], task["note"]) for task in database.tasks.find()] == [("kept", "hidden")]
    agree(mobync, database, device, Device(mobync, "ada"))


def test_a_document_that_came_again_just_before_is_no_tombstone_any_more(
    mobync: Mobync, database: Database[Any], tasks: CapturedCollection
) -> None:
    device, before = deleted(mobync, database)
    tasks.insert_one({"_id": "gone", "user_id": "ada", "title": "again", "note": "hidden"})

    assert mobync.purge(before).tombstones == 0

    agree(mobync, database, device, Device(mobync, "ada"))
    assert device.rows["todo", "gone"]["text"] == "again"
    assert database.tasks.find_one({"_id": "gone"}, {"note": 1}) == {"_id": "gone", "note": "hidden"}


def test_a_document_that_went_just_before_is_a_tombstone_of_now(
    mobync: Mobync, database: Database[Any], tasks: CapturedCollection
) -> None:
    device, before = deleted(mobync, database)
    tasks.delete_one({"_id": "kept"})

    assert mobync.purge(before).tombstones == 1

    assert tombstones(mobync) == ["kept"]
    agree(mobync, database, device)
    assert device.rows == {}


def test_a_document_of_the_same_id_may_come_after_it(
    mobync: Mobync, database: Database[Any], tasks: CapturedCollection
) -> None:
    device, before = deleted(mobync, database)
    mobync.purge(before)
    tasks.insert_one({"_id": "gone", "user_id": "ada", "title": "again"})
    agree(mobync, database, device, Device(mobync, "ada"))
    device.update("todo", "gone", {"text": "of the device"})
    agree(mobync, database, device)
    assert documents_of(database, "ada")["todo", "gone"]["text"] == "of the device"


def test_another_epoch_touches_no_document_and_takes_in_what_is_marked(
    mobync: Mobync, database: Database[Any], tasks: CapturedCollection
) -> None:
    device, _ = deleted(mobync, database)
    tasks.update_one({"_id": "kept"}, {"$set": {"title": "of the application"}})

    assert mobync.restored() == 1

    agree(mobync, database, device, Device(mobync, "ada"))
    assert device.rows["todo", "kept"]["text"] == "of the application"
