"""Finds out before a commit which documents a unique index or a validator of the collection would refuse.

What it cannot know, or what becomes of it meanwhile, shows when the documents are written (`rolling`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import bson
from bson import Decimal128
from pymongo.errors import OperationFailure

from mobync_core.errors import RecordRejected
from mobync_core.storage import Key
from mobync_mongodb.binding import GUARD, BoundCollection
from mobync_mongodb.layout import Document, Store

if TYPE_CHECKING:
    from mobync_mongodb.planning import DocumentWrite

_KNOWN_SECONDS = 60
"""How long what a collection demands is taken for known."""

_CHUNK = 100
_LARGEST = 8 * 2**20  # bytes of documents in one command

_UNKNOWN_STAGE = 40324


@dataclass(frozen=True, slots=True)
class _Collection:
    """What a collection demands of its documents: the fields of each unique index, and a validator."""

    indexes: Sequence[_Unique]
    validator: Document | None
    new_only: bool


@dataclass(frozen=True, slots=True)
class _Unique:
    paths: tuple[str, ...]
    sparse: bool

    def tops(self) -> set[str]:
        """The top-level fields that the index is about."""
        return {path.partition(".")[0] for path in self.paths}


class Demands:
    """What the bound collections of a database demand, as it was lately."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, _Collection]] = {}
        self._can_validate = True

    def names(self, store: Store, bound: BoundCollection) -> set[str]:
        """Name the top-level fields of which `check` needs to know what the documents hold."""
        return {name for index in self._demands(store, bound).indexes for name in index.tops()}

    def forget(self) -> None:
        """Look anew, since something was refused that was thought to be good."""
        self._known.clear()

    def check(
        self,
        store: Store,
        bound: BoundCollection,
        writes: Sequence[DocumentWrite],
        there: Mapping[str | None, Document],
    ) -> None:
        """Raise `RecordRejected` for what would be refused. `there` are the documents by the texts of their ids."""
        demands = self._demands(store, bound)
        reasons: dict[Key, str] = {}
        fields: dict[Key, Collection[str]] = {}
        for index in demands.indexes:
            found = [field for name in index.paths if (field := bound.field_of(name)) is not None]
            what = " and ".join(found) if found else "something of it that is hidden"
            for write in _Clash(store, bound, index, writes, there).found():
                reasons.setdefault(write.key, f"{what} must be unique, and there is another like it")
                fields.setdefault(write.key, found)
        if demands.validator is not None and self._can_validate:
            judged = [write for write in writes if write.kind == "insert" or not demands.new_only]
            for write in self._invalid(store, bound, demands.validator, judged):
                reasons.setdefault(write.key, "the database does not take such a document: its validator refuses it")
        if reasons:
            raise RecordRejected(reasons, fields)

    def _demands(self, store: Store, bound: BoundCollection) -> _Collection:
        at, demands = self._known.get(bound.collection, (0.0, None))
        if demands is None or time.monotonic() - at > _KNOWN_SECONDS:
            demands = _read_demands(store, bound.collection)
            self._known[bound.collection] = time.monotonic(), demands
        return demands

    def _invalid(
        self, store: Store, bound: BoundCollection, validator: Document, writes: Sequence[DocumentWrite]
    ) -> Iterator[DocumentWrite]:
        for start in range(0, len(writes), _CHUNK):
            chunk = [write for write in writes[start : start + _CHUNK] if write.kind != "delete"]
            documents = _as_they_would_be(store, bound, chunk)
            if not documents or len(bson.encode({"of": documents})) > _LARGEST:
                continue
            pipeline: list[Document] = [
                {"$documents": [{"$literal": document} for document in documents]},
                {"$match": {"$nor": [validator]}},
                {"$project": {"_id": 1}},
            ]
            with store.faults():
                try:
                    refused = [row["_id"] for row in store.database.aggregate(pipeline)]
                except OperationFailure as error:
                    if error.code != _UNKNOWN_STAGE:
                        raise
                    self._can_validate = False  # MongoDB before 5.1
                    return
            yield from (write for write in chunk if write.document_id in refused)


