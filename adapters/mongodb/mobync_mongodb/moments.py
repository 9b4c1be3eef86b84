"""How a load reads several documents of an owner as they were at one moment, without a snapshot of the server's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bson import ObjectId
from pymongo.client_session import ClientSession

from mobync_core.errors import ConflictError
from mobync_mongodb.commits import Deadline, head_of, settle
from mobync_mongodb.layout import Document, Store

T = TypeVar("T")

_FREE_TRIES = 2
"""How often a load hopes for a gap between commits, before it holds them up."""


def at_one_moment(
    store: Store,
    owner: str,
    read: Callable[[Document | None, ClientSession], T],
    asks: Callable[[Document | None], bool] = lambda head: head is not None,
) -> tuple[Document | None, T | None]:
    """Read an owner's head, None if there is none, and by `read` what it had then, None unless the head `asks` for it.

    Whatever a later commit may have shown of itself in `read`, its point was before, so the head tells.
    """
    deadline = Deadline()
    mark = ObjectId()
    tries = 0
    while not deadline.is_over():
        tries += 1
        holds = tries > _FREE_TRIES
        if holds:  # each time: a commit that waited long enough has taken the mark away
            _mark(store, owner, {"$addToSet": {"held": mark}})
        with store.session() as session:
            head = head_of(store, owner, session)
            if asks(head):
                head = settle(store, head, session)
            if not asks(head):
                return head, None
            found = read(head, session)
            again = head_of(store, owner, session)
        if _state(head) == _state(again):
            if holds:
                _mark(store, owner, {"$pull": {"held": mark}})
            return head, found
    raise ConflictError("commits of others kept falling between the reads of a load")


def _state(head: Document | None) -> tuple[ObjectId, ObjectId] | None:
    return None if head is None else (head["life"], head["commit"])


def _mark(store: Store, owner: str, change: Document) -> None:
    with store.faults():
        store.owners.update_one({"_id": owner}, change)
