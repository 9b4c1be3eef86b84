"""Which models are bound to which collections: kept in the database, so that every process knows, however started.

Each binding has a number, greater than all before. An owner's head has in `bound` the greatest number that was known
to those who committed to it: the point of a commit (`commits`) compares it, so nobody writes records without their
documents once somebody has. To bind makes it negative, -1 - what it was: whoever comes next has to look what is bound,
and to `catch_up` with the owner.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bson import ObjectId
from pymongo import ASCENDING, ReturnDocument

from mobync_core.errors import SchemaError
from mobync_core.records import entry_of
from mobync_core.storage import Commit, Record
from mobync_mongodb import commits
from mobync_mongodb.binding import GUARD, BoundCollection
from mobync_mongodb.documents import Documents, documents_of
from mobync_mongodb.kinds import kind_of
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.outbox import MARK, MARKED
from mobync_mongodb.pieces import id_of
from mobync_mongodb.planning import DocumentWrite, write_of

_INDEX = "mobync_marks"
_OWNERS = 10_000


@dataclass(frozen=True, slots=True)
class Bound:
    """What is bound, as of the binding `number`; None if nothing is. `since` has by model when it first was."""

    number: int | None = None
    documents: Documents = field(default_factory=Documents)
    since: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.number is not None


def read_bound(store: Store) -> Bound:
    with store.faults():
        rows = list(store.bindings.find())
    if not rows:
        return Bound()
    return Bound(
        max(int(row["number"]) for row in rows),
        Documents(BoundCollection.described(row["description"]) for row in rows),
        {row["_id"]: int(row["since"]) for row in rows},
    )


def bind(store: Store, collections: Sequence[BoundCollection]) -> None:
    """Store what is new of these bindings.

    Raises `SchemaError` if a collection will not do, or if a model has records that are no documents of it.
    """
    with store.faults():
        stored = {row["_id"]: row["description"] for row in store.bindings.find()}
    for bound in collections:
        if stored.get(bound.model) != bound.description():
            for model, description in stored.items():
                if description["collection"] == bound.collection and model != bound.model:
                    raise SchemaError(f"the collection {bound.collection} is bound already, to the model {model}")
            _prepare(store, bound, is_new=bound.model not in stored)
            _announce(store, bound)
            stored[bound.model] = bound.description()


def check_there(store: Store, collection: str) -> None:
    """Raise `SchemaError` if there is no such collection."""
    with store.faults():
        names = store.database.list_collection_names()
    if collection not in names:
        near = difflib.get_close_matches(collection, names, n=1)
        raise SchemaError(f"there is no collection {collection}{f'; did you mean {near[0]}?' if near else ''}")


def _prepare(store: Store, bound: BoundCollection, *, is_new: bool) -> None:
    name = bound.collection
    store.create_collection(name)
    with store.faults():
        (found,) = store.database.list_collections(filter={"name": name})
        options = found.get("options", {})
        some = list(store.documents(name).find({}, {"_id": 1, bound.owner: 1}).limit(20))
    if found.get("type", "collection") != "collection" or "collation" in options or options.get("capped"):
        raise SchemaError(
            f"{name} of {store.name} will not do for {bound.model}: it is a view, a time series, capped, or has a "
            "collation, which may take two names for one"
        )
    schema = options.get("validator", {}).get("$jsonSchema", {})
    if schema.get("additionalProperties") is False and GUARD not in schema.get("properties", {}):
        raise SchemaError(
            f"the validator of {name} allows no other properties than it names: name {GUARD} there, as an object, in "
            "which Mobync keeps what it needs to know of a document"
        )
    for named in ("_id", bound.owner):
        kind = bound.types.get(named, "text")
        kinds = {kind_of(document[named]) for document in some if document.get(named) is not None} - {""}
        if kinds and kinds.isdisjoint({kind, "text"} if named == "_id" else {kind}):
            raise SchemaError(
                f"{named!r} of the documents in {name} is no {kind}: say types={{{named!r}: {min(kinds)!r}}} when you "
                "bind it"
            )
    if bound.owner != "_id":
        with store.faults():
            store.documents(name).create_index(
                [(bound.owner, ASCENDING), (MARK, ASCENDING)], name=_INDEX, partialFilterExpression={MARK: MARKED}
            )
    stray = next(documentless(store, bound), None) if is_new else None
    if stray is not None:
        raise SchemaError(
            f"{bound.model}/{stray[1]} of owner {stray[0]!r} is a record already, and no document of {name}: bind the "
            "collection under another model name"
        )


def _announce(store: Store, bound: BoundCollection) -> None:
    with store.faults():
        row = store.schema.find_one_and_update(
            {"_id": "bindings"}, {"$inc": {"number": 1}}, upsert=True, return_document=ReturnDocument.AFTER
        )
    number = int(row["number"]) if row else 0
    with store.faults():
        store.bindings.update_one(
            {"_id": bound.model},
            {
                "$set": {"number": number, "description": bound.description(), "marking": ObjectId()},
                "$setOnInsert": {"since": number},
            },
            upsert=True,
        )
    _make_stale(store)


def _make_stale(store: Store) -> None:
    """Have whoever comes next to an owner look what is bound. To do it for all at once might take too long."""
    stale = {"$subtract": [-1, {"$ifNull": ["$bound", 0]}]}
    after: str | None = ""
    while after is not None:
        beyond: Document = {"_id": {"$gt": after}}
        with store.faults():
            last = store.owners.find_one(beyond, {"_id": 1}, sort=[("_id", ASCENDING)], skip=_OWNERS - 1)
        page = beyond if last is None else {"_id": {"$gt": after, "$lte": last["_id"]}}
        with store.faults():
            store.owners.update_many({**page, "bound": {"$not": {"$lt": 0}}}, [{"$set": {"bound": stale}}])
        after = None if last is None else last["_id"]


def catch_up(store: Store, owner: str, head: Document, bound: Bound) -> None:
    """Bring an owner's head to what is bound now. Raises `ConflictError` if a commit falls between.

    Who did not know of a binding may have written records without documents: these get them now.
    """
    settled = commits.settle(store, head)
    if settled is None:
        return
    head = settled
    last = int(head.get("bound") or 0)
    last = -1 - last if last < 0 else last
    writes: list[DocumentWrite] = []
    for model, since in bound.since.items():
        if since > last:
            writes += _missing(store, owner, head["life"], bound.documents.collections[model])
    unchanged = Commit(
        expected=int(head["clock"]), clock=int(head["clock"]), epoch=head["epoch"], purged=int(head["purged"])
    )
    commits.make(store, owner, unchanged, writes, bound=head.get("bound"), becomes_bound=bound.number)


def _missing(store: Store, owner: str, life: ObjectId, bound: BoundCollection) -> Iterator[DocumentWrite]:
    try:
        bound.owner_value(owner)
    except ValueError:
        return
    beginning = id_of(life, bound.model, "")
    condition = {"_id": {"$gte": beginning, "$lt": beginning + "\U0010ffff"}, "owner": owner, "deleted": False}
    with store.faults():
        rows = list(store.records.find(condition))
    records = [
        Record(bound.model, row["_id"].split("\0")[2], int(row["clock"]), False, int(row["changed_at"]), row["body"])
        for row in rows
    ]
    there = {bound.id_text(found["_id"]) for found in documents_of(store, bound, [record.id for record in records])}
    for record in records:
        if record.id not in there:
            yield write_of(bound, owner, record, "insert", entry_of(record).body)


def documentless(store: Store, bound: BoundCollection) -> Iterator[tuple[str, str]]:
    """Find the (owner, id) of the live records of a bound model whose owner has no such document."""
    with store.faults():
        cursor = store.records.find({"deleted": False}, {"owner": 1}).batch_size(1000)
    by_owner: dict[tuple[str, str], list[str]] = {}
    count = 0
    with cursor:
        while True:
            with store.faults():
                row = next(cursor, None)
            if row is not None:
                life, model, id = row["_id"].split("\0")
                if model == bound.model:
                    by_owner.setdefault((row["owner"], life), []).append(id)
                    count += 1
            if count >= 1000 or row is None:
                yield from _documentless(store, bound, by_owner)
                by_owner, count = {}, 0
            if row is None:
                return


def _documentless(
    store: Store, bound: BoundCollection, by_owner: dict[tuple[str, str], list[str]]
) -> Iterator[tuple[str, str]]:
    for (owner, life), ids in by_owner.items():
        head = commits.head_of(store, owner)
        if head is None or str(head["life"]) != life:
            continue  # what an erasure has not come to yet
        there = Documents([bound]).read(store, bound, owner, ids)
        yield from ((owner, id) for id in ids if id not in there)
