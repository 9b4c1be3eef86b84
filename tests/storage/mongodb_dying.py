"""A process that kills itself in the middle of a call: `python -m tests.storage.mongodb_dying URL CALL`.

It makes the call for one owner after the other, each time in a child that dies by SIGKILL before its n-th command,
until one comes to its end; and prints the owners. Death right after command n-1 leaves the same.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest
from mobync_mongodb import MongoStorage, commits
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from mobync_core import Commit, Note, Storage
from mobync_core.testing.examples import EPOCH, record

LARGE = "x" * 1_200_000

BEFORE = Commit(
    expected=0,
    clock=4,
    epoch=EPOCH,
    put=[record("a", 0), record("b", 1), record("c", 2)],
    notes=[Note("history", "1", "one"), Note("history", "2", "two")],
)
SMALL = Commit(
    expected=4,
    clock=8,
    epoch=EPOCH,
    purged=1,
    put=[record("a", 4, "new"), record("d", 5)],
    remove=[("task", "b")],
    notes=[Note("history", "3", "three"), Note("history", "2", "new")],
    forget=[("history", "1")],
)
STAGED = Commit(
    expected=4,
    clock=8,
    epoch=EPOCH,
    purged=1,
    put=[record("a", 4, LARGE), record("d", 5, LARGE)],
    remove=[("task", "b")],
    notes=[Note("history", "3", LARGE)],
    forget=[("history", "1")],
)
FIRST_STAGED = Commit(expected=0, clock=3, epoch=EPOCH, put=[record("a", 0, LARGE), record("b", 1, LARGE)])


def pending(storage: Storage, owner: str, commit: Commit) -> None:
    """Do a commit as a writer does that dies right after the point."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commits, "_roll", lambda *_: True)
        storage.commit(owner, commit)


Call = Callable[[Storage, str], object]

CALLS: dict[str, tuple[tuple[Commit, ...], Commit | None, Call]] = {
    "first": ((), None, lambda storage, owner: storage.commit(owner, BEFORE)),
    "first staged": ((), None, lambda storage, owner: storage.commit(owner, FIRST_STAGED)),
    "small": ((BEFORE,), None, lambda storage, owner: storage.commit(owner, SMALL)),
    "staged": ((BEFORE,), None, lambda storage, owner: storage.commit(owner, STAGED)),
    "load": ((BEFORE,), SMALL, lambda storage, owner: storage.load(owner, since=0)),
    "load staged": ((BEFORE,), STAGED, lambda storage, owner: storage.load(owner, since=0)),
    "erase": ((BEFORE,), None, lambda storage, owner: storage.erase(owner)),
    "erase staged": ((BEFORE,), STAGED, lambda storage, owner: storage.erase(owner)),
}
"""What is committed before, what then is left pending, and the call."""


def prepare(storage: Storage, owner: str, call: str) -> None:
    done, left, _ = CALLS[call]
    for commit in done:
        storage.commit(owner, commit)
    if left is not None:
        pending(storage, owner, left)


class At(CommandListener):
    """Does `what` before the client's n-th command."""

    def __init__(self, number: int, what: Callable[[], object]) -> None:
        self._left = number
        self._what = what

    def started(self, _event: CommandStartedEvent) -> None:
        self._left -= 1
        if self._left == 0:
            self._what()

    def succeeded(self, _event: CommandSucceededEvent) -> None:
        """Nothing."""

    def failed(self, _event: CommandFailedEvent) -> None:
        """Nothing."""


def storage_at(url: str, *listeners: CommandListener) -> MongoStorage:
    client: MongoClient[Any] = MongoClient(url, event_listeners=listeners)
    return MongoStorage(client, owns_client=True)


def main(url: str, call: str) -> None:
    for number in itertools.count(1):
        owner = f"{call} {number}"
        child = os.fork()
        if child == 0:
            prepare(storage_at(url), owner, call)
            at = At(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            CALLS[call][2](storage_at(url, at), owner)
            os._exit(0)
        print(owner, flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        if status != -signal.SIGKILL:
            sys.exit(f"the child of {owner} ended with {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
