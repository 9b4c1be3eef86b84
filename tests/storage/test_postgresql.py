"""What the SQL adapter promises beside the contract, on PostgreSQL."""

from __future__ import annotations

import threading
import time
from contextlib import closing

import pytest
from mobync_sql import SQLStorage, open_sql
from sqlalchemy import Connection, event, text

from mobync_core import (
    Commit,
    ConflictError,
    InvalidURL,
    Note,
    SchemaError,
    Storage,
    StorageUnavailable,
)
from mobync_core.testing.examples import EPOCH, everything, put, record
from mobync_core.testing.proxy import proxied
from tests.storage.conftest import Place
from tests.storage.engines import engine_at


class TestPostgreSQL:
    @pytest.fixture
    def place(self, postgresql_url: str) -> Place:
        return Place(postgresql_url)

    def test_owners_do_not_wait_for_one_another(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        put(storage, "bob", record("a", 0))
        with engine_at(place) as engine, engine.begin() as connection:
            connection.execute(text("SELECT * FROM mobync_owners WHERE owner = 'bob' FOR UPDATE"))
            began = time.monotonic()
            storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("a", 1)]))
            assert storage.load("bob", since=0).clock == 1
            assert time.monotonic() - began < 2

    def test_a_first_commit_beside_another_waits_briefly_and_conflicts(self, place: Place, storage: Storage) -> None:
        with engine_at(place) as engine, engine.connect() as connection:
            connection.execute(text("INSERT INTO mobync_owners VALUES ('ada', 1, 'e', -1)"))
            done: list[BaseException] = []

            def attempt() -> None:
                try:
                    storage.commit("ada", Commit(expected=0, clock=1, epoch=EPOCH, put=[record("a", 0)]))
                except ConflictError as error:
                    done.append(error)

            thread = threading.Thread(target=attempt)
            thread.start()
            thread.join(0.05)
            connection.commit()
            thread.join(10)
            assert len(done) == 1

    def test_an_owner_that_stays_locked_is_a_conflict(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        before = everything(storage, "ada")
        with engine_at(place) as engine, engine.begin() as connection:
            connection.execute(text("SELECT * FROM mobync_owners FOR UPDATE"))
            with pytest.raises(ConflictError):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH))
        assert everything(storage, "ada") == before

    def test_a_first_commit_during_an_erasure_of_nobody_stays_whole(self, place: Place, storage: Storage) -> None:
        assert isinstance(storage, SQLStorage)
        committed: list[bool] = []

        def commit_meanwhile(_connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
            if statement.startswith("DELETE FROM mobync_owners"):
                with closing(open_sql(place.url)) as other:
                    put(other, "ada", record("a", 0), notes=[Note("history", "1", "")])
                committed.append(True)

        event.listen(storage.engine, "after_cursor_execute", commit_meanwhile)
        storage.erase("ada")
        event.remove(storage.engine, "after_cursor_execute", commit_meanwhile)
        snapshot, notes = everything(storage, "ada")
        assert (committed, snapshot.clock, len(snapshot.changed), len(notes)) == ([True], 1, 1, 1)

    def test_names_are_compared_by_bytes_whatever_the_collation_of_the_database(
        self, place: Place, storage: Storage
    ) -> None:
        put(storage, "ada", record("a", 0))
        columns = text(
            "SELECT a.attname, c.collname FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation "
            "WHERE a.attrelid IN ('mobync_owners'::regclass, 'mobync_records'::regclass, 'mobync_notes'::regclass) "
            "AND a.attname IN ('owner', 'model', 'id', 'kind', 'key')"
        )
        with engine_at(place) as engine, engine.connect() as connection:
            found = connection.execute(columns).fetchall()
        assert len(found) == 7
        assert {collation for _, collation in found} == {"C"}

    def test_named_records_are_found_by_their_key_without_statistics(self, storage: Storage) -> None:
        clock = 0
        while clock < 30_000:
            put_ = [record(f"r{i}", i) for i in range(clock, clock + 5000)]
            storage.commit("ada", Commit(expected=clock, clock=clock + 5000, epoch=EPOCH, put=put_))
            clock += 5000

        def seconds() -> float:
            began = time.perf_counter()
            storage.load("ada", since=clock, keys=[("task", f"r{i * 7}") for i in range(10)])
            return time.perf_counter() - began

        assert min(seconds() for _ in range(30)) < 0.01  # through all records of the owner it takes three times this

    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
    def test_a_database_that_cannot_hold_all_text_is_refused(self, place: Place, encoding: str) -> None:
        name = f"mobync_{encoding.lower()}"
        with engine_at(place) as engine, engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            create = f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0"
            connection.execute(text(create))
            try:
                other = engine.url.set(database=name).render_as_string(hide_password=False)
                with closing(open_sql(other)) as storage, pytest.raises(SchemaError, match="UTF-8"):
                    storage.setup()
            finally:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    def test_connections_that_the_server_closed_fail_no_call(self, place: Place, storage: Storage) -> None:
        def close_all() -> None:
            with engine_at(place) as engine, engine.begin() as connection:
                others = "datname = current_database() AND pid <> pg_backend_pid()"
                connection.execute(text(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}"))

        put(storage, "ada", record("a", 0))
        close_all()
        assert storage.load("ada", since=0).clock == 1
        close_all()
        storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH))
        close_all()
        assert list(storage.owners()) == ["ada"]
        close_all()
        storage.erase("ada")

    def test_a_commit_cut_off_midway_is_unavailable_and_leaves_no_trace(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        before = everything(storage, "ada")
        assert isinstance(storage, SQLStorage)

        def cut(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
            if statement.startswith("INSERT INTO mobync_records"):
                pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
                with engine_at(place) as engine, engine.begin() as other:
                    other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        event.listen(storage.engine, "before_cursor_execute", cut)
        try:
            with pytest.raises(StorageUnavailable):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("b", 1)]))
        finally:
            event.remove(storage.engine, "before_cursor_execute", cut)
        assert everything(storage, "ada") == before

    @pytest.mark.parametrize("call", ["load", "commit"])
    def test_a_server_that_falls_silent_is_unavailable_and_its_connection_is_not_used_again(
        self, place: Place, call: str
    ) -> None:
        with proxied(place.url) as (url, line), closing(open_sql(f"{url}?read_timeout=1")) as storage:
            storage.setup()
            line.freeze()
            began = time.monotonic()
            with pytest.raises(StorageUnavailable, match="no sign for 1 s"):
                storage.load("ada", since=0) if call == "load" else put(storage, "ada", record("a", 0))
            assert 0.9 < time.monotonic() - began < 3
            line.thaw()
            put(storage, "ada", record("a", 0))
            assert storage.load("ada", since=0).clock == 1

    def test_who_keeps_talking_is_no_silent_server(self, place: Place) -> None:
        with closing(open_sql(f"{place.url}?read_timeout=1")) as storage, storage.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT pg_sleep(0.3), repeat('x', 100000) FROM generate_series(1, 6)")
            assert len(rows.fetchall()) == 6

    @pytest.mark.parametrize("seconds", ["0", "-1", "soon", "1.5"])
    def test_a_time_that_is_none_is_refused(self, seconds: str) -> None:
        with pytest.raises(InvalidURL, match="read_timeout"):
            open_sql(f"postgresql://u:p@127.0.0.1/name?read_timeout={seconds}")
