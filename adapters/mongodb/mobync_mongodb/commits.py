"""How a commit is done whole without transactions: it becomes pending in one step, and is then rolled forward.

1. The point: one update of the owner's head, if it has the expected clock and epoch and nothing pending. It sets the
   new clock and `pending`, which holds all of the commit, or says of how many staged pieces it is. Now it is done.
2. The roll: records and notes are written, each only over what an older commit `written`; and documents of the
   application, if models are bound to collections (`rolling`).
3. The clear: `pending` becomes null, if the head's `commit` is still this one.

Who finds something pending (a load, a commit, a reader of notes) does steps 2 and 3 itself before anything else, should
the writer be slow or dead. So several may roll one commit at a time, and some may be late by any number of commits:

- A late roller writes nothing over newer records or ghosts: its guard does not match, so MongoDB tries to insert, and
  the `_id` is taken (code 11000), which means that another was there before.
- A removed record leaves a ghost, which holds but `written`, or a late roller would bring it to life again. Ghosts
  expire after a day by the server's clock. A roller begins no write later than `ROLL_SECONDS` after it saw the commit
  pending, and no command takes longer than an hour. Assumed is only that no process sleeps for a day between
  looking at its clock and sending the command.
- What a late roller writes for an owner that was erased belongs to a `life` that is over. Each first commit begins
  a new one, each document's `_id` has it, so nobody sees it; and the roller removes it, as it finds nothing to clear.

A reader between whose reads commits keep falling puts its mark into the head's `held`. The point waits until no
mark is there, but `HOLD_SECONDS` at most, and then takes all away. Nothing but progress hangs on it: a reader compares
the heads before and after in any case.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bson import Int64, ObjectId
from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, DuplicateKeyError

from mobync_core.errors import ConflictError, StorageUnavailable
from mobync_core.storage import Commit
from mobync_mongodb.faults import DUPLICATE, codes_of
from mobync_mongodb.layout import Document, Store
from mobync_mongodb.outbox import forget, look
from mobync_mongodb.pieces import PIECE, note_writes, pieces_of, record_writes
from mobync_mongodb.planning import DocumentWrite
from mobync_mongodb.rolling import DocumentRoll

PATIENCE = 10
"""Seconds after which a load or a commit, between which others' commits keep falling, ends in a conflict."""

HOLD_SECONDS = 3
"""How long a commit waits for readers; so long it is delayed if one died."""

ROLL_SECONDS = 3600
STAGE_SECONDS = 3600

_WRITES = 1000  # within one time-out

_FIRST_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
"""Seconds: together about 0.13 are left to a writer to roll its commit, before another helps."""

_HELD_PAUSE = 0.01


class Deadline:
    """The end of one call's patience."""

    def __init__(self) -> None:
        self._end = time.monotonic() + PATIENCE

    def is_over(self) -> bool:
        return time.monotonic() > self._end


def make(
    store: Store,
    owner: str,
    commit: Commit,
    documents: Sequence[DocumentWrite] = (),
    *,
    bound: int | None = None,
    becomes_bound: int | None = None,
    after: ObjectId | None = None,
) -> bool:
    """Do `commit` and what it does to documents, or raise `ConflictError` and leave no trace.

    `bound` is the number of the bindings by which the documents were planned, None if there are none, and the head
    must have it; `becomes_bound` replaces it. `after`, unless None, must be the commit before. Returns whether
    documents are other than their records then.
    """
    pieces, size = pieces_of(commit, documents)
    staged = size > PIECE
    id, life = ObjectId(), ObjectId()
    began = time.monotonic()
    expected: Document = {
        "_id": owner,
        "clock": Int64(commit.expected),
        "epoch": commit.epoch,
        "pending": None,
        "held": [],
        "bound": bound,
    }
    if after is not None:
        expected["commit"] = after
    change: Document = {
        "clock": Int64(commit.clock),
        "epoch": commit.renew or commit.epoch,
        "purged": Int64(commit.purged),
        "commit": id,
        "held": [],
        "pending": {"pieces": len(pieces)} if staged else pieces[0],
    }
    if becomes_bound is not None or (bound is not None and not commit.expected):
        change["bound"] = becomes_bound or bound
    if staged and commit.expected:
        # An erasure removes what was staged in its life: so the point must find that very life.
        head = head_of(store, owner)
        if head is None or not _fits(head, expected):
            raise _conflict(commit)
        life = expected["life"] = head["life"]
    try:
        if staged:
            _stage(store, owner, life, id, pieces)
            if time.monotonic() - began > STAGE_SECONDS:
                raise ConflictError("to stage the commit took too long")
        life = _reach_point(store, commit, expected, {**change, "life": life})
    except ConflictError:
        if staged:
            _unstage(store, owner, id)
        raise
    # To prepare it counted as well: the roller's time must begin before the point.
    head = {**change, "_id": owner, "life": life}
    roll = DocumentRoll(store, head, None)
    _roll(store, head, pieces, began, None, roll)
    return roll.corrected


