"""Documents that were there before, and those that are written past what is caught."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from mobync_mongodb import Binding, MongoStorage, open_mongodb
from pymongo import ASCENDING
from pymongo.collation import Collation
from pymongo.database import Database

from mobync_core import Mobync, SchemaError
from mobync_core.adoption import Adoption
from tests.own_collections.documents import agree, documents_of, marks, storage_of
from tests.own_tables.devices import Device


def many(count: int) -> list[dict[str, Any]]:
    return [{"_id": f"t{number:04}", "user_id": "ada", "title": "milk"} for number in range(count)]


class TestTakingOver:
    def test_documents_that_are_there_already_reach_the_devices(self, database: Database[Any]) -> None:
        database.projects.insert_one({"_id": "p", "user_id": "ada", "name": "home"})
        database.tasks.insert_many(many(2500))
        database.tasks.insert_one({"_id": "b", "user_id": "bob", "title": "bread"})
        database.tasks.insert_one({"_id": "n", "title": "nobody's"})
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            assert storage.marked_owners() == ["ada", "bob"]
            ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
            agree(mobync, database, ada, bob)
            assert (len(ada.rows), len(bob.rows)) == (2501, 1)
            assert (storage.marked_owners(), marks(database)) == ([], 0)
            ada.update("todo", "t0007", {"text": "oat milk"})
            ada.delete("todo", "t0008")
            agree(mobync, database, ada)

    def test_what_was_cut_off_goes_on(self, database: Database[Any]) -> None:
        class CutOff(Exception):
            pass

        def cut_off(_done: int, _total: int) -> None:
            raise CutOff

        database.tasks.insert_many(many(2500))
        done: list[int] = []
        with closing(MongoStorage(database)) as storage:
            mobync = Mobync(storage)
            with pytest.raises(CutOff):
                storage.adopt("tasks", owner="user_id", model="todo", progress=cut_off)
            assert database.tasks.count_documents({"_mobync": {"$exists": False}}) == 1500
            storage.adopt("tasks", owner="user_id", model="todo", progress=lambda now, _total: done.append(now))
            assert done == [1000, 1500]
            device = Device(mobync, "ada")
            device.sync()
            assert len(device.rows) == 2500

    def test_binding_again_is_nothing(self, database: Database[Any]) -> None:
        for _ in range(2):
            with closing(storage_of(database)) as storage:
                mobync = Mobync(storage)
                device = Device(mobync, "ada")
                device.create("todo", "t", {"text": "milk"})
                agree(mobync, database, device)
        numbers = [row["number"] for row in database.mobync_bindings.find().sort("number", ASCENDING)]
        assert numbers == [1, 2]
        assert marks(database) == 0

    def test_a_field_that_devices_may_see_from_now_on(self, database: Database[Any]) -> None:
        hiding = Binding("tasks", owner="user_id", model="todo", hidden=["note", "price"])
        with closing(MongoStorage(database, bind=[hiding])) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"title": "milk"})
            device.sync()
            storage.collection("tasks").update_one({"_id": "t"}, {"$set": {"price": 5}})
            device.sync()
            assert "price" not in device.rows["todo", "t"]
            old = Mobync(storage)
            showing = Binding("tasks", owner="user_id", model="todo", hidden=["note"])
            with closing(MongoStorage(database, bind=[showing])) as other:
                device.mobync = Mobync(other)
                device.sync()
                assert device.rows["todo", "t"]["price"] == 5
                device.mobync = old
                device.sync()
                device.update("todo", "t", {"price": 6})
                assert [one["result"] for one in device.sync()] == ["applied"]
                found = database.tasks.find_one({"_id": "t"})
                assert found is not None
                assert found["price"] == 6

    def test_a_document_deleted_before_its_owner_is_seen_again_stays_deleted(self, database: Database[Any]) -> None:
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            device.sync()
            storage.collection("tasks").delete_one({"_id": "t"})
        with closing(MongoStorage(database, bind=[Binding("more", owner="user_id")])) as storage:
            device.mobync = Mobync(storage)
            device.sync()
            assert device.rows == {}
            assert database.tasks.count_documents({}) == 0

    def test_records_that_are_no_documents_are_not_lost(self, database: Database[Any], mongodb_url: str) -> None:
        with Mobync(mongodb_url) as mobync:
            mobync.create("ada", "todo", {"id": "t", "text": "milk"})
        with closing(storage_of(database)) as storage, pytest.raises(SchemaError, match="another model name"):
            storage.setup()

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"collation": Collation("en")}, "collation"),
            ({"capped": True, "size": 4096}, "capped"),
            ({"viewOn": "tasks", "pipeline": []}, "view"),
            ({"validator": {"$jsonSchema": {"properties": {"_id": {}}, "additionalProperties": False}}}, "_mobync"),
        ],
    )
    def test_collections_that_will_not_do(self, database: Database[Any], options: dict[str, Any], match: str) -> None:
        database.create_collection("odd", **options)
        with (
            closing(MongoStorage(database, bind=[Binding("odd", owner="user_id")])) as storage,
            pytest.raises(SchemaError, match=match),
        ):
            storage.setup()

    def test_types_that_were_not_said(self, database: Database[Any]) -> None:
        database.odd.insert_one({"user_id": "ada"})
        with (
            closing(MongoStorage(database, bind=[Binding("odd", owner="user_id")])) as storage,
            pytest.raises(SchemaError, match=r"types=\{'_id': 'objectid'\}"),
        ):
            storage.setup()

    def test_two_models_of_one_collection(self, database: Database[Any]) -> None:
        twice = [Binding("odd", owner="user_id"), Binding("odd", owner="user_id", model="other")]
        with closing(MongoStorage(database, bind=twice)) as storage, pytest.raises(SchemaError, match="bound already"):
            storage.setup()

    def test_a_database_of_the_first_layout(self, database: Database[Any], mongodb_url: str) -> None:
        with Mobync(mongodb_url) as mobync:
            mobync.create("ada", "settings", {"id": "s", "any": 1})
        database.mobync_schema.update_one({"_id": "layout"}, {"$set": {"version": 1}})
        database.mobync_outbox.drop()
        database.mobync_bindings.drop()
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            device.sync()
            assert set(device.rows) == {("settings", "s"), ("todo", "t")}
            assert documents_of(database, "ada") == {("todo", "t"): {"text": "milk"}}
        assert database.mobync_schema.find_one({"_id": "layout"}) == {"_id": "layout", "version": 2}
        assert set(database.mobync_outbox.index_information()) == {"_id_", "owner_1"}


class TestAdopting:
    def test_by_name_with_what_the_documents_tell(self, database: Database[Any], mongodb_url: str) -> None:
        user, id = ObjectId(), ObjectId()
        database.things.insert_one({"_id": id, "user": user, "name": "lamp", "bought": datetime(2026, 1, 2), "n": 1})
        progress: list[tuple[int, int]] = []
        with closing(open_mongodb(mongodb_url)) as storage:
            assert isinstance(storage, Adoption)
            storage.setup()
            with pytest.raises(SchemaError, match="did you mean things"):
                storage.adopt("thinks", owner="user")
            with pytest.raises(ValueError, match="_id"):
                storage.adopt("things", owner="user", id="name")
            told = storage.adopt(
                "things", owner="user", model="thing", read_only=["n"], progress=lambda *done: progress.append(done)
            )
            assert (told.model, told.table, told.owner, told.id) == ("thing", "things", "user", "_id")
            assert told.fields == {"name": "name", "bought": "bought", "n": "n"}
            assert told.read_only == ["n"]
            assert progress == [(1, 1)]
            assert storage.bound_models() == [told]
            assert storage.marked_owners() == [str(user)]
            mobync = Mobync(storage)
            device = Device(mobync, str(user))
            device.sync()
            assert device.rows == {("thing", str(id)): {"name": "lamp", "bought": "2026-01-02T00:00:00+00:00", "n": 1}}


class TestUncaught:
    def test_what_others_write_is_found_by_a_rescan(self, database: Database[Any]) -> None:
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            for name in ("t", "u", "v"):
                device.create("todo", name, {"text": "milk"})
            agree(mobync, database, device)
            database.tasks.update_one({"_id": "t"}, {"$set": {"title": "oat milk"}})
            database.tasks.delete_one({"_id": "u"})
            database.tasks.insert_one({"_id": "w", "user_id": "ada", "title": "new"})
            device.sync()
            assert device.rows["todo", "t"]["text"] == "milk"
            storage.rescan("todo")
            agree(mobync, database, device)
            assert set(device.rows) == {("todo", "t"), ("todo", "v"), ("todo", "w")}
            with pytest.raises(SchemaError, match="bound are: projects, todo"):
                storage.rescan("tasks")

    def test_a_device_edits_a_document_that_is_gone_unseen(self, database: Database[Any]) -> None:
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.create("todo", "t", {"text": "milk"})
            agree(mobync, database, device)
            database.tasks.delete_one({"_id": "t"})
            device.update("todo", "t", {"text": "oat milk"})
            agree(mobync, database, device)
            assert device.rows == {}

    def test_a_device_creates_a_document_that_is_there_unseen(self, database: Database[Any]) -> None:
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            device.sync()
            database.tasks.insert_one({"_id": "t", "user_id": "ada", "title": "unseen", "tags": ["a"]})
            device.create("todo", "t", {"text": "milk", "done": True})
            agree(mobync, database, device)
            assert device.rows["todo", "t"] | {"text": ""} == {"text": "", "done": True, "tags": ["a"]}

    def test_a_document_that_its_validator_lets_nobody_change(
        self, database: Database[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        database.tasks.insert_many(many(3), bypass_document_validation=True)
        database.tasks.insert_one({"_id": "bad", "user_id": "ada"}, bypass_document_validation=True)
        with closing(storage_of(database)) as storage:
            mobync = Mobync(storage)
            device = Device(mobync, "ada")
            agree(mobync, database, device)
            assert len(device.rows) == 4
            device.update("todo", "bad", {"priority": 2})
            device.update("todo", "t0001", {"priority": 2})
            assert [one["result"] for one in device.sync()] == ["refused", "applied"]
            agree(mobync, database, device)
            device.update("todo", "bad", {"text": "mended"})
            agree(mobync, database, device)
            assert documents_of(database, "ada")["todo", "bad"] == {"text": "mended"}
