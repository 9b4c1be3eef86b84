"""A storage is set up by anybody at any time, closed and opened again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import pytest

from mobync_core.errors import StorageClosed
from mobync_core.hookspecs import Abilities
from mobync_core.plugins import open_storage
from mobync_core.storage import Storage
from mobync_core.testing.calls import outcomes, told
from mobync_core.testing.examples import changed, everything, put, record
from mobync_core.testing.not_run import not_run
from mobync_core.testing.worker import Worker


@dataclass(frozen=True, slots=True)
class HandedIn:
    """A storage on a client of the application, and a way to see that this client still works.

    `works` uses the client itself, such as ``lambda: client.ping()``, and raises or returns False if it was closed.
    """

    storage: Storage
    works: Callable[[], object]


class Life:
    """Setting up, opening and closing."""

    def test_setup_may_be_raced_by_processes_and_repeated(
        self, url: str, abilities: Abilities, owner: str, request: pytest.FixtureRequest
    ) -> None:
        if not abilities.shared:
            not_run(request, "no other process may open it (its adapter says that it is not shared)")
        with Worker.crew(url, 4) as workers:
            for worker in workers:
                worker.begin("setup", times=2)
            assert [worker.result() for worker in workers] == [None] * 4
        with closing(open_storage(url)) as storage:
            put(storage, owner, record("a", 0))

    def test_setup_may_be_repeated_and_keeps_what_is_there(
        self, url: str, abilities: Abilities, storage: Storage, owner: str
    ) -> None:
        put(storage, owner, record("a", 0))
        before = everything(storage, owner)
        storage.setup()
        if abilities.shared:
            with closing(open_storage(url)) as another:
                another.setup()
        assert everything(storage, owner) == before

    def test_it_has_the_methods_of_the_contract(self, storage: Storage) -> None:
        lacks = [
            name for name in vars(Storage) if not name.startswith("_") and not callable(getattr(storage, name, None))
        ]
        assert not lacks, f"{type(storage).__name__} lacks {', '.join(lacks)}"

    def test_closing_twice_is_no_error(self, url: str) -> None:
        storage = open_storage(url)
        storage.close()
        storage.close()

    def test_a_closed_storage_says_so(self, storage: Storage, owner: str) -> None:
        storage.close()
        for name, error in outcomes(storage, owner).items():
            assert isinstance(error, StorageClosed), f"{name} of a closed storage {told(error)}, not StorageClosed"

    def test_opened_again_it_has_what_was_committed(
        self, url: str, abilities: Abilities, storage: Storage, owner: str, request: pytest.FixtureRequest
    ) -> None:
        if not abilities.persistent:
            not_run(request, "nothing is said to last (its adapter says that it is not persistent)")
        put(storage, owner, record("a", 0), record("b", 1, deleted=True))
        before = everything(storage, owner)
        storage.close()
        with closing(open_storage(url)) as again:
            again.setup()
            assert everything(again, owner) == before

    def test_two_that_are_opened_on_one_store_see_each_other(
        self, url: str, abilities: Abilities, storage: Storage, owner: str, request: pytest.FixtureRequest
    ) -> None:
        if not abilities.shared:
            not_run(request, "two may not be open at once (its adapter says that it is not shared)")
        with closing(open_storage(url)) as another:
            for clock, (writer, reader) in enumerate([(storage, another), (another, storage)] * 2):
                before = changed(reader, owner)  # of which it may keep nothing
                put(writer, owner, record(f"r{clock}", clock))
                assert changed(reader, owner) == [*before, record(f"r{clock}", clock)]

    def test_a_client_that_was_handed_in_is_not_closed(self, handed_in: HandedIn, owner: str) -> None:
        storage = handed_in.storage
        storage.setup()
        put(storage, owner, record("a", 0))
        assert [found.id for found in changed(storage, owner)] == ["a"]
        storage.erase(owner)
        storage.close()
        try:
            works = handed_in.works() is not False
        except Exception as error:
            raise AssertionError(f"the client that was handed in does not work any more: {error!r}") from error
        assert works, "the client that was handed in does not work any more"