def settle(store: Store, head: Document | None, session: ClientSession | None = None) -> Document | None:
    """Wait until what is pending in `head` is written, or write it; return the head as it is then, None if it is gone.

    It may have moved on: what is returned was whole at one moment of this call.
    """
    pause = _FIRST_PAUSE
    deadline = Deadline()
    while head is not None and head["pending"] is not None:
        if deadline.is_over():
            raise ConflictError("commits of others kept the owner busy")
        began = time.monotonic()
        if pause >= _LONGEST_PAUSE:
            pending = head["pending"]
            pieces = _staged(store, head, session) if "pieces" in pending else [pending]
            if _roll(store, head, pieces, began, session):
                return {**head, "pending": None}
        else:
            time.sleep(pause)
            pause *= 2
        head = head_of(store, head["_id"], session)
    return head


def head_of(store: Store, owner: str, session: ClientSession | None = None) -> Document | None:
    with store.faults():
        return store.owners.find_one({"_id": owner}, session=session)


def erase(store: Store, owner: str) -> None:
    """Remove the head, which is the point, then all of its life, and of lives whose erasure was cut short."""
    with store.faults():
        head = store.owners.find_one_and_delete({"_id": owner}, projection={"life": 1})
    _sweep(store, owner, {head["life"]} if head else set())


def _reach_point(store: Store, commit: Commit, expected: Document, change: Document) -> ObjectId:
    """Make the commit pending and return the owner's life."""
    deadline = Deadline()
    held_since: float | None = None
    while not deadline.is_over():
        life = _try_point(store, commit, expected, change)
        head = head_of(store, expected["_id"]) if life is None else None
        if head is not None and head["commit"] == change["commit"]:
            life = head["life"]  # the driver lost the answer and tried again
        if life is not None:
            return life
        if head is None and not commit.expected:
            continue  # erased meanwhile
        if head is None or not _fits(head, expected):
            raise _conflict(commit)
        if head["pending"] is not None:
            settle(store, head)
        elif head["held"]:
            held_since = held_since or time.monotonic()
            if time.monotonic() - held_since > HOLD_SECONDS:
                expected.pop("held", None)  # a majority may not have seen yet that all marks are gone
            else:
                time.sleep(_HELD_PAUSE)
    raise _conflict(commit)


def _try_point(store: Store, commit: Commit, expected: Document, change: Document) -> ObjectId | None:
    """Return the owner's life if the commit is done; None if the head must tell."""
    with store.faults():
        if commit.expected:
            raised = {name: value for name, value in change.items() if name != "life"}
            found = store.owners.find_one_and_update(expected, {"$set": raised}, projection={"life": 1})
            return found["life"] if found else None
        # No upsert: of two that race on a new owner one must learn that it lost.
        try:
            store.owners.insert_one({"_id": expected["_id"], **change})
        except DuplicateKeyError:
            return None
        return change["life"]  # type: ignore[no-any-return]


def _fits(head: Document, expected: Document) -> bool:
    names = expected.keys() & {"clock", "epoch", "bound", "commit"}
    return bool(expected["clock"]) and all(head.get(name) == expected[name] for name in names)


def _conflict(commit: Commit) -> ConflictError:
    return ConflictError(
        f"the owner's clock is not {commit.expected}, or its epoch or what is bound to collections is another"
    )


