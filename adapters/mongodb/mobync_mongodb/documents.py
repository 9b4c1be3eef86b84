"""Reads what the application wrote into bound collections."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession

from mobync_core.storage import Key, Outside
from mobync_mongodb.binding import GUARD, BoundCollection
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.outbox import AT, MARK, MARKED, chunks, counts, in_document, in_outbox, now

_MOST = 500
"""How many marked documents, and entries of the outbox, one load tells; the next tells more."""

OUTBOX = ""
"""Stands for the outbox among the names of collections."""


class Documents:
    """The documents of all bound collections of a database."""

    def __init__(self, collections: Iterable[BoundCollection] = ()) -> None:
        self.collections = {bound.model: bound for bound in collections}

    def marked(self, store: Store, owner: str) -> set[str]:
        """Say where something of the owner's is marked: in which collections, and in the outbox. One command."""
        places = [*self._marked(owner), (OUTBOX, {"owner": owner})]
        collections = [store.documents(name) if name else store.outbox for name, _ in places]
        pipeline = _one(*places[0])
        for collection, place in zip(collections[1:], places[1:], strict=True):
            pipeline.append({"$unionWith": {"coll": collection.name, "pipeline": _one(*place)}})
        with store.faults():
            return {row["in"] for row in collections[0].aggregate(pipeline)}

    def outside(
        self, store: Store, owner: str, marked: Collection[str], session: ClientSession, seen: ObjectId | None
    ) -> list[Outside]:
        """Tell the documents that are marked in these places; `seen` is the owner's last commit."""
        found: dict[Key, tuple[int, Mapping[str, Any] | None, list[str]]] = {}
        for name, condition in self._marked(owner):
            if name not in marked:
                continue
            bound = self._of_collection(name)
            with store.faults():
                documents = list(store.documents(name).find(condition, session=session).limit(_MOST))
            for document in documents:
                if bound.owner_text(document) != owner:
                    continue  # among several, in a list
                id = bound.id_text(document["_id"])
                key = bound.model, str(document["_id"]) if id is None else id
                mark = in_document(key, name, document, seen)
                at = _milliseconds(document[GUARD].get("at"))
                # Without an id it is kept from the devices, which the engine says.
                found[key] = at, {"_id": IdOfAnotherType()} if id is None else bound.told(document), [mark]
        if OUTBOX in marked:
            for bound, id, there, telling in self._told_by_outbox(store, owner, session):
                unmarked = None if there is None else bound.told(there)
                at, fields, marks = found.get((bound.model, id), (0, unmarked, []))
                at = max(at, *(int(entry["at"]) for entry in telling))
                found[bound.model, id] = at, fields, [*marks, *(in_outbox(entry, seen) for entry in telling)]
        return [Outside(model, id, at, fields, marks) for (model, id), (at, fields, marks) in found.items()]

    def forget(self, store: Store, owner: str) -> None:
        """Remove all marks of an owner who was erased. His documents are the application's, and stay."""
        if self.collections:
            with store.faults():
                store.outbox.delete_many({"owner": owner})
        for name, condition in self._marked(owner):
            with store.faults():
                store.documents(name).update_many(condition, {"$unset": {MARK: "", AT: ""}})

    def read(
        self, store: Store, bound: BoundCollection, owner: str, ids: Sequence[str], session: ClientSession | None = None
    ) -> dict[str, Document]:
        """Return the owner's documents of these ids."""
        found = {}
        for document in documents_of(store, bound, ids, session=session):
            id = bound.id_text(document["_id"])
            if id is not None and bound.owner_text(document) == owner:
                found[id] = document
        return found

    def _marked(self, owner: str) -> Iterator[tuple[str, Document]]:
        for bound in self.collections.values():
            try:
                yield bound.collection, {bound.owner: bound.owner_value(owner), MARK: MARKED}
            except ValueError:
                continue  # no document can have this owner

    def _of_collection(self, name: str) -> BoundCollection:
        return next(bound for bound in self.collections.values() if bound.collection == name)

    def _told_by_outbox(
        self, store: Store, owner: str, session: ClientSession
    ) -> Iterator[tuple[BoundCollection, str, Document | None, list[Document]]]:
        """Find the documents of which an entry says something by now, as they are, and these entries."""
        after = None
        told = 0
        while told < _MOST:
            condition: Document = {"owner": owner} if after is None else {"owner": owner, "_id": {"$gt": after}}
            with store.faults():
                page = list(store.outbox.find(condition, session=session).sort("_id").limit(_MOST))
            by_key: dict[tuple[str, str], list[Document]] = {}
            for entry in page:
                if entry["model"] in self.collections:
                    by_key.setdefault((entry["model"], entry["id"]), []).append(entry)
            for model in {model for model, _ in by_key}:
                bound = self.collections[model]
                ids = [id for of, id in by_key if of == model]
                there = self.read(store, bound, owner, ids, session)
                for id in ids:
                    telling = [entry for entry in by_key[model, id] if counts(entry, there.get(id))]
                    if telling:
                        told += 1
                        yield bound, id, there.get(id), telling
            if len(page) < _MOST:
                return
            after = page[-1]["_id"]


class IdOfAnotherType:
    """Stands for an ``_id`` that is not of the type that the binding says."""


def documents_of(
    store: Store,
    bound: BoundCollection,
    ids: Sequence[str],
    *,
    names: Collection[str] | None = None,
    session: ClientSession | None = None,
) -> Iterator[Document]:
    """Read the documents of these ids, whoever owns them; only some fields if `names` are given."""
    for chunk in chunks([bound.id_value(id) for id in ids]):
        with store.faults():
            cursor = store.documents(bound.collection).find({"_id": {"$in": chunk}}, names, session=session)
            found = list(cursor)
        yield from found


def _one(name: str, condition: Document) -> list[Document]:
    return [{"$match": condition}, {"$limit": 1}, {"$project": {"_id": 0, "in": {"$literal": name}}}]


def _milliseconds(at: Any) -> int:
    return int(at) if isinstance(at, int) else now()
