"""What devices push becomes documents of the application's collections, or is refused alone."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from mobync_mongodb import Binding, MongoStorage
from pymongo import MongoClient
from pymongo.database import Database

from mobync_core import InvalidRecord, Mobync
from tests.own_collections.documents import (
    Commands,
    agree,
    documents_of,
    guardless,
    refused,
    storage_of,
)
from tests.own_tables.devices import Device


class TestDocuments:
    def test_a_create_is_a_typed_document(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        id, parent = str(ObjectId()), str(ObjectId())
        fields = {"text": "milk", "price": "12.50", "due": "2026-12-24T10:00:00Z", "parent": parent, "tags": ["a", {}]}
        device.create("todo", id, fields)
        device.create("todo", "no ObjectId", {"text": "bread", "due": None})
        assert refused(device.sync()) == {}
        assert guardless(database.tasks.find_one({"_id": ObjectId(id)})) == {
            "_id": ObjectId(id),
            "user_id": "ada",
            "title": "milk",
            "price": Decimal128("12.50"),
            "due": datetime(2026, 12, 24, 10),
            "parent": ObjectId(parent),
            "tags": ["a", {}],
        }
        assert guardless(database.tasks.find_one({"_id": "no ObjectId"}))["title"] == "bread"
        agree(mobync, database, device, Device(mobync, "ada"))

    def test_updates_deletes_and_lives(self, mobync: Mobync, database: Database[Any]) -> None:
        one, two = Device(mobync, "ada"), Device(mobync, "ada")
        one.create("todo", "t", {"text": "milk"})
        one.sync()
        two.sync()
        two.update("todo", "t", {"done": True})
        one.update("todo", "t", {"text": "oat milk"})
        agree(mobync, database, one, two, one)
        assert documents_of(database, "ada")["todo", "t"] == {"text": "oat milk", "done": True}
        one.delete("todo", "t")
        agree(mobync, database, one, two)
        assert documents_of(database, "ada") == {}
        two.create("todo", "t", {"text": "again", "price": "1.00"})
        agree(mobync, database, two, one)
        database.tasks.update_one({"_id": "t"}, {"$set": {"note": "the application's own"}})
        two.delete("todo", "t")
        two.create("todo", "t", {"text": "in one batch"})
        agree(mobync, database, two, one)
        assert "price" not in documents_of(database, "ada")["todo", "t"]
        assert guardless(database.tasks.find_one({"_id": "t"}))["note"] == "the application's own"

    def test_what_mongodb_cannot_hold_comes_back_as_it_is_with_the_same_answer(
        self, mobync: Mobync, database: Database[Any]
    ) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "due": "2026-12-24T11:00:00.123456+01:00", "price": 12.5})
        assert [one["result"] for one in device.sync()] == ["applied"]
        assert device.seen()["todo", "t"] == {
            "text": "milk",
            "due": "2026-12-24T10:00:00.123000+00:00",
            "price": "12.5",
        }
        agree(mobync, database, device)

    def test_sending_again_changes_nothing(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.create("todo", "t", {"text": "milk", "due": "2026-12-24"})
        request = device.request()
        mobync.apply(request["logical_clock"], request["diffs"], "ada")
        before = list(database.tasks.find())
        agree(mobync, database, device)
        assert list(database.tasks.find()) == before

    def test_models_that_are_not_bound_lie_beside(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        device.create("settings", "s", {"anything": [1, {"goes": True}]})
        device.create("todo", "t", {"text": "milk"})
        assert refused(device.sync()) == {}
        assert mobync.get("ada", "settings", "s") == {"id": "s", "anything": [1, {"goes": True}]}
        assert "settings" not in database.list_collection_names()

    def test_the_application_writes_through_mobync(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        mobync.create("ada", "todo", {"id": "t", "text": "milk", "approved": True})
        mobync.update("ada", "todo", "t", {"priority": 5})
        agree(mobync, database, device)
        assert device.seen()["todo", "t"]["approved"] is True
        with pytest.raises(InvalidRecord, match="'price' must be a decimal"):
            mobync.update("ada", "todo", "t", {"price": "much"})
        with pytest.raises(InvalidRecord, match="validator"):
            mobync.update("ada", "todo", "t", {"priority": 9})
        mobync.delete("ada", "todo", "t")
        agree(mobync, database, device)

    def test_an_owner_erased_begins_anew(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        for number in range(3):
            device.create("todo", f"t{number}", {"text": "milk"})
            device.sync()
        mobync.storage.erase("ada")
        assert len(documents_of(database, "ada")) == 3
        again = Device(mobync, "ada")
        again.create("todo", "t0", {"text": "of the new life"})
        again.sync()
        assert documents_of(database, "ada")["todo", "t0"] == {"text": "of the new life"}

    def test_each_user_owns_the_document_of_himself(self, database: Database[Any]) -> None:
        database.users.insert_one({"_id": "ada", "theme": "dark", "password": "secret"})
        with closing(MongoStorage(database, bind=[Binding("users", owner="_id", hidden=["password"])])) as storage:
            mobync = Mobync(storage)
            ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
            ada.sync()
            assert ada.rows == {("users", "ada"): {"theme": "dark"}}
            ada.update("users", "ada", {"theme": "light"})
            ada.create("users", "carol", {"theme": "hers"})
            bob.create("users", "bob", {"theme": "his"})
            assert refused(ada.sync()) == {"carol": "this id is taken"}
            bob.sync()
            found = [guardless(document) for document in database.users.find().sort("_id")]
            assert found == [{"_id": "ada", "theme": "light", "password": "secret"}, {"_id": "bob", "theme": "his"}]


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({}, "validator"),
            ({"text": "x" * 51}, "validator"),
            ({"text": "a", "priority": 6}, "validator"),
            ({"text": "a", "price": "much"}, "'price' must be"),
            ({"text": "a", "price": "1e400"}, "'price' must be"),
            ({"text": "a", "due": "tomorrow"}, "'due' must be"),
            ({"text": "a", "due": 5}, "'due' must be"),
            ({"text": "a", "parent": "p"}, "'parent' must be 24"),
            ({"text": "a", "more": {"$set": 1}}, "'more' holds a name"),
            ({"text": "a", "note": "hidden"}, "no field 'note'"),
            ({"text": "a", "user_id": "bob"}, "no field 'user_id'"),
            ({"text": "a", "title": "the document's name"}, "no field 'title'"),
            ({"text": "a", "_mobync": {}}, "no field '_mobync'"),
            ({"text": "a", "_id": "u"}, "no field '_id'"),
            ({"text": "a", "b.c": 1}, "no field 'b.c'"),
        ],
    )
    def test_a_document_that_cannot_be_is_refused_alone(
        self, mobync: Mobync, database: Database[Any], fields: dict[str, Any], reason: str
    ) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "good", {"text": "milk", "price": "5"})
        device.create("todo", "bad", fields)
        device.create("todo", "fine", {"text": "$bread"})
        found = refused(device.sync())
        assert list(found) == ["bad"]
        assert reason in found["bad"]
        agree(mobync, database, device, Device(mobync, "ada"))
        assert {id for _, id in device.rows} == {"good", "fine"}

    def test_a_name_that_is_taken(self, mobync: Mobync, database: Database[Any]) -> None:
        one, two, bob = Device(mobync, "ada"), Device(mobync, "ada"), Device(mobync, "bob")
        one.create("projects", "p", {"name": "home"})
        two.create("projects", "q", {"name": "home"})
        two.create("projects", "r", {"name": "work"})
        two.create("projects", "s", {"name": "work"})
        bob.create("projects", "b", {"name": "home"})
        agree(mobync, database, one, bob)
        found = refused(two.sync())
        assert set(found) == {"q", "s"}
        assert found["q"].startswith("name must be unique")
        agree(mobync, database, two, one)
        assert set(two.rows) == {("projects", "p"), ("projects", "r")}

    def test_only_the_edit_at_fault_is_refused(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.create("projects", "q", {"name": "work"})
        device.create("todo", "t", {"text": "milk"})
        device.update("projects", "q", {"name": "home"})
        device.update("todo", "t", {"text": "oat milk"})
        device.update("todo", "t", {"priority": 9})
        assert [one["result"] for one in device.sync()] == ["applied"] * 3 + ["refused", "applied", "refused"]
        agree(mobync, database, device)
        assert device.rows["projects", "q"]["name"] == "work"
        assert device.rows["todo", "t"]["text"] == "oat milk"

    def test_names_can_be_handed_on_in_one_batch(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        for id, name in (("p", "home"), ("q", "work"), ("r", "club")):
            device.create("projects", id, {"name": name})
        device.sync()
        device.update("projects", "p", {"name": "old home"})
        device.update("projects", "q", {"name": "home"})
        device.delete("projects", "r")
        device.create("projects", "s", {"name": "work"})
        device.create("projects", "t", {"name": "club"})
        assert refused(device.sync()) == {}
        agree(mobync, database, device)
        names = {id: document["name"] for (_, id), document in documents_of(database, "ada").items()}
        assert names == {"p": "old home", "q": "home", "s": "work", "t": "club"}

    def test_names_that_are_exchanged_stay_where_they_are(self, mobync: Mobync, database: Database[Any]) -> None:
        """No order of the writes can do it: what shows only then is put right in the same answer."""
        device = Device(mobync, "ada")
        device.create("projects", "p", {"name": "home"})
        device.create("projects", "q", {"name": "work"})
        device.sync()
        device.update("projects", "p", {"name": "work", "color": "red"})
        device.update("projects", "q", {"name": "home"})
        device.sync()
        assert device.seen() == {("projects", "p"): {"name": "home"}, ("projects", "q"): {"name": "work"}}
        agree(mobync, database, device, Device(mobync, "ada"))

    def test_a_document_of_another_owner(self, mobync: Mobync, database: Database[Any]) -> None:
        ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
        ada.create("projects", "p", {"name": "home"})
        ada.sync()
        bob.create("projects", "p", {"name": "mine"})
        bob.update("projects", "p", {"name": "mine"})
        bob.delete("projects", "p")
        outcomes = bob.sync()
        assert {one["result"] for one in outcomes} <= {"refused", "cancelled"}
        bob.create("projects", "p", {"name": "mine"})
        assert refused(bob.sync())["p"] == "this id is taken"
        agree(mobync, database, bob, ada)
        assert bob.rows == {}
        assert documents_of(database, "ada") == {("projects", "p"): {"name": "home"}}

    def test_what_devices_may_not_write_is_ignored_and_put_right(self, mobync: Mobync, database: Database[Any]) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "approved": True})
        (outcome,) = device.sync()
        assert outcome["result"] == "merged"
        assert "approved" in outcome["reason"]
        assert "approved" not in guardless(database.tasks.find_one({"_id": "t"}))

    @pytest.mark.parametrize("kind", ["insert", "update"])
    def test_what_is_refused_too_late_is_put_right_in_the_same_answer(
        self, mobync: Mobync, database: Database[Any], kind: str
    ) -> None:
        """The index came after the storage had looked which ones there are."""
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "code": 1})
        device.create("todo", "u", {"text": "bread"})
        device.sync()
        database.tasks.create_index("code", unique=True, sparse=True)
        if kind == "insert":
            device.create("todo", "v", {"text": "eggs", "code": 1})
        else:
            device.update("todo", "u", {"text": "rye bread", "code": 1})
        device.sync()
        assert ("todo", "v") not in device.rows
        assert device.seen()["todo", "u"] == {"text": "bread"}
        agree(mobync, database, device, Device(mobync, "ada"))
        if kind == "insert":
            device.create("todo", "v", {"text": "eggs", "code": 1})
        else:
            device.update("todo", "u", {"code": 1})
        assert next(iter(refused(device.sync()).values())).startswith("code must be unique")
        agree(mobync, database, device)

    def test_an_owner_of_whom_there_can_be_no_document(self, database: Database[Any]) -> None:
        binding = Binding("things", owner="user", types={"user": "objectid"})
        with closing(MongoStorage(database, bind=[binding])) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("things", "t", {"text": "milk"})
            assert "the owner must be 24" in refused(device.sync())["t"]
            known = Device(mobync, str(ObjectId()))
            known.create("things", "t", {"text": "milk"})
            assert refused(known.sync()) == {}
            assert database.things.count_documents({"user": ObjectId(known.owner)}) == 1


class TestRoundTrips:
    def test_what_is_not_bound_costs_what_it_did(self, mongodb_url: str) -> None:
        commands = Commands()
        with closing(MongoStorage(MongoClient(mongodb_url, event_listeners=[commands]), owns_client=True)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            device.sync()
            commands.names.clear()
            device.update("todo", "t", {"text": "oat milk"})
            device.sync()
            assert commands.names == ["find", "find", "find", "findAndModify", "update", "update"]
            commands.names.clear()
            device.sync()
            assert commands.names == ["find"]

    def test_what_is_bound(self, mongodb_url: str, database: Database[Any]) -> None:
        commands = Commands()
        with MongoClient[Any](mongodb_url, event_listeners=[commands]) as client:
            mobync = Mobync(storage_of(client))
            device = Device(mobync, "ada")
            device.create("projects", "p", {"name": "home"})
            device.sync()
            commands.names.clear()
            device.update("projects", "p", {"color": "red"})
            device.sync()
            assert commands.names == [
                *("aggregate", "find", "find", "find"),
                *("find", "findAndModify", "update", "update", "update"),
            ]
            commands.names.clear()
            device.sync()
            assert commands.names == ["aggregate", "find"]
