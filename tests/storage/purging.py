"""Processes for the tests of purges: ``python -m tests.storage.purging JOB URL``."""

from __future__ import annotations

import itertools
import sys
import time

from mobync_core import Commit, Mobync, Storage, open_storage

PAUSE = 0.01
"""Seconds between two writes of `write`."""


class Slow:
    """A storage that says when a commit is done, and waits for a line."""

    def __init__(self, storage: Storage) -> None:
        self.load, self.notes, self.owners = storage.load, storage.notes, storage.owners
        self.setup, self.erase, self.close = storage.setup, storage.erase, storage.close
        self._commit = storage.commit

    def commit(self, owner: str, commit: Commit) -> bool | None:
        done = self._commit(owner, commit)
        print(owner, flush=True)
        sys.stdin.readline()
        return done


def purge(storage: Storage) -> None:
    """Purge all, but after each commit only when told to."""
    Mobync(Slow(storage), setup=False).purge(2**52)


def write(storage: Storage) -> None:
    """Create notes for ever; say the number of each."""
    mobync = Mobync(storage, setup=False)
    for number in itertools.count():
        mobync.create("ann", "note", {"id": f"new {number:06}"})
        print(number, flush=True)
        time.sleep(PAUSE)


if __name__ == "__main__":
    {"purge": purge, "write": write}[sys.argv[1]](open_storage(sys.argv[2]))