def _roll(
    store: Store,
    head: Document,
    pieces: Iterable[Document | None],
    began: float,
    session: ClientSession | None = None,
    roll: DocumentRoll | None = None,
) -> bool:
    """Write the pieces of the commit that is pending in `head`, and clear it there; whether it is rolled by that.

    The commit is done, so whatever fails here is no conflict: the next to come goes on with it.
    """
    owner, life, clock = head["_id"], head["life"], head["clock"]
    roll = roll or DocumentRoll(store, head, session)

    looked = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > ROLL_SECONDS:
            raise StorageUnavailable(f"{store.name}: to write a commit took too long")

    def is_pending() -> bool:
        """Look again, if it may be that others have rolled it by now."""
        nonlocal looked
        if time.monotonic() - looked > _LONGEST_PAUSE:
            found = head_of(store, owner, session)
            if found is None or found["commit"] != head["commit"] or found["pending"] is None:
                return False
            looked = time.monotonic()
        return True

    try:
        for piece in pieces:
            if piece is None:
                roll.undo()
                return False  # another has rolled and cleared it, or the next look finds it pending still
            for collection, writes in (
                (store.records, record_writes(owner, life, clock, piece)),
                (store.notes, note_writes(owner, life, clock, piece)),
            ):
                for start in range(0, len(writes), _WRITES):
                    check()
                    _write(store, collection, writes[start : start + _WRITES], session)
            check()
            if not roll.write([DocumentWrite.of_described(each) for each in piece.get("documents", ())], is_pending):
                roll.undo()
                return False
            look(store, owner, forget(store, owner, piece.get("folded", ())))
        roll.finish()
        with store.faults():
            done = store.owners.update_one(
                {"_id": owner, "life": life, "commit": head["commit"], "pending": {"$ne": None}},
                {"$set": {"pending": None}},
                session=session,
            )
    except ConflictError as conflict:
        raise StorageUnavailable(f"{store.name}: the commit is done, its records are not written yet") from conflict
    if "pieces" in head["pending"]:
        _unstage(store, owner, head["commit"])
    if not done.matched_count:
        roll.undo()
        found = head_of(store, owner, session)
        if found is None or found["life"] != life:
            _sweep(store, owner, {life})
            return False
    return True


def _write(
    store: Store,
    collection: Collection[Document],
    writes: Sequence[ReplaceOne[Any] | UpdateOne],
    session: ClientSession | None,
) -> None:
    with store.faults():
        try:
            collection.bulk_write(writes, ordered=False, session=session)
        except BulkWriteError as error:
            if codes_of(error) != {DUPLICATE}:
                raise


def _stage(store: Store, owner: str, life: ObjectId, commit: ObjectId, pieces: Sequence[Document]) -> None:
    for number, piece in enumerate(pieces):
        content = {"owner": owner, "life": life, "commit": commit, "piece": piece}
        with store.faults():  # an upsert, for only an update can take the server's time
            store.staged.update_one(
                {"_id": {"c": commit, "n": number}, "owner": owner},
                {"$set": {name: content[name] for name in ("life", "commit", "piece")}, "$currentDate": {"at": True}},
                upsert=True,
            )


def _staged(store: Store, head: Document, session: ClientSession | None) -> Iterator[Document | None]:
    for number in range(head["pending"]["pieces"]):
        with store.faults():
            wanted = {"_id": {"c": head["commit"], "n": number}, "owner": head["_id"]}
            found = store.staged.find_one(wanted, session=session)
        yield found["piece"] if found else None


def _unstage(store: Store, owner: str, commit: ObjectId) -> None:
    with store.faults():
        store.staged.delete_many({"owner": owner, "commit": commit})


def _sweep(store: Store, owner: str, lives: set[ObjectId]) -> None:
    """Delete all of the owner's `lives`, and of every other that is over.

    A life begins with its head and never comes back: one that has records, and then no head, is over.
    """
    with store.session() as session:
        for collection in (store.records, store.notes):
            with store.faults():
                lives = lives | set(collection.distinct("life", {"owner": owner}, session=session))
        head = head_of(store, owner, session)
        over = lives - ({head["life"]} if head else set())
        for collection in (store.records, store.notes, store.staged) if over else ():
            with store.faults():
                collection.delete_many({"owner": owner, "life": {"$in": list(over)}}, session=session)
