"""What tells that the application wrote a document, and what of that is folded into the records already.

- The mark in the document itself, which is set by the very command that writes it (`binding.GUARD`). A later write
  sets another, so that what was seen is never taken for what came after it.
- An entry of `mobync_outbox`, (owner, model, id), where a document cannot say so. One that `awaits` is made before the
  document of which the guard had this `by` is deleted or goes to another owner: it counts as soon as that owner has no
  such document. Should that not come to pass, it counts after a day as well, and thus goes away.

To have too many of them does no harm. That no process sleeps for a day between the entry and its write is assumed.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import bson
from bson import Int64, ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from mobync_core.engine import utc_now
from mobync_core.errors import StorageError
from mobync_core.storage import Key
from mobync_mongodb.binding import GUARD
from mobync_mongodb.faults import codes_of
from mobync_mongodb.layout import DAY, Document, Store

T = TypeVar("T")

MARK, AT, BY = f"{GUARD}.mark", f"{GUARD}.at", f"{GUARD}.by"

MARKED = {"$gt": ObjectId("0" * 24)}
"""What any mark is. The index of marked documents has the same condition, word by word."""

INVALID = 121  # DocumentValidationFailure
_CHUNK = 500


def chunks(values: Sequence[T], most: int = _CHUNK) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), most):
        yield values[start : start + most]


def now() -> Int64:
    """The UTC time in ms."""
    return Int64(utc_now())


def fresh_mark() -> Document:
    """The fields, with their paths, that mark a document from now on."""
    return {MARK: ObjectId(), AT: now()}


def entry(owner: str, key: Key) -> Document:
    model, id = key
    return {"_id": ObjectId(), "owner": owner, "model": model, "id": id, "at": now()}


def awaiting(owner: str, key: Key, by: Any) -> Document:
    return {**entry(owner, key), "awaits": by}


def look(store: Store, owner: str, keys: Iterable[Key]) -> None:
    """Have the next load of the owner compare these documents with the records, whether they are there or not."""
    for chunk in chunks([entry(owner, key) for key in keys]):
        with store.faults():
            store.outbox.insert_many(chunk, ordered=False)


def counts(entry: Document, document: Document | None) -> bool:
    """Whether an entry of the outbox says something by now, when the owner has this document."""
    if "awaits" not in entry or document is None:
        return True
    return document.get(GUARD, {}).get("by") != entry["awaits"] or bool(entry["at"] < now() - DAY * 1000)


def in_document(key: Key, collection: str, document: Document, seen: ObjectId | None) -> str:
    """Name the mark of a document, as `mobync_core.storage.Commit.folded` has it.

    `seen` is the last commit of the owner when it was looked at.
    """
    place = {"in": collection, "document": document["_id"]}
    return _named({"mark": document[GUARD]["mark"], "key": list(key), "seen": seen, **place})


def in_outbox(found: Document, seen: ObjectId | None) -> str:
    """Name an entry likewise."""
    return _named({"mark": found["_id"], "key": [found["model"], found["id"]], "seen": seen})


def _named(mark: Document) -> str:
    return base64.b64encode(bson.encode(mark)).decode()


def read_mark(name: str) -> Document:
    return bson.decode(base64.b64decode(name))


def forget(store: Store, owner: str, marks: Collection[Document]) -> list[Key]:
    """Remove these marks, as `read_mark` returns them, where they are still the last ones.

    Returns the keys of those that may be others by now.
    """
    gone: list[Key] = []
    for collection in sorted({mark["in"] for mark in marks if "in" in mark}):
        for chunk in chunks([mark for mark in marks if mark.get("in") == collection]):
            writes = [
                UpdateOne({"_id": mark["document"], MARK: mark["mark"]}, {"$unset": {MARK: "", AT: ""}}, hint="_id_")
                for mark in chunk
            ]
            refused, done = write_guards(store, collection, writes)
            if refused:
                raise StorageError(
                    f"{store.name}: the validator of {collection} refuses any change of {len(refused)} documents: mend "
                    "them, or grant the storage's user the action bypassDocumentValidation"
                )
            gone += [] if done == len(chunk) else _keys(chunk)
    for chunk in chunks([mark for mark in marks if "in" not in mark]):
        with store.faults():
            ids = [mark["mark"] for mark in chunk]
            found = store.outbox.delete_many({"owner": owner, "_id": {"$in": ids}})
        gone += [] if found.deleted_count == len(chunk) else _keys(chunk)
    return gone


def _keys(marks: Sequence[Document]) -> list[Key]:
    return [(mark["key"][0], mark["key"][1]) for mark in marks]


def write_guards(store: Store, collection: str, writes: Sequence[UpdateOne]) -> tuple[list[int], int]:
    """Do writes that change nothing but guards.

    Returns the places of those that a validator refuses nevertheless, and how many found their document. A validator
    refuses each change of a document that was none of its kind before; to get past it takes a right of its own.
    """
    refused, done = _write_guards(store, collection, writes, {})
    if refused:
        left = [writes[place] for place in refused]
        try:
            again, more = _write_guards(store, collection, left, {"bypass_document_validation": True})
        except StorageError:
            return refused, done
        return [refused[place] for place in again], done + more
    return [], done


def _write_guards(
    store: Store, collection: str, writes: Sequence[UpdateOne], options: dict[str, Any]
) -> tuple[list[int], int]:
    with store.faults():
        try:
            found = store.documents(collection).bulk_write(writes, ordered=False, **options)
        except BulkWriteError as error:
            if codes_of(error) != {INVALID}:
                raise
            return [fault["index"] for fault in error.details["writeErrors"]], error.details["nMatched"]
    return [], found.matched_count
