"""From the records of a commit to what is to be done to documents, once the commit is done.

The documents are read before. What was read of each is in its write: the writer before, by the guard's `by`. So a
write finds the document that was meant, or nothing: not the one that the application put in its place, nor one that
a later commit has written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne

from mobync_core.errors import ConflictError, RecordRejected, StorageError
from mobync_core.records import Body, entry_of
from mobync_core.storage import Key, Record
from mobync_mongodb.binding import GUARD, BoundCollection
from mobync_mongodb.demands import Demands
from mobync_mongodb.documents import Documents, documents_of
from mobync_mongodb.kinds import PLAIN
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.outbox import chunks, fresh_mark, look, write_guards


@dataclass(frozen=True, slots=True)
class DocumentWrite:
    """What is to be done to one document: `kind` is insert, update or delete.

    `owner` is (name of the field, value), `by` who must have written the document last, None if nobody said so.
    `values` are to be set and `unset` to be removed, by their names in the document. `differs` says that the document
    will be other than the record.
    """

    collection: str
    model: str
    id: str
    kind: str
    document_id: Any
    owner: tuple[str, Any]
    by: Any = None
    values: Sequence[tuple[str, Any]] = ()
    unset: Sequence[str] = ()
    differs: bool = False

    def described(self) -> list[Any]:
        """Return it as BSON. Names stand in it as values."""
        return [
            *(self.collection, self.model, self.id, self.kind, self.document_id, list(self.owner), self.by),
            *([list(pair) for pair in self.values], list(self.unset), self.differs),
        ]

    @classmethod
    def of_described(cls, described: Sequence[Any]) -> DocumentWrite:
        return cls(*described)

    @property
    def key(self) -> Key:
        return self.model, self.id


class Planner:
    """Plans the writes of commits to the bound collections of a database."""

    def __init__(self, store: Store, documents: Documents, demands: Demands) -> None:
        self._store = store
        self._documents = documents
        self._demands = demands

    def plan(self, owner: str, records: Iterable[Record]) -> list[DocumentWrite]:
        """Say what the commit of these records does to documents.

        Raises `RecordRejected` for what cannot be, and `ConflictError` if the application wrote one of them.
        """
        by_model: dict[str, list[Record]] = {}
        for record in records:
            if record.model in self._documents.collections:
                by_model.setdefault(record.model, []).append(record)
        writes: list[DocumentWrite] = []
        for model, of_model in by_model.items():
            bound = self._documents.collections[model]
            try:
                bound.owner_value(owner)
            except ValueError as error:
                reasons = {record.key: f"the owner {error}" for record in of_model if not record.deleted}
                if reasons:
                    raise RecordRejected(reasons) from error
                continue
            names = self._demands.names(self._store, bound)
            ids = [record.id for record in of_model]
            found = documents_of(self._store, bound, ids, names={bound.owner, GUARD, *names})
            there = {bound.id_text(document["_id"]): document for document in found}
            planned = self._of_model(bound, owner, of_model, there)
            self._demands.check(self._store, bound, planned, there)
            writes += planned
        return writes

    def _of_model(
        self, bound: BoundCollection, owner: str, records: Sequence[Record], there: Mapping[str | None, Document]
    ) -> list[DocumentWrite]:
        writes = []
        refused: dict[Key, str] = {}
        vanished: list[Key] = []
        unknown: dict[Any, Key] = {}
        is_marked = False
        for record in records:
            body = entry_of(record).body
            document = there.get(record.id)
            holder = None if document is None else bound.owner_text(document)
            begins = body.created == record.clock
            if document is not None and holder == owner:
                guard = document.get(GUARD)
                if guard is None:
                    unknown[document["_id"]] = record.key
                elif "mark" in guard:
                    is_marked = True
                elif record.deleted:
                    writes.append(write_of(bound, owner, record, "delete", by=guard.get("by")))
                else:
                    # In a new life it takes the place of what is there, of which only what devices do not see stays.
                    seen = self._seen(bound, record.id) if begins else ()
                    writes.append(write_of(bound, owner, record, "update", body, by=guard.get("by"), seen=seen))
            elif not (record.deleted or begins):
                vanished.append(record.key)
            elif not record.deleted and (document is not None or (bound.owner == "_id" and record.id != owner)):
                refused[record.key] = "this id is taken"
            elif not record.deleted:
                writes.append(write_of(bound, owner, record, "insert", body))
        for id in mark_documents(self._store, bound.collection, list(unknown)):
            refused[unknown[id]] = "the database takes no change of this document"
        if refused:
            raise RecordRejected(refused)
        look(self._store, owner, vanished)
        if unknown or vanished or is_marked:
            raise ConflictError("the application wrote these documents since they were read")
        return [write for write in writes if write.kind != "update" or write.values or write.unset]

    def _seen(self, bound: BoundCollection, id: str) -> list[str]:
        document = next(documents_of(self._store, bound, [id]), {})
        return [name for name in document if bound.field_of(name) is not None]


def write_of(
    bound: BoundCollection,
    owner: str,
    record: Record,
    kind: str,
    body: Body | None = None,
    *,
    by: Any = None,
    seen: Sequence[str] = (),
) -> DocumentWrite:
    """Return the write that does to a document what the record's last change was; an insert, all that it is."""
    values: list[tuple[str, Any]] = []
    differs = False
    for field, register in body.fields.items() if body is not None else ():
        name = bound.name_of(field)
        if name is None or not (kind == "insert" or seen or register.clock == record.clock):
            continue
        value = register.value
        if value is not None:
            codec = bound.kind(name)
            try:
                value = codec.to_bson(value)
            except ValueError:  # taken when something else was bound
                differs = True
                continue
            differs = differs or (codec is not PLAIN and codec.to_json(value) != register.value)
        values.append((name, value))
    place = (bound.owner, bound.owner_value(owner))
    unset = [name for name in seen if name not in dict(values)]
    document_id = bound.id_value(record.id)
    return DocumentWrite(bound.collection, *record.key, kind, document_id, place, by, values, unset, differs)


def mark_documents(store: Store, collection: str, ids: Sequence[Any]) -> list[Any]:
    """Mark documents, so that the next load of their owners compares them with the records.

    Returns those that their validator does not let be marked.
    """
    refused = []
    for chunk in chunks(ids):
        try:
            with store.faults():
                store.documents(collection).update_many({"_id": {"$in": chunk}}, {"$set": fresh_mark()})
        except StorageError:  # maybe of a validator's, which refuses one: so each alone
            writes = [UpdateOne({"_id": id}, {"$set": fresh_mark()}, hint="_id_") for id in chunk]
            refused += [chunk[place] for place in write_guards(store, collection, writes)[0]]
    return refused
