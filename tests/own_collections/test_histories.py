"""Documents, records and devices agree in the end, whatever falls between, and nobody's edit is lost on the way."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from mobync_mongodb import CapturedCollection, MongoStorage
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from mobync_core import Mobync
from tests.own_collections.documents import (
    Commands,
    agree,
    documents_of,
    guardless,
    marks,
    storage_of,
)
from tests.own_collections.dying import edit, prepared
from tests.own_tables.devices import Device

HISTORIES = int(os.environ.get("MOBYNC_EXAMPLES", "3"))


def at_command(url: str, number: int, what: Callable[[], object]) -> tuple[MongoClient[Any], Mobync]:
    """A client that does `what` before its n-th command from now on, and an engine on it."""
    commands = Commands()
    client: MongoClient[Any] = MongoClient(url, event_listeners=[commands])
    mobync = Mobync(storage_of(client))
    commands.before(number, what)
    return client, mobync


def test_a_process_that_dies_before_any_command_leaves_all_or_nothing(
    mobync: Mobync, database: Database[Any], mongodb_url: str
) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tests.own_collections.dying", mongodb_url],
        check=True, timeout=120, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    owners = said.stdout.splitlines()
    assert len(owners) > 8
    before = prepared(mobync, "before")
    whole = prepared(mobync, "whole")
    edit(whole)
    whole.sync()
    names = [{id.partition(" ")[2]: row for (_, id), row in device.seen().items()} for device in (before, whole)]
    done = []
    for owner in owners:
        device = Device(mobync, owner)
        agree(mobync, database, device)
        found = {id.partition(" ")[2]: row for (_, id), row in device.seen().items()}
        assert found in names
        done.append(found == names[1])
    assert done == sorted(done)
    assert (done[0], done[-1]) == (False, True)
    assert marks(database) == 0


Meanwhile = Callable[[CapturedCollection], object]

MEANWHILE: dict[str, tuple[Meanwhile, dict[str, Any] | None]] = {
    "another field": (
        lambda tasks: tasks.update_one({"_id": "t"}, {"$set": {"app": 2}}),
        {"text": "device", "app": 2, "old": 0},
    ),
    "the same field": (lambda tasks: tasks.update_one({"_id": "t"}, {"$set": {"title": "app"}}), None),
    "a field less": (
        lambda tasks: tasks.update_one({"_id": "t"}, {"$unset": {"app": ""}}),
        {"text": "device", "old": 0},
    ),
    "a replacement": (lambda tasks: tasks.replace_one({"_id": "t"}, {"user_id": "ada", "title": "app"}), None),
    "a delete": (lambda tasks: tasks.delete_one({"_id": "t"}), {}),
    "another owner": (lambda tasks: tasks.update_one({"_id": "t"}, {"$set": {"user_id": "bob"}}), {}),
    "another in its place": (
        lambda tasks: (tasks.delete_one({"_id": "t"}), tasks.insert_one({"_id": "t", "user_id": "ada", "title": "2"})),
        None,
    ),
    "one of another owner in its place": (
        lambda tasks: (tasks.delete_one({"_id": "t"}), tasks.insert_one({"_id": "t", "user_id": "bob", "title": "2"})),
        {},
    ),
}


@pytest.mark.parametrize("name", MEANWHILE)
@pytest.mark.parametrize("adopted", [False, True], ids=["ours", "adopted"])
def test_what_the_application_writes_between_any_two_commands_of_a_push(
    database: Database[Any], mongodb_url: str, name: str, adopted: bool
) -> None:
    meanwhile, expected = MEANWHILE[name]
    if adopted:
        database.tasks.insert_one({"_id": "t", "user_id": "ada", "title": "before", "app": 1, "old": 0})
    with closing(storage_of(database)) as storage:
        mobync = Mobync(storage)
        tasks = storage.collection(database.tasks)
        for number in range(1, 40):
            if not adopted or number > 1:
                storage.erase("ada")
                storage.erase("bob")
                database.tasks.delete_many({})
                database.tasks.insert_one({"_id": "t", "user_id": "ada", "title": "before", "app": 1, "old": 0})
                storage.rescan("todo")
            device, bob = Device(mobync, "ada"), Device(mobync, "bob")
            agree(mobync, database, device)
            done = threading.Event()

            def write() -> None:
                done.set()  # noqa: B023
                meanwhile(tasks)

            client, between = at_command(mongodb_url, number, write)
            with client:
                device.mobync = between
                device.update("todo", "t", {"text": "device"})
                device.sync()
            if not done.is_set():
                meanwhile(tasks)
            device.mobync = mobync
            agree(mobync, database, device, bob)
            agree(mobync, database, device, bob)
            assert marks(database) == 0
            if expected is not None:
                assert device.seen().get(("todo", "t"), {}) == expected
            if name == "the same field":
                assert device.seen()["todo", "t"]["text"] in ("app", "device")
            if not done.is_set():
                break
        assert 8 < number < 39


def delete(device: Device) -> None:
    device.delete("todo", "changed")
    device.delete("todo", "new")


def update(device: Device) -> None:
    device.update("todo", "changed", {"text": "later"})
    device.update("todo", "new", {"text": "later"})


def again(device: Device) -> None:
    delete(device)
    device.sync()
    device.create("todo", "changed", {"text": "again"})
    device.create("todo", "new", {"text": "again"})


@pytest.mark.parametrize("later", [delete, update, again])
def test_what_a_slow_writer_writes_late_changes_nothing(
    mobync: Mobync, database: Database[Any], mongodb_url: str, later: Callable[[Device], None]
) -> None:
    """Others help with its commit after 0.1 s, and go on: it is late by a commit or two."""
    for number in range(1, 40):
        mobync.storage.erase("ada")
        database.tasks.delete_many({})
        first, second = Device(mobync, "ada"), Device(mobync, "ada")
        first.create("todo", "changed", {"text": "before"})
        first.sync()
        done = threading.Event()

        def meanwhile() -> None:
            done.set()  # noqa: B023
            second.sync()  # noqa: B023
            later(second)  # noqa: B023
            second.sync()  # noqa: B023

        client, slow = at_command(mongodb_url, number, meanwhile)
        with client:
            first.mobync = slow
            first.update("todo", "changed", {"text": "after"})
            first.create("todo", "new", {"text": "after"})
            first.sync()
        first.mobync = mobync
        agree(mobync, database, first, second, first)
        if not done.is_set():
            break
    assert 8 < number < 39


def test_each_field_ends_as_its_only_writer_left_it(mobync: Mobync, database: Database[Any]) -> None:
    """Two devices and two threads of the application, each with a field of its own in one document."""
    assert isinstance(mobync.storage, MongoStorage)
    tasks = mobync.storage.collection(database.tasks)
    tasks.insert_one({"_id": "t", "user_id": "ada", "title": "milk"})
    devices = [Device(mobync, "ada") for _ in range(2)]
    agree(mobync, database, *devices)

    def of_device(device: Device, name: str) -> None:
        for number in range(30):
            device.update("todo", "t", {name: number})
            device.sync()

    def of_application(name: str) -> None:
        for number in range(60):
            tasks.update_one({"_id": "t"}, {"$set": {name: number}})

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(of_device, device, f"device{place}") for place, device in enumerate(devices)]
        running += [pool.submit(of_application, f"application{place}") for place in range(2)]
        for each in running:
            each.result()
    agree(mobync, database, *devices)
    agree(mobync, database, *devices)
    assert guardless(database.tasks.find_one({"_id": "t"})) == {
        **{"_id": "t", "user_id": "ada", "title": "milk"},
        **{"device0": 29, "device1": 29, "application0": 59, "application1": 59},
    }


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_a_random_history(mongodb_url: str, database: Database[Any], seed: int) -> None:
    """Devices of two owners, each with a storage of its own, and an application, all at once."""
    owners = ("ada", "bob")
    ids = [f"t{number}" for number in range(6)]
    with closing(storage_of(database)) as storage:
        mobync = Mobync(storage)
        devices = [Device(mobync, owner) for owner in owners for _ in range(2)]

        def of_device(device: Device, chance: random.Random) -> None:
            with MongoClient[dict[str, Any]](mongodb_url) as client:
                device.mobync = Mobync(storage_of(client))
                for _ in range(12):
                    for _ in range(chance.randrange(4)):
                        model, id, number = chance.choice(("todo", "projects")), chance.choice(ids), chance.randrange(4)
                        name = "name" if model == "projects" else "text"
                        what = chance.choice(("create", "create", "update", "update", "update", "delete"))
                        if what == "create":
                            device.create(model, id, {name: f"{number}"})
                        elif what == "update":
                            device.update(model, id, {chance.choice((name, "n", "m")): f"{number}"})
                        else:
                            device.delete(model, id)
                    device.sync()

        def of_application(chance: random.Random) -> None:
            for _ in range(60):
                name = chance.choice(("tasks", "projects"))
                collection, id, owner = storage.collection(name), chance.choice(ids), chance.choice(owners)
                text = "name" if name == "projects" else "title"
                value = f"{chance.randrange(4)}"
                new = {"user_id": owner, text: value}
                writes: list[Callable[[], object]] = [
                    partial(collection.insert_one, {"_id": id, **new}),
                    partial(collection.update_one, {"_id": id}, {"$set": {text: value}}),
                    partial(collection.update_one, {"_id": id}, {"$set": {"n": value}}, upsert=False),
                    partial(collection.update_one, {"_id": id}, {"$set": new}, upsert=True),
                    partial(collection.update_many, {"n": value}, {"$set": {"user_id": owner}}),
                    partial(collection.replace_one, {"_id": id}, new, upsert=True),
                    partial(collection.delete_one, {"_id": id}),
                    partial(collection.delete_many, {"user_id": owner, "n": value}),
                    partial(collection.find_one_and_delete, {text: value}),
                ]
                try:
                    chance.choice(writes)()
                except DuplicateKeyError:
                    continue  # of an id, or of a project's name

        with ThreadPoolExecutor() as pool:
            running = [
                pool.submit(of_device, device, random.Random(seed * 10 + place)) for place, device in enumerate(devices)
            ]
            running += [pool.submit(of_application, random.Random(-seed * 10 - place - 1)) for place in range(2)]
            for each in running:
                each.result()
        for device in devices:
            device.mobync = mobync
            device.sync()
        for owner in owners:
            mobync.fold(owner)
        # Left are entries for what the database refused to do, such as to give an owner a second project of a name.
        database.mobync_outbox.delete_many({"awaits": {"$exists": True}})
        assert marks(database) == 0
        agree(mobync, database, *devices)
        for owner in owners:
            assert documents_of(database, owner) == devices[owners.index(owner) * 2].seen()
        clocks = [device.clock for device in devices]
        storage.rescan("todo")
        storage.rescan("projects")
        agree(mobync, database, *devices)
        assert [device.clock for device in devices] == clocks  # a second look finds nothing that was missed
