"""A commit as documents, to be kept until its records are written, and the writes that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import bson
from bson import Int64, ObjectId
from pymongo import ReplaceOne, UpdateOne

from mobync_core.errors import StorageError
from mobync_core.storage import Commit
from mobync_mongodb.layout import Document
from mobync_mongodb.outbox import read_mark

if TYPE_CHECKING:
    from mobync_mongodb.planning import DocumentWrite

PIECE = 2**20
"""How many bytes a piece holds, if one item alone is not larger. A commit of one such piece needs no staging."""

_LARGEST = 15 * 2**20
"""The most bytes of one item: a document may have 16 MiB, and what stands in a piece must fit a record's too."""


def pieces_of(commit: Commit, documents: Sequence[DocumentWrite] = ()) -> tuple[list[Document], int]:
    """Cut a commit into pieces, at least one; and say how many bytes they have together.

    Names stand in them as values, never as fields, so that they may hold ``.`` and ``$``.
    """
    pieces: list[Document] = [{}]
    size = total = 0
    for part, item in _items(commit, documents):
        if part in ("documents", "folded"):
            bytes = len(bson.encode({"": item}))
        else:
            bytes = 64 + sum(len(value.encode()) for value in item if isinstance(value, str))
        if bytes > _LARGEST:
            raise StorageError(f"a record or a note has {bytes} bytes, more than the {_LARGEST} that MongoDB can take")
        if size + bytes > PIECE and size:
            pieces.append({})
            size = 0
        pieces[-1].setdefault(part, []).append(item)
        size += bytes
        total += bytes
    return pieces, total


def _items(commit: Commit, documents: Sequence[DocumentWrite]) -> Iterator[tuple[str, Any]]:
    for record in commit.put:
        clock, changed_at = Int64(record.clock), Int64(record.changed_at)
        yield "put", [record.model, record.id, clock, record.deleted, changed_at, record.body]
    for model, id in commit.remove:
        yield "remove", [model, id]
    for note in commit.notes:
        yield "notes", [note.kind, note.key, note.body]
    noted = {(note.kind, note.key) for note in commit.notes}
    for kind, key in commit.forget:
        if (kind, key) not in noted:  # forgotten first, then written: as on every storage
            yield "forget", [kind, key]
    # Last: until all else is done, whoever reads documents of the application's must wait in any case.
    for write in documents:
        yield "documents", write.described()
    for name in commit.folded:
        yield "folded", read_mark(name)


def record_writes(owner: str, life: ObjectId, clock: int, piece: Document) -> list[ReplaceOne[Any] | UpdateOne]:
    """The guarded writes of a piece's records; `clock` is the commit's."""
    common = {"owner": owner, "life": life, "written": Int64(clock)}
    writes: list[ReplaceOne[Any] | UpdateOne] = [
        ReplaceOne(
            _older(owner, id_of(life, model, id), clock),
            {**common, "clock": at, "deleted": deleted, "changed_at": changed_at, "body": body},
            upsert=True,
            hint="_id_",  # or a planner may go through all that the owner has, by the other index
        )
        for model, id, at, deleted, changed_at, body in piece.get("put", ())
    ]
    gone = ("clock", "deleted", "changed_at", "body")
    keys = (id_of(life, model, id) for model, id in piece.get("remove", ()))
    return [*writes, *_ghosts(owner, keys, clock, gone)]


def note_writes(owner: str, life: ObjectId, clock: int, piece: Document) -> list[ReplaceOne[Any] | UpdateOne]:
    """The guarded writes of a piece's notes; `clock` is the commit's."""
    common = {"owner": owner, "life": life, "written": Int64(clock)}
    writes: list[ReplaceOne[Any] | UpdateOne] = [
        ReplaceOne(
            _older(owner, id_of(life, kind, key), clock),
            {**common, "kind": kind, "key": key, "body": body},
            upsert=True,
            hint="_id_",  # or a planner may go through all that the owner has, by the other index
        )
        for kind, key, body in piece.get("notes", ())
    ]
    keys = (id_of(life, kind, key) for kind, key in piece.get("forget", ()))
    return [*writes, *_ghosts(owner, keys, clock, ("kind", "key", "body"))]


def id_of(life: ObjectId, first: str, second: str) -> str:
    """The `_id` of a record (model, id) or a note (kind, key), none of which has a NUL."""
    return f"{life}\0{first}\0{second}"


def _older(owner: str, id: str, clock: int) -> Document:
    return {"_id": id, "owner": owner, "written": {"$lt": Int64(clock)}}


def _ghosts(owner: str, ids: Iterable[str], clock: int, fields: Iterable[str]) -> Iterator[UpdateOne]:
    # What was never there needs no ghost: whoever might still write it late, wrote it after it had been there.
    unset = dict.fromkeys(fields, "")
    for id in ids:
        written = {"$set": {"written": Int64(clock)}, "$unset": unset, "$currentDate": {"gone": True}}
        yield UpdateOne(_older(owner, id, clock), written, hint="_id_")
