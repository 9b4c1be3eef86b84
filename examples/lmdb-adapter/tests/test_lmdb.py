"""What only LMDB has, and the conformance suite cannot know: its directory, its map, its transactions, forks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import lmdb
import pytest

from mobync_core import (
    Commit,
    InvalidURL,
    Note,
    Record,
    SchemaError,
    Storage,
    StorageError,
    StorageUnavailable,
    open_storage,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"lmdb://{tmp_path}/store"


@pytest.fixture
def storage(url: str) -> Iterator[Storage]:
    with closing(open_storage(url)) as storage:
        storage.setup()
        yield storage


def record(id: str, clock: int, body: str = "{}") -> Record:
    return Record("task", id, clock, False, 0, body)


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/",
        "relative",
        "ann:s3cret@host/path",
        "/path?map_size=a lot",
        "/path?map_size=1000",
        "/path?map_size=",
        "/path?readonly=1",
        "/path#part",
    ],
)
def test_a_url_that_is_not_understood_is_refused_and_says_what_would_be(rest: str) -> None:
    with pytest.raises(InvalidURL, match=r"lmdb:///directory\?map_size=BYTES") as refusal:
        open_storage(f"lmdb://{rest}")
    assert "s3cret" not in str(refusal.value)


def test_a_path_may_have_any_character_percent_encoded(tmp_path: Path) -> None:
    open_storage(f"LMDB://{tmp_path}/a%3Fb%23c%25d é?map_size=1000000").close()

    assert (tmp_path / "a?b#c%d é" / "data.mdb").exists()


def test_a_directory_that_cannot_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (f"{tmp_path}/not there/store", f"{tmp_path}/file"):
        with pytest.raises(StorageUnavailable, match="cannot be opened or created"):
            open_storage(f"lmdb://{path}")


def test_a_full_map_leaves_no_trace_and_says_how_to_go_on(url: str) -> None:
    with closing(open_storage(f"{url}?map_size=400000")) as storage:
        storage.setup()
        storage.commit("ann", Commit(expected=0, clock=1, epoch="e", put=[record("a", 0)]))
        large = [record(f"b{i}", i, "x" * 10_000) for i in range(1, 100)]
        with pytest.raises(StorageError, match=r"is full: .*\?map_size="):
            storage.commit("ann", Commit(expected=1, clock=100, epoch="e", put=large))
        assert [found.id for found in storage.load("ann", since=0).changed] == ["a"]
    with closing(open_storage(f"{url}?map_size=4000000")) as storage:
        storage.commit("ann", Commit(expected=1, clock=100, epoch="e", put=large))


@pytest.mark.parametrize(
    ("key", "value", "why"), [(b"layout", b"2", "layout b'2'"), (b"another's", b"data", "layout None")]
)
def test_a_newer_layout_and_another_programs_data_are_refused(
    url: str, tmp_path: Path, key: bytes, value: bytes, why: str
) -> None:
    with lmdb.open(f"{tmp_path}/store") as environment, environment.begin(write=True) as transaction:
        transaction.put(key, value)
    with closing(open_storage(url)) as storage:
        for call in (storage.setup, lambda: storage.load("ann", since=0), lambda: list(storage.owners())):
            with pytest.raises(SchemaError, match=re.escape(why)):
                call()


def test_nothing_is_read_or_written_before_the_setup(url: str) -> None:
    with closing(open_storage(url)) as storage:
        for call in (
            lambda: storage.load("ann", since=0),
            lambda: storage.commit("ann", Commit(expected=0, clock=1, epoch="e")),
        ):
            with pytest.raises(SchemaError):
                call()
        storage.setup()


def test_notes_whose_keys_are_alike_for_hundreds_of_bytes_come_in_order(storage: Storage) -> None:
    alike = "é" * 200
    keys = [alike[:-1], alike, *(f"{alike}{number:03}" for number in range(120)), f"{alike}é", f"{alike[:-1]}ê"]
    storage.commit(
        "ann", Commit(expected=0, clock=1, epoch="e", notes=[Note("history", key, key[-3:]) for key in keys])
    )

    def told(**asked: str | int) -> list[str]:
        return [note.key for note in storage.notes("ann", "history", **asked)]  # type: ignore[arg-type]

    assert told() == keys
    assert told(prefix=f"{alike}01") == [f"{alike}{number:03}" for number in range(10, 20)]
    assert told(after=f"{alike}058", limit=3) == [f"{alike}{number:03}" for number in (59, 60, 61)]


def test_records_may_trade_their_clocks(storage: Storage) -> None:
    storage.commit("ann", Commit(expected=0, clock=2, epoch="e", put=[record("a", 0), record("b", 1)]))
    storage.commit("ann", Commit(expected=2, clock=3, epoch="e", put=[record("a", 1), record("b", 0)]))

    assert [found.id for found in storage.load("ann", since=0).changed] == ["b", "a"]


def test_who_stops_reading_midway_holds_no_transaction(storage: Storage, tmp_path: Path) -> None:
    notes = [Note("history", f"{number:03}", "") for number in range(200)]
    storage.commit("ann", Commit(expected=0, clock=1, epoch="e", notes=notes))
    reading = storage.notes("ann", "history")
    next(reading)
    told = subprocess.check_output([sys.executable, "-m", "lmdb", "readers", "-e", f"{tmp_path}/store"], text=True)

    # Of each reader its process, its thread, and the transaction that it reads, if it does.
    slots = [line.split() for line in told.splitlines() if line.split()[:1] == [str(os.getpid())]]
    assert [slot for slot in slots if slot[2] != "-"] == []
    assert len(list(reading)) == 199


FORK = """
import os, sys
from mobync_core import Commit, StorageClosed, open_storage

storage = open_storage(sys.argv[1])
storage.setup()
storage.commit("ann", Commit(expected=0, clock=1, epoch="e"))
if child := os.fork():
    assert os.waitpid(child, 0)[1] == 0
    assert storage.load("ann", since=0).clock == 2
    storage.commit("ann", Commit(expected=2, clock=3, epoch="e"))
else:
    try:
        storage.load("ann", since=0)
        os._exit(1)
    except StorageClosed:
        storage.close()
    again = open_storage(sys.argv[1])
    again.commit("ann", Commit(expected=1, clock=2, epoch="e"))
    again.close()
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_is_told_and_may_open_it_again(url: str) -> None:
    subprocess.run([sys.executable, "-c", FORK, url], check=True)


READER = """
import sys, lmdb

environment = lmdb.open(sys.argv[1])
transaction = environment.begin() if sys.argv[2] == "reads" else None
print(flush=True)
sys.stdin.read()
"""


def test_what_a_killed_reader_was_reading_is_used_again_once_the_store_is_opened(url: str, tmp_path: Path) -> None:
    def begin(job: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", READER, f"{tmp_path}/store", job]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def overwrite(storage: Storage, times: int) -> None:
        for _ in range(times):
            clock = storage.load("ann", since=2**53).clock
            put = [record("a", clock, "x" * 50_000)]
            storage.commit("ann", Commit(expected=clock, clock=clock + 1, epoch="e", put=put))

    small = f"{url}?map_size=1000000"
    with closing(open_storage(small)) as storage:
        storage.setup()
        overwrite(storage, 1)
    # While another has it open, LMDB does not forget by itself who was reading.
    with begin("stays") as stays:
        with begin("reads") as reads:
            reads.kill()
        with closing(open_storage(small)) as storage:
            overwrite(storage, 40)
        stays.kill()
