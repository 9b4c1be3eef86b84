"""Faults of setting up, closing, and of what is to last or to stay secret."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from pathlib import Path

from mobync_core import Commit, Snapshot, Storage, StorageError
from mobync_core.storage import Key
from tests.testing.mutants.base import Mutant


class EmptiesAtSetup(Mutant):
    """Makes its tables anew whenever it is set up."""

    breaks = "test_setup_may_be_repeated_and_keeps_what_is_there"
    tells = r"^clock is 0, not 1\nepoch is .*\nchanged: task 'a' at clock 0 is missing$"

    def setup(self) -> None:
        self.real.setup()
        for owner in list(self.real.owners()):
            self.real.erase(owner)


class MakesItsTablesTwice(Mutant):
    """Looks whether its tables are there, and then makes them."""

    on = "sqlite"
    breaks = "test_setup_may_be_raced_by_processes_and_repeated"
    at_first = True

    def setup(self) -> None:
        table = Path(self.url.partition("://")[2] + ".table")
        if not table.exists():
            time.sleep(0.2)
            table.mkdir()
        self.real.setup()


class ClosesOnce(Mutant):
    """Cannot be closed twice."""

    breaks = "test_closing_twice_is_no_error"
    tells = r"^ValueError: it is closed already\n  in close, line \d+ of .*life\.py$"

    def close(self) -> None:
        if not hasattr(self, "real"):
            raise ValueError("it is closed already")
        self.real.close()
        del self.real


class WorksAfterClose(Mutant):
    """Opens itself again when it is used."""

    breaks = "test_a_closed_storage_says_so"
    tells = "^setup of a closed storage returned, not StorageClosed$"

    def close(self) -> None:
        pass


class WritesLater(Mutant):
    """Says that a commit is done, and writes it soon."""

    on = "sqlite"
    breaks = "test_a_writer_that_is_killed_loses_nothing_acknowledged_and_leaves_nothing_by_half"
    tells = r"^a commit to the clock \d+ had returned and is lost"
    keeps = "test_opened_again_it_has_what_was_committed"

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.writing: list[threading.Thread] = []

    def commit(self, owner: str, commit: Commit) -> None:
        def write() -> None:
            time.sleep(0.02)
            self.real.commit(owner, commit)

        self.flush()
        self.writing = [threading.Thread(target=write, daemon=True)]
        self.writing[0].start()

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        self.flush()
        return self.real.load(owner, since=since, keys=keys, limit=limit)

    def close(self) -> None:
        self.flush()
        self.real.close()

    def flush(self) -> None:
        for thread in self.writing:
            thread.join()


class ShowsThePassword(Mutant):
    """Shows its URL in its repr."""

    breaks = "test_the_password_of_the_url_is_never_shown"
    tells = "^the password of the URL is in the repr of the storage$"
    login = "ada:hunter2@"

    def __repr__(self) -> str:
        return f"ShowsThePassword({self.url!r})"


class TellsThePassword(Mutant):
    """Names its URL in an error."""

    breaks = "test_the_password_of_the_url_is_never_shown"
    tells = "^the password of the URL is in the error of commit or one of its causes$"
    login = "ada:hunter2@"

    def commit(self, owner: str, commit: Commit) -> None:
        try:
            self.real.commit(owner, commit)
        except StorageError as error:
            raise type(error)(f"{self.url}: {error}") from None


class LogsThePassword(Mutant):
    """Writes to the log where it connects to."""

    breaks = "test_the_password_of_the_url_is_never_shown"
    tells = "^the password of the URL is in the log of 'mutant' at the level INFO$"
    login = "ada:hunter2@"

    def setup(self) -> None:
        logging.getLogger("mutant").info("connecting to %s", self.url)
        self.real.setup()
