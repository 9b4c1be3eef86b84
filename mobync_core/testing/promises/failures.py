"""A server that is gone, refuses or hangs is an error of ours, within a time; what comes back is used again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from mobync_core.errors import ConflictError, MobyncError, StorageUnavailable
from mobync_core.plugins import open_storage
from mobync_core.storage import Commit, Note, Storage
from mobync_core.testing.calls import outcomes, told
from mobync_core.testing.examples import EPOCH, changed, everything, put, record
from mobync_core.testing.not_run import not_run
from mobync_core.testing.proxy import NoWay, Proxy, proxied

RECOVERY = 20
"""Within how many seconds a storage must find out that its server is back."""

_ANSWERS = 40
"""After how many answers at most a commit of any storage is done."""

_AT_ONCE = 10


class Failures:
    """The server fails."""

    @pytest.fixture
    def way(self, url: str, request: pytest.FixtureRequest) -> Iterator[tuple[Storage, Proxy]]:
        """A storage that reaches its server through a proxy."""
        try:
            with proxied(url) as (through, proxy), closing(open_storage(through)) as far:
                far.setup()
                _check_goes_through(proxy)
                yield far, proxy
        except NoWay as reason:
            not_run(request, str(reason))

    def test_every_method_says_that_its_server_refuses_and_works_again_when_it_is_back(
        self, way: tuple[Storage, Proxy], owner: str
    ) -> None:
        storage, proxy = way
        put(storage, owner, record("a", 0))
        proxy.refuse()
        refuse_all(storage, owner)
        proxy.accept()
        recovers(storage, owner)

    def test_every_method_gives_up_a_server_that_hangs_and_works_again_when_it_is_back(
        self, way: tuple[Storage, Proxy], owner: str
    ) -> None:
        storage, proxy = way
        put(storage, owner, record("a", 0))
        proxy.freeze()
        refuse_all(storage, owner)
        proxy.thaw()
        recovers(storage, owner)

    def test_a_storage_that_never_reached_its_server_says_so_in_every_method(
        self, url: str, owner: str, request: pytest.FixtureRequest
    ) -> None:
        try:
            with proxied(url) as (through, proxy):
                proxy.refuse()
                try:
                    storage = open_storage(through)
                except StorageUnavailable:
                    return  # it connects at once, and said so
                with closing(storage):
                    refuse_all(storage, owner)
        except NoWay as reason:
            not_run(request, str(reason))

    @pytest.mark.parametrize("most", [None, 1], ids=["all answers from then on", "one answer"])
    def test_a_commit_whose_answer_is_lost_is_done_whole_or_not_at_all(
        self, url: str, storage: Storage, prefix: str, request: pytest.FixtureRequest, most: int | None
    ) -> None:
        def attempt(answers: int) -> bool:
            return _commit_whose_answer_is_lost(url, storage, f"{prefix}{answers}", answers, most)

        try:
            with ThreadPoolExecutor(_AT_ONCE) as pool:  # each of them may take all of a driver's patience
                for first in range(0, _ANSWERS, _AT_ONCE):
                    if not all(pool.map(attempt, range(first, first + _AT_ONCE))):
                        return
        except NoWay as reason:
            not_run(request, str(reason))
        pytest.fail(f"a commit took more than {_ANSWERS} answers of the server")


def _check_goes_through(proxy: Proxy) -> None:
    if not proxy.answers:
        raise NoWay("the client went around the proxy")


def _commit_whose_answer_is_lost(url: str, storage: Storage, owner: str, answers: int, most: int | None) -> bool:
    """Commit where after so many `answers` the next, `most` of them, are lost; check what was done; whether any was."""
    put(storage, owner, record("a", 0), record("b", 1), notes=[Note("history", "1", "")])
    commit = Commit(
        expected=2,
        clock=4,
        epoch=EPOCH,
        put=[record("a", 2, "new"), record("c", 3)],
        remove=[("task", "b")],
        notes=[Note("history", "2", "")],
        forget=[("history", "1")],
    )
    with proxied(url) as (through, proxy), closing(open_storage(through)) as far:
        before = everything(far, owner)  # and it is connected
        _check_goes_through(proxy)
        proxy.lose_answers(answers, most=most)
        done: bool | None
        try:
            far.commit(owner, commit)
            done = True
        except StorageUnavailable:
            done = None
        except ConflictError:
            done = False  # it says that it left no trace
        lost = proxy.lost > 0
    snapshot, notes = everything(storage, owner)
    if done is None:
        done = snapshot.clock == commit.clock
    if done:
        assert (snapshot.clock, list(snapshot.changed)) == (commit.clock, list(commit.put))
        assert notes == list(commit.notes)
    else:
        assert snapshot.clock != commit.clock, "a commit was done and raised ConflictError, as if it had left no trace"
        assert (snapshot, notes) == before
    return lost


def refuse_all(storage: Storage, owner: str) -> None:
    """Check that every method says, in time, that the server is out of reach."""
    for name, error in outcomes(storage, owner).items():
        assert isinstance(error, StorageUnavailable), f"{name} {told(error)}, not StorageUnavailable"


def recovers(storage: Storage, owner: str) -> None:
    """Check that the storage works, without being opened anew, soon after its server is back."""
    deadline = time.monotonic() + RECOVERY
    while True:
        try:
            assert changed(storage, owner)
            return
        except MobyncError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
