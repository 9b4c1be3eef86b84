"""Opening a store: what it may be, and what is no replica's."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mobync_core.replica import Replica, StoreError
from tests.replica.devices import Killed, Line, Server, fragile


def _open(where: str | os.PathLike[str] | sqlite3.Connection, server: Server) -> Replica:
    return Replica(where, Line(server), token="ann")


def test_what_is_written_is_there_when_it_is_opened_again(server: Server, tmp_path: Path) -> None:
    with _open(tmp_path / "app.db", server) as ann:
        ann.create("todo", {"id": "a", "title": "Milk"})
    for again in (str(tmp_path / "app.db"), f"sqlite:///{tmp_path / 'app.db'}"):
        with _open(again, server) as ann:
            assert ann.all("todo") == [{"id": "a", "title": "Milk"}]
            assert ann.status().pending == 1


def test_a_url_names_a_relative_path_too(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _open("sqlite:///app.db", server).close()
    assert (tmp_path / "app.db").is_file()


@pytest.mark.parametrize("where", [":memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_is_gone_with_the_replica(
    server: Server, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with _open(where, server) as ann:
        ann.create("todo", {"id": "a"})
        assert _open(where, server).all("todo") == []
    assert list(tmp_path.iterdir()) == []


def test_a_connection_is_not_closed(server: Server) -> None:
    connection = sqlite3.connect(":memory:")
    with _open(connection, server) as ann:
        ann.create("todo", {"id": "a"})
    assert _open(connection, server).all("todo") == [{"id": "a"}]


def test_a_closed_replica_says_so(server: Server, tmp_path: Path) -> None:
    ann = _open(tmp_path / "app.db", server)
    ann.close()
    ann.close()
    for use in (lambda: ann.all("todo"), lambda: ann.create("todo", {}), ann.synchronize, ann.status):
        with pytest.raises(StoreError, match="the replica is closed"):
            use()


def test_a_file_that_is_no_database_is_refused_and_left_alone(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no database " * 100)
    with pytest.raises(StoreError, match="no SQLite database"):
        _open(file, server)
    assert file.read_text() == "no database " * 100


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7"])
def test_the_database_of_another_program_is_refused_and_left_alone(
    server: Server, tmp_path: Path, statement: str
) -> None:
    file = tmp_path / "app.db"
    with sqlite3.connect(file) as other:
        other.execute(statement)
    other.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match="is not a replica's"):
        _open(file, server)
    assert file.read_bytes() == before


def test_the_store_of_a_newer_version_is_refused(server: Server) -> None:
    connection = sqlite3.connect(":memory:")
    _open(connection, server)
    connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="has the format 2, and this version of Mobync knows 1"):
        _open(connection, server)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("postgresql://ann:secret@host/app", "is an SQLite file: a path or sqlite:///…, not postgresql://…$"),
        ("sqlite://host/app.db", "names no host"),
        ("", "needs a path"),
    ],
)
def test_what_names_no_store_is_refused(server: Server, where: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        _open(where, server)


def test_a_directory_that_is_not_there_is_told(server: Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/app\.db cannot be used: unable to open"):
        _open(tmp_path / "nowhere" / "app.db", server)


def test_a_store_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    _open(file, server).close()
    ann = _open(sqlite3.connect(f"file:{file}?mode=ro", uri=True), server)
    with pytest.raises(StoreError, match="cannot be written"):
        ann.create("todo", {"id": "a"})


def test_a_store_that_stays_locked_is_told(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "app.db"
    other = sqlite3.connect(file, isolation_level=None)
    _open(file, server).close()
    ann = _open(sqlite3.connect(file, timeout=0.01), server)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="stayed locked"):
        ann.create("todo", {"id": "a"})
    assert ann.all("todo") == []  # who reads waits for nobody
    other.execute("ROLLBACK")
    ann.create("todo", {"id": "a"})
    assert ann.all("todo") == [{"id": "a"}]


def test_a_store_that_was_begun_is_made_whole(server: Server) -> None:
    for at in range(100):
        connection = fragile()
        connection.at = at
        try:
            _open(connection, server)
        except Killed:
            ann = _open(connection, server)
            assert ann.create("todo", {"id": "a"}) == {"id": "a"}
        else:
            assert at > 10
            return
    pytest.fail("it was never opened")


def test_many_threads_open_one_new_store_at_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        replicas = list(pool.map(lambda _: _open(tmp_path / "app.db", server), range(8)))
    for number, replica in enumerate(replicas):
        replica.create("todo", {"id": str(number)})
    assert [len(replica.all("todo")) for replica in replicas] == [8] * 8
    for replica in replicas:
        replica.close()


def test_what_an_edit_returned_from_survives_the_end_of_the_process(server: Server, tmp_path: Path) -> None:
    script = """
import os, sys
from mobync_core.replica import Replica
ann = Replica(sys.argv[1], "http://127.0.0.1:9")
for number in range(5):
    ann.create("todo", {"id": str(number)})
os._exit(1)
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "app.db")], check=False)
    assert done.returncode == 1
    with _open(tmp_path / "app.db", server) as ann:
        assert len(ann.all("todo")) == ann.status().pending == 5


@pytest.mark.parametrize("wrong", [{"page": 0}, {"batch": 0}])
def test_numbers_that_make_no_sense_are_refused(server: Server, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        Replica(":memory:", Line(server), **wrong)  # type: ignore[arg-type]
