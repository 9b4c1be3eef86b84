"""A storage is set up by anybody at any time, closed and opened again."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing

import pytest

from mobync_core import Commit, Storage, StorageError, open_storage
from tests.storage.conftest import SHARED, Place
from tests.storage.examples import EPOCH, everything, put, record

_SET_UP = """
import sys
from mobync_core import open_storage
storage = open_storage(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
storage.setup()
storage.setup()
storage.close()
"""

_COMMIT_AND_DIE = """
import os, signal, sys
from mobync_core import Commit, Note, Record, open_storage
storage = open_storage(sys.argv[1])
put = [Record("task", str(i), i, False, i, "{}") for i in range(100)]
storage.commit("ada", Commit(expected=0, clock=100, epoch="e", put=put, notes=[Note("history", "1", "")]))
os.kill(os.getpid(), signal.SIGKILL)
"""


class TestLife:
    def test_setup_may_be_repeated_and_keeps_what_is_there(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        before = everything(storage, "ada")
        storage.setup()
        if place.shared:
            with closing(open_storage(place.url)) as another:
                another.setup()
        assert everything(storage, "ada") == before

    def test_closing_twice_is_no_error(self, place: Place) -> None:
        storage = open_storage(place.url)
        storage.close()
        storage.close()

    def test_a_closed_storage_says_so(self, storage: Storage) -> None:
        storage.close()
        for call in (
            storage.setup,
            lambda: storage.load("ada", since=0),
            lambda: storage.commit("ada", Commit(expected=0, clock=1, epoch=EPOCH)),
            lambda: storage.erase("ada"),
            lambda: list(storage.owners()),
            lambda: list(storage.notes("ada", "history")),
        ):
            with pytest.raises(StorageError, match="closed"):
                call()

    def test_it_is_a_storage_of_the_contract(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)

    def test_opened_again_it_has_what_it_is_said_to_keep(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        storage.close()
        with closing(open_storage(place.url)) as again:
            again.setup()
            assert [found.id for found in again.load("ada", since=0).changed] == (["a"] if place.persistent else [])

    @pytest.mark.parametrize("place", SHARED, indirect=True)
    def test_two_that_are_opened_on_one_place_see_each_other(self, place: Place, storage: Storage) -> None:
        with closing(open_storage(place.url)) as another:
            put(storage, "ada", record("a", 0))
            put(another, "ada", record("b", 1))
            assert [found.id for found in storage.load("ada", since=0).changed] == ["a", "b"]

    @pytest.mark.parametrize("place", SHARED, indirect=True)
    def test_processes_may_set_up_one_place_at_once(self, place: Place) -> None:
        command = [sys.executable, "-c", _SET_UP, place.url]
        pipe = subprocess.PIPE
        processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(4)]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in processes:
            _, said = process.communicate(timeout=60)
            assert (process.returncode, said.decode()) == (0, "")
        with closing(open_storage(place.url)) as storage:
            put(storage, "ada", record("a", 0))

    @pytest.mark.parametrize("place", SHARED, indirect=True)
    def test_what_a_commit_returned_from_survives_the_end_of_its_process(self, place: Place, storage: Storage) -> None:
        done = subprocess.run([sys.executable, "-c", _COMMIT_AND_DIE, place.url], check=False, timeout=60)
        assert done.returncode == -9
        held = storage.load("ada", since=0)
        assert (held.clock, len(held.changed), len(list(storage.notes("ada", "history")))) == (100, 100, 1)
