"""The storage itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from bson import Int64
from pymongo import ASCENDING, MongoClient
from pymongo.client_session import ClientSession
from pymongo.cursor import Cursor
from pymongo.database import Database

from mobync_core.checks import check_commit
from mobync_core.errors import StorageClosed
from mobync_core.storage import Commit, Key, Note, Record, Snapshot
from mobync_mongodb import commits
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.moments import at_one_moment
from mobync_mongodb.pieces import id_of

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
    ) -> None:
        self._owns_client = owns_client
        self._reopen = reopen
        self._process = os.getpid()
        self._of_the_parent: list[Store] = []
        self._opened = Store(_database(client_or_database))
        self._closed = False

    def __repr__(self) -> str:
        return f"MongoStorage({self._opened.name!r})"

    def setup(self) -> None:
        self._store.setup()

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        wanted = set(keys)

        def asks(head: Document) -> bool:
            # Every clock is below the head's: a device that has all costs one read.
            return since < head["clock"] and limit != 0

        def read(head: Document, session: ClientSession) -> tuple[list[Record], list[Record]]:
            return (
                self._changed(head, since, limit, session) if asks(head) else [],
                self._named(head, wanted, session),
            )

        head, found = at_one_moment(self._store, owner, read, lambda head: bool(wanted) or asks(head))
        if head is None:
            return Snapshot(clock=0, epoch="", purged=-1, changed=())
        changed, named = found or ([], [])
        return Snapshot(
            clock=int(head["clock"]), epoch=head["epoch"], purged=int(head["purged"]), changed=changed, named=named
        )

    def commit(self, owner: str, commit: Commit) -> None:
        check_commit(owner, commit)
        commits.make(self._store, owner, commit)

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
        def read(head: Document, session: ClientSession) -> list[Note]:
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
