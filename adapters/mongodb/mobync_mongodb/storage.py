"""The storage itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

from bson import Int64
from pymongo import ASCENDING, MongoClient
from pymongo.client_session import ClientSession
from pymongo.collection import Collection as MongoCollection
from pymongo.cursor import Cursor
from pymongo.database import Database

from mobync_core.adoption import BoundModel, Progress
from mobync_core.checks import check_commit
from mobync_core.errors import ConflictError, SchemaError, StorageClosed
from mobync_core.storage import Commit, Key, Note, Outside, Record, Snapshot
from mobync_mongodb import adoption, bindings, commits, outbox
from mobync_mongodb.binding import Binding, resolve
from mobync_mongodb.bindings import Bound
from mobync_mongodb.captured import CapturedCollection
from mobync_mongodb.demands import Demands
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.moments import at_one_moment
from mobync_mongodb.pieces import id_of
from mobync_mongodb.planning import DocumentWrite, Planner

_INT64_MAX = 2**63 - 1
_ROWS = 1000  # read within one time-out
_KEYS = 250  # of full length, 140 KiB of a command
_NOTES_PAGE = 100
_OWNERS_PAGE = 1000


class MongoStorage:
    """A storage in a MongoDB database; see `mobync_core.storage.Storage` for its calls.

    A client's database is the one that its URL names, or ``mobync``. `close` leaves the client open unless
    `owns_client`. Threads may share the storage; a process may fork after opening one by URL (`reopen` makes
    the child's client), with a client that was handed in it may not.
    """

    def __init__(
        self,
        client_or_database: MongoClient[Any] | Database[Any],
        *,
        owns_client: bool = False,
        reopen: Callable[[], MongoClient[Any]] | None = None,
        bind: Iterable[Binding] = (),
    ) -> None:
        self._owns_client = owns_client
        self._reopen = reopen
        self._process = os.getpid()
        self._of_the_parent: list[Store] = []
        self._given_database = _database(client_or_database)
        self._opened = Store(self._given_database)
        self._closed = False
        self._given = [resolve(binding, self._given_database.name) for binding in bind]
        self._bound = Bound()
        self._demands = Demands()

    def __repr__(self) -> str:
        return f"MongoStorage({self._opened.name!r})"

    def setup(self) -> None:
        store = self._store
        store.setup()
        if self._given:
            bindings.bind(store, self._given)
            for bound in adoption.unmarked(store, self._given):
                adoption.mark_all(store, bound)
        self._read_bound()

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        while True:
            bound = self._bound
            head, snapshot = self._load(owner, since, set(keys), limit, bound)
            if head is None or head.get("bound") == bound.number:
                return snapshot
            self._catch_up(owner, head)

    def _load(
        self, owner: str, since: int, keys: Collection[Key], limit: int | None, bound: Bound
    ) -> tuple[Document | None, Snapshot]:
        store = self._store
        # Before the head: a mark that is gone by then was folded by a commit that the head shows.
        marked = bound.documents.marked(store, owner) if bound else set()
        was_pending = False

        def asks_changed(head: Document) -> bool:
            # Every clock is below the head's: a device that has all costs one read.
            return since < head["clock"] and limit != 0

        def asks(head: Document | None) -> bool:
            nonlocal was_pending
            if bound and head is not None and head["pending"] is not None:
                was_pending = True  # what is done of it now may mark documents
            return was_pending or bool(marked) or (head is not None and (bool(keys) or asks_changed(head)))

        def read(head: Document | None, session: ClientSession) -> tuple[list[Record], list[Record], Sequence[Outside]]:
            changed = self._changed(head, since, limit, session) if head is not None and asks_changed(head) else []
            named = self._named(head, keys, session) if head is not None else []
            places = bound.documents.marked(store, owner) if was_pending else marked
            if not places:
                return changed, named, ()
            seen = None if head is None else head["commit"]
            return changed, named, bound.documents.outside(store, owner, places, session, seen)

        head, found = at_one_moment(store, owner, read, asks)
        changed, named, outside = found or ([], [], ())
        if head is None:
            return None, Snapshot(clock=0, epoch="", purged=-1, changed=(), outside=outside)
        return head, Snapshot(
            clock=int(head["clock"]),
            epoch=head["epoch"],
            purged=int(head["purged"]),
            changed=changed,
            named=named,
            outside=outside,
        )

    def _catch_up(self, owner: str, head: Document) -> None:
        """Look what is bound, and have the owner's head say that this was looked at."""
        bound = self._read_bound()
        if head.get("bound") != bound.number:
            try:
                bindings.catch_up(self._store, owner, head, bound)
            except ConflictError:
                return  # another did it, or something else: the next look tells

    def commit(self, owner: str, commit: Commit) -> bool:
        check_commit(owner, commit)
        store, bound = self._store, self._bound
        marks = [outbox.read_mark(name) for name in commit.folded]
        if marks and commit.clock == commit.expected:
            outbox.forget(store, owner, marks)
            return False
        documents: list[DocumentWrite] = []
        if bound and commit.put and not commit.folded:
            documents = Planner(store, bound.documents, self._demands).plan(owner, commit.put)
        # The documents are as of one moment: had a commit come between, it might have written them, too.
        after = marks[0]["seen"] if marks else None
        if marks and after is None and commit.expected:
            raise ConflictError("the owner's first commit came after the documents were looked at")
        corrected = commits.make(store, owner, commit, documents, bound=bound.number, after=after)
        if corrected:
            self._demands.forget()
        return corrected

    def row_fault(self, owner: str, model: str, fields: Mapping[str, Any]) -> str | None:
        bound = self._bound.documents.collections.get(model)
        return None if bound is None else bound.fault(owner, fields)

    def read_only(self, model: str) -> Collection[str]:
        bound = self._bound.documents.collections.get(model)
        return () if bound is None else [field for name in bound.read_only if (field := bound.field_of(name))]

    def collection(self, collection: str | MongoCollection[Any]) -> CapturedCollection:
        """Return a bound collection, given by its name or as the application has it, to be written by the application.

        What is written through it reaches the devices. Raises `SchemaError` if it is not bound.
        """
        if isinstance(collection, str):
            collection = self._given_database[collection]
        elif collection.database.name != self._given_database.name:
            raise SchemaError(f"{collection.full_name} is not bound: it lies in another database")
        for bound in [*self._given, *self._read_bound().documents.collections.values()]:
            if bound.collection == collection.name:
                return CapturedCollection(collection, bound, self._settle)
        raise SchemaError(f"the collection {collection.name} is bound to no model here")

    def _settle(self, owner: str) -> None:
        commits.settle(self._store, commits.head_of(self._store, owner))

    def adopt(
        self,
        table: str,
        *,
        owner: str,
        model: str = "",
        id: str = "",
        fields: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
        read_only: Collection[str] = (),
        types: Mapping[str, str] | None = None,
        triggers: bool = True,
        progress: Progress | None = None,
    ) -> BoundModel:
        """Bind a model to a collection by its name; see `mobync_core.adoption.Adoption`.

        MongoDB has no triggers: whatever `triggers` says, what is written through `collection` is caught. Without
        `types` they are found out by the documents that are there.
        """
        del triggers
        if id not in ("", "_id"):
            raise ValueError(f"a document's id is its _id, not {id!r}")
        store = self._store
        bindings.check_there(store, table)
        bound = resolve(
            Binding(
                table,
                owner=owner,
                model=model,
                fields=fields or {},
                hidden=hidden,
                read_only=read_only,
                types=adoption.types_in(store, table, owner) if types is None else types,
            ),
            self._given_database.name,
        )
        bindings.bind(store, [bound])
        self._read_bound()
        adoption.mark_all(store, bound, progress)
        return adoption.told(store, bound)

    def rescan(self, model: str, progress: Progress | None = None) -> None:
        collections = self._read_bound().documents.collections
        if model not in collections:
            known = ", ".join(sorted(collections)) or "none"
            raise SchemaError(f"{model} is bound to no collection here; bound are: {known}")
        adoption.rescan(self._store, collections[model], progress)

    def marked_owners(self) -> list[str]:
        return adoption.marked_owners(self._store, self._read_bound())

    def bound_models(self) -> list[BoundModel]:
        return [adoption.told(self._store, bound) for bound in self._read_bound().documents.collections.values()]

    def _read_bound(self) -> Bound:
        self._bound = bindings.read_bound(self._store)
        return self._bound

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        left = limit
        while left is None or left > 0:
            page = _NOTES_PAGE if left is None else min(left, _NOTES_PAGE)
            found = self._page_of_notes(owner, kind, prefix, after, page)
            yield from found
            if len(found) < page:
                return
            after = found[-1].key
            left = None if left is None else left - page

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        after = ""
        while True:
            store = self._store
            condition = {"_id": {**_beginning(prefix), "$gt": after}}
            cursor = store.owners.find(condition, {"_id": 1}).sort("_id", ASCENDING).limit(_OWNERS_PAGE)
            found = [row["_id"] for row in self._rows(cursor)]
            yield from found
            if len(found) < _OWNERS_PAGE:
                return
            after = found[-1]

    def erase(self, owner: str) -> None:
        """Remove all that the owner has. If it is cut short, the owner is gone, and to repeat it removes the rest."""
        commits.erase(self._store, owner)
        self._bound.documents.forget(self._store, owner)

    def close(self) -> None:
        """Close the client if it was opened by URL. Calls after it raise `StorageClosed`."""
        self._closed = True
        if self._owns_client and self._process == os.getpid():
            self._opened.database.client.close()

    @property
    def _store(self) -> Store:
        if self._closed:
            raise StorageClosed(f"{self._opened.name} is closed")
        if self._process != os.getpid() and self._reopen is not None:
            # Forked. The parent's client is kept: to collect it is to close it under the parent's feet.
            self._of_the_parent.append(self._opened)
            self._opened = Store(_database(self._reopen()))
            self._process = os.getpid()
        return self._opened

    def _changed(self, head: Document, since: int, limit: int | None, session: ClientSession) -> list[Record]:
        condition = {"owner": head["_id"], "life": head["life"], "clock": {"$gte": _int64(since)}}
        cursor = self._store.records.find(condition, session=session).sort("clock", ASCENDING).limit(limit or 0)
        return [_record(row) for row in self._rows(cursor)]

    def _named(self, head: Document, keys: Collection[Key], session: ClientSession) -> list[Record]:
        ids = [id_of(head["life"], model, id) for model, id in keys]
        found: list[Record] = []
        for start in range(0, len(ids), _KEYS):
            condition = {"_id": {"$in": ids[start : start + _KEYS]}, "owner": head["_id"]}
            rows = self._rows(self._store.records.find(condition, session=session))
            found += [_record(row) for row in rows if "clock" in row]  # else the ghost of a removed one
        return found

    def _page_of_notes(self, owner: str, kind: str, prefix: str, after: str, page: int) -> list[Note]:
        def read(head: Document | None, session: ClientSession) -> list[Note]:
            assert head is not None  # or nothing asks
            condition = {
                "owner": owner,
                "life": head["life"],
                "kind": kind,
                "key": {**_beginning(prefix), "$gt": after},
            }
            cursor = self._store.notes.find(condition, session=session).sort("key", ASCENDING).limit(page)
            return [Note(kind, row["key"], row["body"]) for row in self._rows(cursor)]

        return at_one_moment(self._store, owner, read)[1] or []

    def _rows(self, cursor: Cursor[Document]) -> Iterator[Document]:
        # MongoDB orders and compares strings by their bytes: the collections have no collation, `setup` sees to it.
        with closing(cursor.batch_size(_ROWS)):
            while True:
                with self._opened.faults():
                    rows = list(islice(cursor, _ROWS))
                yield from rows
                if len(rows) < _ROWS:
                    return


def _database(client_or_database: MongoClient[Any] | Database[Any]) -> Database[Any]:
    if isinstance(client_or_database, MongoClient):
        return client_or_database.get_default_database("mobync")
    return client_or_database


def _record(row: Document) -> Record:
    _, model, id = row["_id"].split("\0")
    return Record(model, id, int(row["clock"]), row["deleted"], int(row["changed_at"]), row["body"])


def _int64(number: int) -> Int64:
    return Int64(max(-_INT64_MAX, min(number, _INT64_MAX)))


def _beginning(prefix: str) -> Document:
    """The range of the strings that begin with `prefix`: up to it with its last character raised by one."""
    for last in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[last]) + 1
        if code <= 0x10FFFF:
            # Over the surrogates, which UTF-8 does not have.
            return {"$gte": prefix, "$lt": prefix[:last] + chr(0xE000 if code == 0xD800 else code)}
    return {"$gte": prefix}
