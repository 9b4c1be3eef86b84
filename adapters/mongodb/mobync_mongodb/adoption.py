"""Takes over documents that the application wrote when nobody looked: before the binding, or past what is caught."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

from mobync_core.adoption import BoundModel, Progress
from mobync_mongodb.binding import BoundCollection
from mobync_mongodb.bindings import Bound, documentless
from mobync_mongodb.kinds import KINDS, NAMES, kind_of
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.outbox import MARK, MARKED, look
from mobync_mongodb.planning import mark_documents

logger = logging.getLogger("mobync")

_PAGE = 1000
_SAMPLE = 1000


def unmarked(store: Store, collections: Collection[BoundCollection]) -> list[BoundCollection]:
    """Return the collections whose documents are not all marked yet."""
    with store.faults():
        left = {row["_id"] for row in store.bindings.find({"marking": {"$ne": None}}, {"_id": 1})}
    return [bound for bound in collections if bound.model in left]


def mark_all(store: Store, bound: BoundCollection, progress: Progress | None = None, *, again: bool = False) -> None:
    """Mark all documents if that is to be done since they were bound, or `again`.

    What was cut off goes on with those that have no mark.
    """
    with store.faults():
        row = store.bindings.find_one({"_id": bound.model})
        total = store.documents(bound.collection).estimated_document_count()
    if row is None or (row["marking"] is None and not again):
        return
    done = 0
    for ids in _pages(store, bound, {MARK: {"$exists": False}}):
        if refused := mark_documents(store, bound.collection, ids):
            logger.warning(
                "%d documents of %s are kept from the devices: its validator refuses any change of them",
                len(refused),
                bound.collection,
            )
        done += len(ids)
        if progress is not None:
            progress(done, max(total, done))
    with store.faults():
        store.bindings.update_one({"_id": bound.model, "marking": row["marking"]}, {"$set": {"marking": None}})


def rescan(store: Store, bound: BoundCollection, progress: Progress | None = None) -> None:
    """Mark every document once more, and every record whose document is gone."""
    mark_all(store, bound, progress, again=True)
    gone: dict[str, list[str]] = {}
    for owner, id in documentless(store, bound):
        gone.setdefault(owner, []).append(id)
    for owner, ids in gone.items():
        look(store, owner, [(bound.model, id) for id in ids])


def marked_owners(store: Store, bound: Bound) -> list[str]:
    """Return the owners of whom something is marked."""
    with store.faults():
        owners = {row["_id"] for row in store.outbox.aggregate([{"$group": {"_id": "$owner"}}])}
    for each in bound.documents.collections.values():
        pipeline: list[Document] = [{"$match": {MARK: MARKED}}, {"$group": {"_id": f"${each.owner}"}}]
        with store.faults():
            rows = list(store.documents(each.collection).aggregate(pipeline))
        owners |= {owner for row in rows if (owner := each.owner_text({each.owner: row["_id"]})) is not None}
    return sorted(owners)


def types_in(store: Store, collection: str, owner: str) -> dict[str, str]:
    """Find out by some documents which fields are no plain JSON: those that are of one such type in all of them."""
    found: dict[str, set[str]] = {}
    with store.faults():
        documents = list(store.documents(collection).find().limit(_SAMPLE))
    for document in documents:
        for name, value in document.items():
            if value is not None:
                found.setdefault(name, set()).add(kind_of(value))
    types = {}
    for name, kinds in found.items():
        allowed: Iterable[str] = NAMES if name in ("_id", owner) else KINDS
        if len(kinds) == 1 and (kind := kinds.pop()) in allowed and kind != "text":
            types[name] = kind
    return types


def told(store: Store, bound: BoundCollection) -> BoundModel:
    """Describe a binding to people, with the fields that some of its documents have."""
    with store.faults():
        documents = list(store.documents(bound.collection).find().limit(_SAMPLE))
    names = [*bound.fields.values(), *(name for document in documents for name in document)]
    fields = {field: name for name in dict.fromkeys(names) if (field := bound.field_of(name)) is not None}
    return BoundModel(
        model=bound.model,
        table=bound.collection,
        owner=bound.owner,
        id="_id",
        fields=fields,
        read_only=[field for field, name in fields.items() if name in bound.read_only],
        caught="MongoStorage.collection, and rescans",
    )


def _pages(store: Store, bound: BoundCollection, condition: Document) -> Iterator[list[Any]]:
    with store.faults():
        cursor = store.documents(bound.collection).find(condition, {"_id": 1}).batch_size(_PAGE)
    with cursor:
        while True:
            with store.faults():
                page = [row["_id"] for row in islice(cursor, _PAGE)]
            if page:
                yield page
            if len(page) < _PAGE:
                return
