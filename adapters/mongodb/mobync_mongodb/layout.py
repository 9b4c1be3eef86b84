"""The collections of a storage, and how a database gets them.

| collection | _id | holds |
| --- | --- | --- |
| `mobync_owners` | the owner | the head: clock, epoch, purged, life, commit, pending, held, bound |
| `mobync_records` | "life\\0model\\0id" | a record, or the ghost of one that was removed |
| `mobync_notes` | "life\\0kind\\0key" | a note, or the ghost of one that was forgotten |
| `mobync_staged` | {c: commit, n: number} | a piece of a commit that is too large for the head |
| `mobync_outbox` | an ObjectId | that the application wrote a document that cannot say so itself (`outbox`) |
| `mobync_bindings` | the model | which collection of the application it is (`bindings`) |
| `mobync_schema` | "layout" | the version of this layout |
| `mobync_schema` | "bindings" | the number of the last binding |

Those in the middle up to `mobync_outbox` have the field `owner`, by which they may be sharded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeAlias

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ASCENDING, IndexModel, ReadPreference, WriteConcern
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure
from pymongo.read_concern import ReadConcern

from mobync_core.errors import SchemaError
from mobync_mongodb.faults import SECONDS, faults

Document: TypeAlias = dict[str, Any]

VERSION = 2
DAY = 86_400  # seconds
_LONGEST = 3600
"""Seconds of one command at most, whatever the client says: ghosts must outlast it by far (`commits`)."""

_NAMESPACE_EXISTS = 48

_FORGIVING: CodecOptions[Document] = CodecOptions(
    datetime_conversion=DatetimeConversion.DATETIME_AUTO, unicode_decode_error_handler="surrogateescape"
)

_INDEXES = {
    "mobync_records": [
        IndexModel([("owner", ASCENDING), ("life", ASCENDING), ("clock", ASCENDING)]),
        IndexModel([("gone", ASCENDING)], expireAfterSeconds=DAY, sparse=True),
    ],
    "mobync_notes": [
        IndexModel([("owner", ASCENDING), ("life", ASCENDING), ("kind", ASCENDING), ("key", ASCENDING)]),
        IndexModel([("gone", ASCENDING)], expireAfterSeconds=DAY, sparse=True),
    ],
    "mobync_staged": [
        IndexModel([("owner", ASCENDING), ("commit", ASCENDING)]),
        IndexModel([("at", ASCENDING)]),
    ],
    "mobync_outbox": [IndexModel([("owner", ASCENDING)])],
}
_NAMES = ("mobync_owners", "mobync_schema", *_INDEXES, "mobync_bindings")


class Store:
    """The collections of one database, with the concerns that the storage's promises need.

    They are set here, never inherited from a client that was handed in:

    - Writes are acknowledged by a majority, in its journals: a failover cannot take them back. On a standalone
      server the majority is that server.
    - Reads are of what a majority has, on the primary, and within one load causally consistent. So no load sees what a
      failover takes back; and who sees that a head has nothing pending sees, on every shard, the records that were
      acknowledged before that was written. A primary that was cut off and does not know it yet may show an older,
      whole state for some seconds. A commit on it cannot be acknowledged.
    """

    def __init__(self, database: Database[Any]) -> None:
        self.database: Database[Document] = database.with_options(
            codec_options=CodecOptions(),
            read_preference=ReadPreference.PRIMARY,
            write_concern=WriteConcern("majority", wtimeout=15_000, j=True),
            read_concern=ReadConcern("majority"),
        )
        servers = database.client.topology_description.server_descriptions()
        hosts = ",".join(sorted(f"{host}:{port}" if port else host for host, port in servers))
        self.name = f"mongodb://{hosts}/{database.name}"
        self._seconds = min(database.client.options.timeout or SECONDS, _LONGEST)
        self.owners, self.schema, self.records, self.notes, self.staged, self.outbox, self.bindings = (
            Collection(self.database, name) for name in _NAMES
        )

    def documents(self, name: str) -> Collection[Document]:
        """A collection of the application; a moment beyond Python's years, or a broken text, breaks nothing else."""
        return Collection(self.database, name, codec_options=_FORGIVING)

    def faults(self) -> AbstractContextManager[None]:
        return faults(self.name, self._seconds, self.database.client)

    @contextmanager
    def session(self) -> Iterator[ClientSession]:
        with self.faults():
            session = self.database.client.start_session(causal_consistency=True)
        with session:
            yield session

    def setup(self) -> None:
        """Create what is missing; raises `SchemaError` for a newer layout, or collections that fold names."""
        version = self._version()
        if version < VERSION:
            self._create()
            with self.faults():
                try:
                    older = {"_id": "layout", "version": {"$lt": VERSION}}
                    self.schema.update_one(older, {"$set": {"version": VERSION}}, upsert=True)
                except DuplicateKeyError:
                    self._version()  # another process set it up meanwhile, maybe a newer one
        self._sweep_staged()

    def _version(self) -> int:
        with self.faults():
            found = self.schema.find_one({"_id": "layout"})
        version: int = found["version"] if found else 0
        if version > VERSION:
            raise SchemaError(
                f"{self.name} has version {version} of Mobync's collections, this mobync-mongodb knows version "
                f"{VERSION} at most: upgrade mobync-mongodb, or use another database"
            )
        return version

    def _create(self) -> None:
        for name in _NAMES:
            self.create_collection(name)
        with self.faults():
            for found in self.database.list_collections(filter={"name": {"$in": list(_NAMES)}}):
                if found.get("type", "collection") != "collection" or "collation" in found.get("options", {}):
                    raise SchemaError(
                        f"{found['name']} of {self.name} is a view, or has a collation, which may take two names for "
                        "one: drop it, setup() makes another"
                    )
        for name, indexes in _INDEXES.items():
            with self.faults():
                self.database[name].create_indexes(indexes)

    def create_collection(self, name: str) -> None:
        with self.faults():
            try:
                self.database.create_collection(name, check_exists=False)
            except CollectionInvalid:
                pass  # it is there: what it is, is to be looked at next
            except OperationFailure as error:
                if error.code != _NAMESPACE_EXISTS:
                    raise

    def _sweep_staged(self) -> None:
        """Delete what commits staged that ended between their steps, at least a day ago by the server's clock.

        A commit gives up long before that (`commits.STAGE_SECONDS`), so what is not pending by then never will be.
        """
        with self.faults():
            now = self.database.command("hello")["localTime"]
            old = self.staged.aggregate(
                [
                    {"$match": {"at": {"$lt": now - timedelta(seconds=DAY)}}},
                    {"$group": {"_id": {"owner": "$owner", "commit": "$commit"}}},
                ]
            )
            for found in old:
                owner, commit = found["_id"]["owner"], found["_id"]["commit"]
                if not self.owners.find_one({"_id": owner, "commit": commit, "pending": {"$ne": None}}, {"_id": 1}):
                    self.staged.delete_many({"owner": owner, "commit": commit})
