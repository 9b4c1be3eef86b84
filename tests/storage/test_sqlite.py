"""What the SQL adapter promises beside the contract, on SQLite."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from mobync_sql import SQLStorage, open_sql
from sqlalchemy import Connection, create_engine, event

from mobync_core import (
    Commit,
    ConflictError,
    StorageError,
    StorageUnavailable,
    open_storage,
)
from mobync_core.testing.examples import EPOCH, put, record


class TestSQLite:
    def test_an_engine_that_gives_each_thread_its_own_memory_is_refused(self) -> None:
        engine = create_engine("sqlite://")
        with pytest.raises(ValueError, match="StaticPool"):
            SQLStorage(engine)

    def test_a_file_of_its_own_has_a_write_ahead_log_that_is_flushed(self, tmp_path: Path) -> None:
        with closing(open_sql(f"sqlite:///{tmp_path / 'a.db'}")) as storage:
            storage.setup()
            with storage.engine.connect() as connection:
                assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2

    def test_a_file_that_another_writes_is_a_conflict_after_the_timeout(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        with closing(open_sql(f"sqlite:///{path}?timeout=0.2")) as storage:
            storage.setup()
            put(storage, "ada", record("a", 0))
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                began = time.monotonic()
                with pytest.raises(ConflictError):
                    storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH))
                assert 0.1 < time.monotonic() - began < 3
                assert storage.load("ada", since=0).clock == 1  # who reads does not wait
            storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH))

    def test_an_engine_without_a_write_ahead_log_works_too(self, tmp_path: Path) -> None:
        engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")
        with closing(SQLStorage(engine)) as storage:
            storage.setup()
            put(storage, "ada", record("a", 0))
            assert storage.load("ada", since=0).clock == 1
        engine.dispose()

    def test_an_engine_whose_transactions_begin_by_an_event(self, tmp_path: Path) -> None:
        """The recipe of SQLAlchemy's manual for savepoints and serializable transactions."""
        engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}")

        @event.listens_for(engine, "connect")
        def connect(connection: sqlite3.Connection, _record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN")

        with closing(SQLStorage(engine)) as storage:
            storage.setup()
            put(storage, "ada", record("a", 0))
            with pytest.raises(ConflictError):
                storage.commit("ada", Commit(expected=9, clock=10, epoch=EPOCH))
            put(storage, "ada", record("b", 1))
            with engine.begin() as connection:
                assert connection.exec_driver_sql("SELECT count(*) FROM mobync_records").scalar() == 2
        engine.dispose()

    def test_a_directory_that_is_missing_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "missing" / "a.db"
        with closing(open_sql(f"sqlite:///{path}")) as storage, pytest.raises(StorageUnavailable, match=str(path)):
            storage.setup()

    def test_a_file_that_is_no_database_is_an_error_of_the_storage(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        path.write_text("this is no database, and long enough to be seen as none" * 100)
        with closing(open_sql(f"sqlite:///{path}")) as storage, pytest.raises(StorageError, match="not a database"):
            storage.setup()

    def test_a_relative_path_is_of_the_working_directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with closing(open_storage("sqlite:///relative.db")) as storage:
            storage.setup()
        assert (tmp_path / "relative.db").exists()

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:?uri=true"])
    def test_threads_share_the_memory_of_one_storage_and_no_other(self, url: str) -> None:
        with closing(open_sql(url)) as storage, closing(open_sql(url)) as other:
            storage.setup()
            other.setup()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda number: put(storage, f"owner {number}", record("a", 0)), range(20)))
            assert len(list(storage.owners())) == 20
            assert list(other.owners()) == []