class _Clash:
    """The writes of one commit, and the documents that are there, looked at through one unique index."""

    def __init__(
        self,
        store: Store,
        bound: BoundCollection,
        index: _Unique,
        writes: Sequence[DocumentWrite],
        there: Mapping[str | None, Document],
    ) -> None:
        self._store = store
        self._bound = bound
        self._index = index
        self._there = there
        self._writes = {write.id: write for write in writes}

    def found(self) -> Iterator[DocumentWrite]:
        wanted: dict[tuple[Any, ...], DocumentWrite] = {}
        values: dict[tuple[Any, ...], Document] = {}
        for write in self._writes.values():
            if write.kind == "delete" or not self._changes(write):
                continue
            key = self._values(self._after(write))
            if key is None:
                continue
            comparable = tuple(map(_comparable, key))
            if comparable in wanted:
                yield write
                continue
            wanted[comparable] = write
            values[comparable] = dict(zip(self._index.paths, key, strict=True))
        conditions = list(values.values())
        for start in range(0, len(conditions), _CHUNK):
            with self._store.faults():
                documents = list(
                    self._store.documents(self._bound.collection).find(
                        {"$or": conditions[start : start + _CHUNK]}, [*self._index.tops(), "_id"]
                    )
                )
            for document in documents:
                key = self._values(document)
                one = wanted.get(tuple(map(_comparable, key))) if key is not None else None
                if one is not None and one.document_id != document["_id"] and not self._makes_way(document):
                    yield one

    def _changes(self, write: DocumentWrite) -> bool:
        names = {name for name, _ in write.values} | set(write.unset)
        return write.kind == "insert" or not names.isdisjoint(self._index.tops())

    def _makes_way(self, document: Document) -> bool:
        """Whether the commit takes its values away from a document that is there."""
        other = self._writes.get(self._bound.id_text(document["_id"]) or "")
        return other is not None and (other.kind == "delete" or self._changes(other))

    def _after(self, write: DocumentWrite) -> Document:
        return as_it_would_be(write, self._there.get(write.id, {}))

    def _values(self, document: Document) -> tuple[Any, ...] | None:
        """Return what the index has of a document; None if it has nothing, or what is beyond this check."""
        values = []
        is_there = False
        for path in self._index.paths:
            value: Any = document
            for name in path.split("."):
                if isinstance(value, list):
                    return None
                if not isinstance(value, dict) or name not in value:
                    value = None
                    break
                value = value[name]
            else:
                is_there = True
            if isinstance(value, list):
                return None
            values.append(value)
        return tuple(values) if is_there or not self._index.sparse else None


def as_it_would_be(write: DocumentWrite, document: Document) -> Document:
    """Return what the write makes of a document."""
    made = {"_id": write.document_id, write.owner[0]: write.owner[1]} if write.kind == "insert" else dict(document)
    made.update(write.values)
    for name in write.unset:
        made.pop(name, None)
    return made


def _as_they_would_be(store: Store, bound: BoundCollection, writes: Sequence[DocumentWrite]) -> list[Document]:
    updated = [write.document_id for write in writes if write.kind == "update"]
    there: dict[Any, Document] = {}
    if updated:
        with store.faults():
            found = list(store.documents(bound.collection).find({"_id": {"$in": updated}}))
        there = {document["_id"]: document for document in found}
    made = []
    for write in writes:
        if write.kind == "insert" or write.document_id in there:
            document = as_it_would_be(write, there.get(write.document_id, {}))
            made.append({**document, GUARD: {**document.get(GUARD, {}), "by": bson.ObjectId()}})
    return made


def _read_demands(store: Store, collection: str) -> _Collection:
    with store.faults():
        indexes = list(store.documents(collection).list_indexes())
        (found,) = list(store.database.list_collections(filter={"name": collection})) or [{}]
    unique = [
        _Unique(tuple(index["key"]), bool(index.get("sparse")))
        for index in indexes
        if index.get("unique") and "partialFilterExpression" not in index and "collation" not in index
    ]
    options = found.get("options", {})
    strict = options.get("validationAction", "error") != "warn" and options.get("validationLevel") != "off"
    validator = options.get("validator") or None
    return _Collection(unique, validator if strict else None, options.get("validationLevel") == "moderate")


def _comparable(value: Any) -> Any:
    """Return what is equal, and has the same hash, for all that MongoDB takes for the same."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, dict | list):
        return bson.encode({"": value})
    return isinstance(value, bool), isinstance(value, bytes), value
