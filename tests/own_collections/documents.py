"""An application's own collections, and what of its documents, the records and the devices agrees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from mobync_mongodb import Binding, MongoStorage
from pymongo import ASCENDING, MongoClient
from pymongo.database import Database
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from mobync_core import Mobync
from tests.own_tables.devices import Device

Documents = dict[tuple[str, str], dict[str, Any]]

BINDINGS = [
    Binding("projects", owner="user_id"),
    Binding(
        "tasks",
        owner="user_id",
        model="todo",
        fields={"text": "title"},
        hidden=["note"],
        read_only=["approved"],
        types={"due": "datetime", "price": "decimal", "parent": "objectid", "_id": "objectid"},
    ),
]

_VALIDATOR = {
    "$jsonSchema": {
        "required": ["title"],
        "properties": {
            "title": {"bsonType": "string", "maxLength": 50},
            "priority": {"bsonType": "int", "minimum": 1, "maximum": 5},
        },
    }
}


class Commands(CommandListener):
    """Keeps the names of the commands that a client sends."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._before: tuple[int, Callable[[], object]] | None = None

    def before(self, number: int, what: Callable[[], object]) -> None:
        """Do something before the n-th command from now on."""
        self._before = len(self.names) + number, what

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)
        if self._before is not None and self._before[0] == len(self.names):
            self._before[1]()

    def succeeded(self, _event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, _event: CommandFailedEvent) -> None:
        """Nothing."""


def create_collections(database: Database[Any]) -> None:
    """What the application has made of its database, before anybody thought of offline sync."""
    database.create_collection("tasks", validator=_VALIDATOR)
    database.projects.create_index([("user_id", ASCENDING), ("name", ASCENDING)], unique=True)


def storage_of(client: MongoClient[Any] | Database[Any]) -> MongoStorage:
    return MongoStorage(client, bind=BINDINGS)


def documents_of(database: Database[Any], owner: str) -> Documents:
    """What the application reads of an owner's documents, in the words of the wire."""
    found: Documents = {}
    for model, name in (("projects", "projects"), ("todo", "tasks")):
        for document in database[name].find({"user_id": owner}):
            fields = {
                {"title": "text"}.get(field, field): _plain(value)
                for field, value in document.items()
                if field not in ("_id", "_mobync", "user_id", "note") and value is not None
            }
            found[model, str(document["_id"])] = fields
    return found


def records_of(mobync: Mobync, owner: str) -> Documents:
    found: Documents = {}
    for model in ("projects", "todo"):
        for record in mobync.records(owner, model):
            id = record.pop("id")
            found[model, id] = {name: value for name, value in record.items() if value is not None}
    return found


def agree(mobync: Mobync, database: Database[Any], *devices: Device) -> None:
    for device in devices:
        device.sync()
        documents = documents_of(database, device.owner)
        for who, found in (("records", records_of(mobync, device.owner)), ("the device", device.seen())):
            both = {key: (found.get(key), documents.get(key)) for key in found.keys() | documents.keys()}
            differing = {key: pair for key, pair in both.items() if pair[0] != pair[1]}
            assert not differing, f"{who} of {device.owner}, and the documents: {differing}"


def refused(outcomes: list[dict[str, Any]]) -> dict[str, str]:
    return {one["record"]: one["reason"] for one in outcomes if one["result"] == "refused"}


def marks(database: Database[Any]) -> int:
    """How much is marked anywhere, of anybody's."""
    marked = sum(
        database[name].count_documents({"_mobync.mark": {"$exists": True}, "user_id": {"$ne": None}})
        for name in ("tasks", "projects")
    )
    return marked + database.mobync_outbox.count_documents({})


def guardless(document: Mapping[str, Any] | None) -> dict[str, Any]:
    assert document is not None
    return {name: value for name, value in document.items() if name != "_mobync"}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat()}+00:00"
    return str(value) if isinstance(value, ObjectId) or type(value).__name__ == "Decimal128" else value
