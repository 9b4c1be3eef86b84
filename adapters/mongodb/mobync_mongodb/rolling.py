"""Writes the documents of a commit that is done, as the second step of `commits`, however often and late.

An update or a delete finds the document only as it was read (`planning`). An insert finds the place taken if it comes
late, or, if the document was deleted meanwhile, free: whoever finds himself late takes away what is no record's.

What the database refuses now stays as it was, and is marked: so the record becomes what the document is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bson import ObjectId
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.errors import BulkWriteError

from mobync_core.storage import Key
from mobync_mongodb.binding import GUARD, INSERTED
from mobync_mongodb.faults import CONFLICT, DUPLICATE, OUT_OF_REACH
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.outbox import BY, MARK, chunks, fresh_mark, look, write_guards
from mobync_mongodb.pieces import id_of
from mobync_mongodb.planning import DocumentWrite

_STEPS = ("delete", "update", "insert")  # so that a name which must be unique can be handed on


class DocumentRoll:
    """The documents of one commit, while one process writes them.

    `corrected` tells, at the end, whether some are other than their records.
    """

    def __init__(self, store: Store, head: Document, session: ClientSession | None) -> None:
        self.corrected = False
        self._store = store
        self._owner: str = head["_id"]
        self._life: ObjectId = head["life"]
        self._commit: ObjectId = head["commit"]
        self._session = session
        self._inserted: list[DocumentWrite] = []
        self._refused: list[tuple[DocumentWrite, int]] = []

    def write(self, writes: Sequence[DocumentWrite], is_pending: Callable[[], bool]) -> bool:
        """Do these writes, as long as the commit is pending. Returns whether it was."""
        self.corrected = self.corrected or any(write.differs for write in writes)
        for kind in _STEPS:
            of_kind = [write for write in writes if write.kind == kind]
            for collection in dict.fromkeys(write.collection for write in of_kind):
                for chunk in chunks([write for write in of_kind if write.collection == collection]):
                    if not is_pending():
                        self.corrected = True  # or not: who rolled it knows
                        return False
                    self._refused += self._write(chunk)
        return True

    def finish(self) -> None:
        """Try again what may be good by now, and mark what is not. To be done before the commit is cleared."""
        if self._refused:
            self._leave_out_what_is_done()
        while any(code == DUPLICATE for _, code in self._refused):
            left = [write for write, _ in self._refused]
            self._refused = [each for write in left for each in self._write([write])]
            if len(self._refused) == len(left):
                break
        if self._refused:
            self.corrected = True
            self._mark([write for write, _ in self._refused])

    def undo(self) -> None:
        """Take away what was inserted late, after another had cleared the commit: it may have been deleted before."""
        if not self._inserted:
            return
        alive: set[str] = set()
        ids = {id_of(self._life, *write.key): write for write in self._inserted}
        for chunk in chunks(list(ids)):
            condition = {"_id": {"$in": chunk}, "owner": self._owner, "deleted": False}
            with self._store.faults():
                alive |= {row["_id"] for row in self._store.records.find(condition, {"_id": 1}, session=self._session)}
        strays = [write for id, write in ids.items() if id not in alive]
        look(self._store, self._owner, [write.key for write in strays])
        for write in strays:
            untouched = {"_id": write.document_id, BY: {INSERTED: self._commit}, MARK: {"$exists": False}}
            with self._store.faults():
                self._store.documents(write.collection).delete_one(untouched)

    def _write(self, writes: Sequence[DocumentWrite]) -> list[tuple[DocumentWrite, int]]:
        """Do writes of one kind to one collection. Return those that the database refuses, with the codes."""
        requests = [self._request(write) for write in writes]
        refused: dict[int, int] = {}
        with self._store.faults():
            try:
                collection = self._store.documents(writes[0].collection)
                collection.bulk_write(requests, ordered=False, session=self._session)
            except BulkWriteError as error:
                refused = {fault["index"]: fault["code"] for fault in error.details["writeErrors"]}
                if error.details["writeConcernErrors"] or {CONFLICT, *OUT_OF_REACH} & set(refused.values()):
                    raise
        if writes[0].kind == "insert":
            self._inserted += [write for place, write in enumerate(writes) if place not in refused]
        return [(writes[place], code) for place, code in refused.items()]

    def _request(self, write: DocumentWrite) -> InsertOne[Document] | UpdateOne | DeleteOne:
        name, owner = write.owner
        mark = fresh_mark() if write.differs else {}
        if write.kind == "insert":
            guard = {BY: {INSERTED: self._commit}, **mark}
            inside = {path.removeprefix(f"{GUARD}."): value for path, value in guard.items()}
            return InsertOne({"_id": write.document_id, name: owner, **dict(write.values), GUARD: inside})
        found = {name: owner, "_id": write.document_id, BY: write.by}
        if write.kind == "delete":
            return DeleteOne(found, hint="_id_")
        change: Document = {"$set": {**dict(write.values), BY: self._commit, **mark}}
        if write.unset:
            change["$unset"] = dict.fromkeys(write.unset, "")
        return UpdateOne(found, change, hint="_id_")

    def _leave_out_what_is_done(self) -> None:
        """Leave out the inserts whose document is there: of two processes that roll a commit, one comes first."""
        inserts = [write for write, _ in self._refused if write.kind == "insert"]
        done: set[Key] = set()
        for collection in {write.collection for write in inserts}:
            for chunk in chunks([write for write in inserts if write.collection == collection]):
                found = {"_id": {"$in": [write.document_id for write in chunk]}, f"{BY}.{INSERTED}": self._commit}
                with self._store.faults():
                    rows = self._store.documents(collection).find(found, {"_id": 1}, session=self._session)
                    there = [row["_id"] for row in rows]
                done |= {write.key for write in chunk if write.document_id in there}
        self._refused = [(write, code) for write, code in self._refused if write.key not in done]

    def _mark(self, writes: Sequence[DocumentWrite]) -> None:
        """Mark what was refused, and see that no late roller does it after all."""
        others = [write for write in writes if write.kind == "insert"]
        updates = [write for write in writes if write.kind != "insert"]
        for collection in {write.collection for write in updates}:
            of_collection = [write for write in updates if write.collection == collection]
            requests = [
                UpdateOne(
                    {write.owner[0]: write.owner[1], "_id": write.document_id, BY: write.by},
                    {"$set": {BY: self._commit, **fresh_mark()}},
                    hint="_id_",
                )
                for write in of_collection
            ]
            refused, _ = write_guards(self._store, collection, requests)
            others += [of_collection[place] for place in refused]
        look(self._store, self._owner, [write.key for write in others])
