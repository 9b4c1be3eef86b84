"""Faults when a server fails."""

from __future__ import annotations

from collections.abc import Collection

from mobync_core import Commit, Snapshot, Storage, StorageUnavailable
from mobync_core.storage import Key
from tests.testing.mutants.base import Mutant


class RaisesTheDriversErrors(Mutant):
    """Lets the driver's own error through."""

    on = "redis"
    breaks = "test_every_method_says_that_its_server_refuses_and_works_again_when_it_is_back"
    tells = r"^load raised redis\.exceptions\.ConnectionError \(.*\), not StorageUnavailable$"

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        try:
            return self.real.load(owner, since=since, keys=keys, limit=limit)
        except StorageUnavailable as error:
            raise (error.__cause__ or error) from None


class WaitsForEver(Mutant):
    """Waits for a server that does not answer, however long."""

    on = "redis"
    breaks = "test_every_method_gives_up_a_server_that_hangs_and_works_again_when_it_is_back"
    tells = "^load waits for its server: it has not given up within 3 s$"

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.is_open = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        while True:
            try:
                return self.real.load(owner, since=since, keys=keys, limit=limit)
            except StorageUnavailable:
                if not self.is_open:
                    raise

    def close(self) -> None:
        self.is_open = False
        self.real.close()


class SendsAgain(Mutant):
    """Sends a commit again whose answer was lost, and finds that somebody, itself, was first."""

    on = "redis"
    breaks = "test_a_commit_whose_answer_is_lost_is_done_whole_or_not_at_all"
    case = "one answer"
    tells = "^a commit was done and raised ConflictError, as if it had left no trace$"

    def commit(self, owner: str, commit: Commit) -> None:
        try:
            self.real.commit(owner, commit)
        except StorageUnavailable:
            self.real.commit(owner, commit)
