"""What the rest of the application writes reaches the devices."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from bson import Int64, ObjectId
from mobync_mongodb import Binding, CapturedCollection, MongoStorage, open_mongodb
from pymongo import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    ReturnDocument,
    UpdateMany,
    UpdateOne,
    WriteConcern,
)
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from mobync_core import Limits, Mobync
from tests.own_collections.documents import agree, guardless, marks, refused, storage_of
from tests.own_tables.devices import Device


class Died(Exception):
    """Stands for the end of a process."""


@pytest.fixture
def dying(mobync: Mobync, database: Database[Any]) -> CapturedCollection:
    """The collection in a process that dies before it deletes anything."""

    class Dying(Collection[Any]):
        def delete_one(self, *_args: Any, **_options: Any) -> Any:
            raise Died

    assert isinstance(mobync.storage, MongoStorage)
    return mobync.storage.collection(Dying(database, "tasks"))


def task(id: str, owner: str | None = "ada", title: str = "milk", **more: Any) -> dict[str, Any]:
    return {"_id": id, "user_id": owner, "title": title, **more}


Write = Callable[[CapturedCollection], object]

WRITES: dict[str, Write] = {
    "insert_one": lambda tasks: tasks.insert_one(task("n")),
    "insert_many": lambda tasks: tasks.insert_many([task("n"), task("o", "bob")]),
    "update_one": lambda tasks: tasks.update_one({"_id": "t"}, {"$set": {"title": "oat milk"}}),
    "update_one by other means": lambda tasks: tasks.update_one(
        {"title": "milk"}, {"$inc": {"count": 2}, "$push": {"tags": "a"}, "$unset": {"done": ""}}
    ),
    "update_one that inserts": lambda tasks: tasks.update_one(
        {"_id": "n"}, {"$set": {"title": "new"}, "$setOnInsert": {"user_id": "ada"}}, upsert=True
    ),
    "update_one that inserts for an owner": lambda tasks: tasks.update_one(
        {"_id": "n"}, {"$set": {"title": "new", "user_id": "bob"}}, upsert=True
    ),
    "update_one that inserts by its filter": lambda tasks: tasks.update_one(
        {"_id": "n", "user_id": "ada"}, {"$set": {"title": "new"}}, True
    ),
    "update_one of the owner": lambda tasks: tasks.update_one({"_id": "t"}, {"$set": {"user_id": "bob"}}),
    "update_one to no owner": lambda tasks: tasks.update_one({"_id": "t"}, {"$unset": {"user_id": ""}}),
    "update_one to a null owner": lambda tasks: tasks.update_one({"_id": "t"}, {"$set": {"user_id": None}}),
    "update_one that renames": lambda tasks: tasks.update_one({"_id": "t"}, {"$rename": {"heir": "user_id"}}),
    "update_one by a pipeline": lambda tasks: tasks.update_one(
        {"_id": "t"}, [{"$set": {"title": {"$concat": ["oat ", "$title"]}}}]
    ),
    "update_one by a pipeline that replaces": lambda tasks: tasks.update_one(
        {"_id": "t"}, [{"$replaceWith": {"user_id": "bob", "title": "$title"}}]
    ),
    "update_many": lambda tasks: tasks.update_many({"user_id": "ada"}, {"$set": {"done": True}}),
    "update_many of the owner": lambda tasks: tasks.update_many({"title": "milk"}, {"$set": {"user_id": "bob"}}),
    "update_many that inserts": lambda tasks: tasks.update_many(
        {"title": "eggs"}, {"$set": {"user_id": "bob"}}, upsert=True
    ),
    "replace_one": lambda tasks: tasks.replace_one({"_id": "t"}, {"user_id": "ada", "title": "oat milk"}),
    "replace_one of the owner": lambda tasks: tasks.replace_one({"_id": "t"}, {"user_id": "bob", "title": "milk"}),
    "replace_one with nobody's": lambda tasks: tasks.replace_one({"_id": "t"}, {"title": "milk"}),
    "replace_one that inserts": lambda tasks: tasks.replace_one(
        {"_id": "n"}, {"user_id": "ada", "title": "new"}, upsert=True
    ),
    "replace_one with what was read": lambda tasks: tasks.replace_one(
        {"_id": "t"}, {**tasks.find_one({"_id": "t"}), "title": "oat milk"}
    ),
    "update_one with what was read": lambda tasks: tasks.update_one(
        {"_id": "t"}, {"$set": {**tasks.find_one({"_id": "t"}), "title": "oat milk"}}
    ),
    "delete_one": lambda tasks: tasks.delete_one({"_id": "t"}),
    "delete_one of some": lambda tasks: tasks.delete_one({"title": "milk"}),
    "delete_many": lambda tasks: tasks.delete_many({"title": "milk"}),
    "find_one_and_update": lambda tasks: tasks.find_one_and_update(
        {"title": "milk"}, {"$set": {"title": "oat milk"}}, sort=[("_id", -1)]
    ),
    "find_one_and_update of the owner": lambda tasks: tasks.find_one_and_update(
        {"title": "milk"}, {"$set": {"user_id": "bob"}}, sort=[("_id", -1)]
    ),
    "find_one_and_replace": lambda tasks: tasks.find_one_and_replace({"_id": "t"}, {"user_id": "bob", "title": "x"}),
    "find_one_and_delete": lambda tasks: tasks.find_one_and_delete({"title": "milk"}, sort=[("_id", -1)]),
    "bulk_write": lambda tasks: tasks.bulk_write(
        [
            InsertOne(task("n")),
            UpdateOne({"_id": "n"}, {"$set": {"user_id": "bob"}}),
            UpdateMany({"user_id": "ada"}, {"$set": {"done": True}}),
            DeleteOne({"_id": "t"}),
            ReplaceOne({"_id": "t"}, {"user_id": "bob", "title": "again"}, upsert=True),
            DeleteMany({"title": "bread"}),
        ]
    ),
}


class TestWrites:
    @pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
    def test_each_is_caught(
        self, mobync: Mobync, tasks: CapturedCollection, database: Database[Any], write: Write
    ) -> None:
        ada, bob = Device(mobync, "ada"), Device(mobync, "bob")
        for id in ("t", "u"):
            ada.create("todo", id, {"text": "milk", "done": False, "heir": "bob"})
        bob.create("todo", "b", {"text": "bread"})
        agree(mobync, database, ada, bob)
        before = list(database.tasks.find())
        write(tasks)
        assert list(database.tasks.find()) != before
        agree(mobync, database, ada, bob)
        assert marks(database) == 0

    def test_what_they_return_is_what_pymongo_says(self, mobync: Mobync, tasks: CapturedCollection) -> None:
        new = {"user_id": "ada", "title": "milk"}
        assert tasks.insert_one(new).inserted_id == new["_id"]
        assert "_mobync" not in new
        assert tasks.insert_many([task("a"), task("b")]).inserted_ids == ["a", "b"]
        done = tasks.update_one({"_id": "a"}, {"$set": {"user_id": "bob"}})
        assert (done.matched_count, done.modified_count, done.upserted_id) == (1, 1, None)
        done = tasks.update_many({}, {"$set": {"user_id": "carol"}})
        assert (done.matched_count, done.modified_count) == (3, 3)
        assert tasks.update_one({"_id": "none"}, {"$set": {"user_id": "bob"}}).matched_count == 0
        assert tasks.replace_one({"_id": "c"}, {"title": "x"}, upsert=True).upserted_id == "c"
        assert tasks.find_one_and_delete({"_id": "none"}) is None
        assert tasks.find_one_and_update({"_id": "none"}, {"$set": {"user_id": "x"}}) is None
        found = tasks.find_one_and_replace(
            {"_id": "a"}, {"user_id": "bob", "title": "y"}, {"title": 1}, return_document=ReturnDocument.AFTER
        )
        assert found == {"_id": "a", "title": "y"}
        assert tasks.find_one_and_delete({"_id": "a"}, {"title": 1}) == {"_id": "a", "title": "y"}
        assert tasks.delete_one({"_id": "a"}).deleted_count == 0
        assert tasks.delete_many({"_id": {"$in": ["b", "c"]}}).deleted_count == 2
        with pytest.raises(DuplicateKeyError):
            tasks.insert_one(dict(new))

    def test_a_bulk_write_counts_all_its_parts(self, tasks: CapturedCollection, database: Database[Any]) -> None:
        requests: list[Any] = [
            InsertOne(task("a")),
            DeleteOne({"_id": "none"}),
            InsertOne(task("a")),
            ReplaceOne({"_id": "b"}, {"title": "b"}, upsert=True),
            DeleteOne({"_id": "a"}),
            UpdateOne({"_id": "b"}, {"$set": {"title": "c"}}),
        ]
        with pytest.raises(BulkWriteError) as caught:
            tasks.bulk_write(requests, ordered=False)
        details = caught.value.details
        assert [(fault["index"], fault["code"]) for fault in details["writeErrors"]] == [(2, 11000)]
        assert details["upserted"] == [{"index": 3, "_id": "b"}]
        names = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")
        assert [details[name] for name in names] == [1, 1, 1, 1, 1]
        database.tasks.delete_many({})
        with pytest.raises(BulkWriteError) as caught:
            tasks.bulk_write(requests)
        assert [caught.value.details[name] for name in names] == [1, 0, 0, 0, 0]
        assert tasks.bulk_write([InsertOne(task("z"))]).inserted_count == 1

    def test_what_cannot_be_caught_is_refused(self, tasks: CapturedCollection, database: Database[Any]) -> None:
        for name in ("drop", "rename"):
            with pytest.raises(AttributeError, match=r"MongoStorage\.rescan"):
                getattr(tasks, name)
        with pytest.raises(ValueError, match="rescan"):
            tasks.aggregate([{"$match": {}}, {"$out": "tasks"}])
        with pytest.raises(ValueError, match="_mobync"):
            tasks.update_one({}, {"$unset": {"_mobync": ""}})
        with pytest.raises(ValueError, match="replace_one"):
            tasks.update_one({}, {"title": "x"})
        with pytest.raises(ValueError, match=r"\$set with a value"):
            tasks.update_one({"_id": "n"}, [{"$set": {"user_id": "$x"}}], upsert=True)
        assert list(database.tasks.find()) == []

    def test_reads_are_pymongos(self, tasks: CapturedCollection) -> None:
        tasks.insert_many([task("a"), task("b")])
        assert [found["_id"] for found in tasks.find().sort("_id")] == ["a", "b"]
        assert tasks.count_documents({}) == 2
        assert [found["_id"] for found in tasks.aggregate([{"$sort": {"_id": -1}}])] == ["b", "a"]
        assert tasks.with_options().name == "tasks"

    def test_in_a_transaction_of_the_application(
        self, mobync: Mobync, tasks: CapturedCollection, database: Database[Any]
    ) -> None:
        if "setName" not in database.command("hello"):
            pytest.skip("a standalone server has no transactions")
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        device.create("todo", "u", {"text": "bread"})
        agree(mobync, database, device)
        with database.client.start_session() as session:
            with session.start_transaction():
                tasks.delete_one({"_id": "t"}, session=session)
                tasks.update_one({"_id": "u"}, {"$set": {"title": "rye bread"}}, session=session)
                device.sync()
                assert len(device.rows) == 2
            agree(mobync, database, device)
            assert device.seen() == {("todo", "u"): {"text": "rye bread"}}
            session.start_transaction()
            tasks.delete_many({}, session=session)
            session.abort_transaction()
        agree(mobync, database, device)
        assert len(device.rows) == 1

    def test_a_process_that_dies_before_it_deletes_does_no_harm(
        self, mobync: Mobync, database: Database[Any], dying: CapturedCollection
    ) -> None:
        """Should somebody delete the document later, unseen, that is noticed as well."""
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        agree(mobync, database, device)
        with pytest.raises(Died):
            dying.delete_one({"_id": "t"})
        clock = device.clock
        agree(mobync, database, device)
        assert (device.clock, marks(database)) == (clock, 1)
        database.tasks.delete_one({"_id": "t"})
        agree(mobync, database, device)
        assert (device.rows, marks(database)) == ({}, 0)

    def test_what_is_left_of_that_is_gone_after_a_day(
        self, mobync: Mobync, database: Database[Any], dying: CapturedCollection
    ) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        device.sync()
        with pytest.raises(Died):
            dying.delete_one({"_id": "t"})
        database.mobync_outbox.update_many({}, {"$inc": {"at": -Int64(90_000_000)}})
        agree(mobync, database, device)
        assert marks(database) == 0
        assert len(device.rows) == 1

    def test_writes_that_nobody_acknowledges(self, mobync: Mobync, database: Database[Any]) -> None:
        assert isinstance(mobync.storage, MongoStorage)
        with pytest.raises(ValueError, match="acknowledged"):
            mobync.storage.collection(database.tasks.with_options(write_concern=WriteConcern(0)))


class TestValues:
    def test_hidden_fields_are_no_change(
        self, mobync: Mobync, tasks: CapturedCollection, database: Database[Any]
    ) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk"})
        device.sync()
        clock = device.clock
        tasks.update_one({"_id": "t"}, {"$set": {"note": "not for devices"}})
        agree(mobync, database, device)
        assert (device.clock, marks(database)) == (clock, 0)

    @pytest.mark.parametrize("device_ms", [-3_600_000, 3_600_000])
    def test_who_wrote_later_wins_a_field(
        self, mobync: Mobync, tasks: CapturedCollection, database: Database[Any], device_ms: int
    ) -> None:
        device = Device(mobync, "ada", now=lambda: int(time.time() * 1000) + device_ms)
        device.create("todo", "t", {"text": "milk"})
        device.sync()
        device.update("todo", "t", {"text": "the device's"})
        tasks.update_one({"_id": "t"}, {"$set": {"title": "the application's", "done": True}})
        device.update("todo", "t", {"priority": 1})
        agree(mobync, database, device)
        row = device.rows["todo", "t"]
        assert (row["done"], row["priority"]) == (True, 1)
        if device_ms < 0:
            assert row["text"] == "the application's"
        agree(mobync, database, device)

    @pytest.mark.parametrize(
        "untellable",
        [{"due": "soon"}, {"parent": 5}, {"scheduled": ObjectId()}, {"a name": 1}, {"memo": "x" * 1000}],
    )
    def test_what_cannot_be_told_concerns_its_own_document(
        self,
        mobync: Mobync,
        tasks: CapturedCollection,
        database: Database[Any],
        untellable: dict[str, Any],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        small = Mobync(mobync.storage, limits=Limits(record_bytes=1000))
        device = Device(small, "ada")
        device.create("todo", "t", {"text": "milk"})
        device.create("todo", "u", {"text": "bread"})
        agree(small, database, device)
        tasks.update_one({"_id": "t"}, {"$set": untellable})
        tasks.update_one({"_id": "u"}, {"$set": {"title": "rye bread"}})
        device.sync()
        assert device.seen() == {("todo", "t"): {"text": "milk"}, ("todo", "u"): {"text": "rye bread"}}
        assert "todo/t of owner 'ada'" in caplog.text
        tasks.update_one({"_id": "t"}, {"$unset": dict.fromkeys(untellable, ""), "$set": {"title": "oat milk"}})
        agree(small, database, device)

    def test_ids_of_several_types_and_those_that_cannot_be_told(
        self, mobync: Mobync, tasks: CapturedCollection, database: Database[Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        device = Device(mobync, "ada")
        known, text_like = ObjectId(), str(ObjectId())
        for id in (known, "a text", 5, text_like):
            tasks.insert_one({"_id": id, "user_id": "ada", "title": "milk"})
        device.sync()
        assert set(device.rows) == {("todo", str(known)), ("todo", "a text")}
        assert "todo/5 of owner 'ada'" in caplog.text
        assert f"todo/{text_like} of owner 'ada'" in caplog.text
        assert marks(database) == 0

    def test_owners_in_a_list_are_no_owner(
        self, mobync: Mobync, tasks: CapturedCollection, database: Database[Any]
    ) -> None:
        device = Device(mobync, "ada")
        tasks.insert_one({"_id": "shared", "user_id": ["ada", "bob"], "title": "milk"})
        tasks.insert_one(task("t"))
        device.sync()
        assert set(device.rows) == {("todo", "t")}

    def test_reads_of_mobync_know_it(self, mobync: Mobync, tasks: CapturedCollection) -> None:
        tasks.insert_one(task("t"))
        assert mobync.get("ada", "todo", "t") == {"id": "t", "text": "milk"}
        assert [record["id"] for record in mobync.records("ada", "todo")] == ["t"]


class TestOtherProcesses:
    def test_one_that_opens_the_url_knows_the_collections(
        self, mobync: Mobync, database: Database[Any], mongodb_url: str
    ) -> None:
        device = Device(mobync, "ada")
        device.create("todo", "t", {"text": "milk", "price": "1.50", "due": "2026-12-24"})
        device.sync()
        with closing(open_mongodb(mongodb_url)) as storage:
            other = Mobync(storage)
            second = Device(other, "ada")
            second.create("projects", "p", {"name": "home"})
            second.create("todo", "u", {"text": "bread", "price": 2.5, "due": "2026-12-25T01:02:03"})
            second.create("todo", "bad", {"text": "bread", "due": "LATER"})
            assert [one["result"] for one in second.sync()] == ["applied", "applied", "refused"]
            storage.collection("tasks").update_one({"_id": "t"}, {"$set": {"title": "oat milk"}})
            agree(other, database, second)
            agree(mobync, database, device)

    def test_one_that_runs_while_collections_are_bound_learns_of_it(
        self, database: Database[Any], mongodb_url: str
    ) -> None:
        with closing(open_mongodb(mongodb_url)) as unknowing:
            old = Mobync(unknowing)
            ada, bob = Device(old, "ada"), Device(old, "bob")
            ada.create("settings", "s", {"any": 1})
            ada.sync()
            with closing(storage_of(database)) as storage:
                mobync = Mobync(storage)
                ada.create("todo", "t", {"text": "milk"})
                ada.create("todo", "bad", {"text": "milk", "price": "much"})
                ada.sync()
                assert set(ada.rows) >= {("settings", "s"), ("todo", "t")}
                ada.create("todo", "bad", {"text": "milk", "price": "much"})
                assert set(refused(ada.sync())) <= {"bad"}
                assert [found["_id"] for found in database.tasks.find()][:1] == ["t"]
                assert mobync.get("ada", "settings", "s") is not None
                bob.create("todo", "b", {"text": "bread"})
                agree(old, database, bob)

    def test_a_new_owner_of_one_that_does_not_know_yet(self, database: Database[Any], mongodb_url: str) -> None:
        """Nothing tells it: so the next who does know makes the documents."""
        with closing(open_mongodb(mongodb_url)) as unknowing:
            old = Mobync(unknowing)
            with closing(storage_of(database)) as storage:
                mobync = Mobync(storage)
                device = Device(old, "ada")
                device.create("todo", "t", {"text": "milk", "due": "2026-12-24"})
                device.create("todo", "bad", {"text": "milk", "priority": 9})
                device.sync()
                assert database.tasks.count_documents({}) == 0
                device.mobync = mobync
                agree(mobync, database, device)
                assert [found["_id"] for found in database.tasks.find()] == ["t"]
                device.mobync = old
                device.update("todo", "t", {"text": "oat milk"})
                agree(old, database, device)
                assert guardless(database.tasks.find_one())["title"] == "oat milk"


class TestBindings:
    @pytest.mark.parametrize(
        ("binding", "match"),
        [
            (Binding("tasks", owner=""), "top-level field"),
            (Binding("tasks", owner="user.id"), "top-level field"),
            (Binding("tasks", owner="user_id", hidden=["user_id"]), "owner or the id"),
            (Binding("tasks", owner="user_id", fields={"id": "title"}), "record's own id"),
            (Binding("tasks", owner="user_id", fields={"a": "b", "c": "b"}), "two names"),
            (Binding("tasks", owner="user_id", fields={"a": "b"}, hidden=["b"]), "choose one"),
            (Binding("tasks", owner="user_id", types={"due": "date"}), "datetime"),
            (Binding("tasks", owner="user_id", types={"_id": "datetime"}), "objectid"),
            (Binding("tasks", owner="user_id", model="my tasks"), "model="),
            (Binding("mobync_records", owner="user_id"), "Mobync's own"),
        ],
    )
    def test_what_is_wrong_is_said(self, database: Database[Any], binding: Binding, match: str) -> None:
        with pytest.raises(ValueError, match=match):
            MongoStorage(database, bind=[binding])

    def test_texts_where_lists_should_be(self, database: Database[Any]) -> None:
        with pytest.raises(TypeError, match="hidden="):
            MongoStorage(database, bind=[Binding("tasks", owner="user_id", hidden="note")])
        with pytest.raises(ValueError, match="another database"):
            MongoStorage(database, bind=[Binding(database.client.elsewhere.tasks, owner="user_id")])
