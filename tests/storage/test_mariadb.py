"""What the SQL adapter promises beside the contract, on MariaDB and MySQL."""

from __future__ import annotations

import json
import logging
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from mobync_sql import SQLStorage, open_sql
from sqlalchemy import Connection, create_engine, event, make_url, text

from mobync_core import (
    Commit,
    ConflictError,
    InvalidURL,
    MobyncError,
    SchemaError,
    Storage,
    StorageError,
    StorageUnavailable,
    open_storage,
)
from mobync_core.testing.examples import EPOCH, everything, named, put, record
from mobync_core.testing.proxy import proxied
from tests.servers.processes import free_port
from tests.storage.conftest import Place
from tests.storage.engines import engine_at

SECRET = "s3cr3t-p4ssw0rd"
OPTIONS = ("no_such_option=1", "read_timeout=soon", "connect_timeout=0", "charset=latin1")
MEANINGLESS = [f"127.0.0.1/name?{option}" for option in OPTIONS]


@pytest.fixture
def place(mariadb_url: str) -> Place:
    return Place(mariadb_url)


def open_and_show(url: str) -> None:
    with closing(open_storage(url)) as storage:
        assert SECRET not in f"{storage} {storage!r}"
        storage.setup()


def asked(storage: Storage, statement: str) -> Any:
    """What a connection of the storage answers."""
    assert isinstance(storage, SQLStorage)
    with storage.engine.connect() as connection:
        return connection.exec_driver_sql(statement).scalar()


class TestURLs:
    @pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
    def test_it_has_these_names(self, place: Place, scheme: str) -> None:
        url = make_url(place.url).set(drivername=scheme).render_as_string(hide_password=False)
        with closing(open_storage(url)) as storage:
            storage.setup()
            put(storage, "ada", record("é", 0))
            assert [found.id for found in storage.load("ada", since=0).changed] == ["é"]
            assert list(storage.owners()) == ["ada"]

    @pytest.mark.parametrize("rest", ["127.0.0.1", "127.0.0.1/", "127.0.0.1:port/name", *MEANINGLESS])
    def test_what_cannot_be_meant_is_refused_when_it_is_opened(self, rest: str) -> None:
        with pytest.raises(InvalidURL) as caught:
            open_storage(f"mysql://u:{SECRET}@{rest}")
        assert SECRET not in "".join(traceback.format_exception(caught.value))

    def test_no_password_shows(self, mariadb_server_url: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        wrong = make_url(mariadb_server_url).set(password=f"{SECRET}-é€", username="nobody")
        for url in (
            wrong.render_as_string(hide_password=False),
            f"mysql://u:{SECRET}@127.0.0.1:{free_port()}/name",
            f"mariadb://u:{SECRET}@127.0.0.1:{free_port()}/name?ssl_ca=/no/such/file",
            f"mysql+nothing://u:{SECRET}@127.0.0.1/name",
        ):
            with pytest.raises(MobyncError) as caught:
                open_and_show(url)
            shown = "".join(traceback.format_exception(caught.value))
            assert SECRET not in shown, shown
        assert SECRET not in caplog.text

    def test_a_server_that_refuses_is_unavailable_soon(self) -> None:
        port = free_port()
        began = time.monotonic()
        storage = open_storage(f"mysql://u:p@127.0.0.1:{port}/name")
        with closing(storage), pytest.raises(StorageUnavailable, match=str(port)):
            storage.load("ada", since=0)
        assert time.monotonic() - began < 5

    def test_a_password_may_have_any_characters(self, place: Place) -> None:
        password = "p\u00e4ss \u20ac'@/"
        with engine_at(place) as engine, engine.begin() as connection:
            connection.execute(text("CREATE USER mobync_umlaut IDENTIFIED BY :password"), {"password": password})
            connection.execute(text(f"GRANT ALL ON {engine.url.database}.* TO mobync_umlaut"))
        try:
            url = make_url(place.url).set(username="mobync_umlaut", password=password)
            with closing(open_sql(url.render_as_string(hide_password=False))) as storage:
                storage.setup()
        finally:
            with engine_at(place) as engine, engine.begin() as connection:
                connection.execute(text("DROP USER mobync_umlaut"))


class TestSessions:
    def test_what_the_server_has_set_otherwise_changes_nothing(self, place: Place) -> None:
        modes = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH"
        body = json.dumps("a ' \" \\ \\\\ \n")
        with engine_at(place) as engine:
            with engine.begin() as connection:
                before = connection.exec_driver_sql("SELECT @@GLOBAL.sql_mode").scalar()
                connection.exec_driver_sql(f"SET GLOBAL sql_mode = '{modes}'")
                connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} CHARACTER SET latin1")
            try:
                with (
                    closing(open_sql(place.url)) as own,
                    engine_at(place) as lax,
                    closing(SQLStorage(lax)) as given,
                ):
                    for clock, storage in enumerate((own, given)):
                        storage.setup()
                        put(storage, "ada", record(f"\\'\"{clock}", clock, body))
                        assert [found.body for found in storage.load("ada", since=0).changed] == [body] * (clock + 1)
                        assert list(storage.notes("ada", "history")) == []
                        with pytest.raises(StorageError):  # rather than that it is cut off
                            put(storage, "ada", record("a" * 300, clock + 1))
                    assert "ANSI_QUOTES" in asked(given, "SELECT @@sql_mode")
                    assert "STRICT_ALL_TABLES" in asked(own, "SELECT @@sql_mode")
            finally:
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"SET GLOBAL sql_mode = '{before}'")

    def test_times_are_limited(self, place: Place) -> None:
        with closing(open_sql(place.url)) as storage:
            assert asked(storage, "SELECT @@innodb_lock_wait_timeout") == 1
            assert 0 < float(asked(storage, "SELECT @@max_statement_time")) < 20

    def test_a_connection_in_another_character_set_is_refused(self, place: Place) -> None:
        engine = create_engine(make_url(place.url).set(drivername="mysql+pymysql", query={"charset": "latin1"}))
        with closing(SQLStorage(engine)) as storage, pytest.raises(SchemaError, match="utf8mb4"):
            storage.setup()
        engine.dispose()

    @pytest.mark.parametrize("call", ["load", "commit"])
    def test_a_server_that_falls_silent_is_unavailable(self, place: Place, call: str) -> None:
        with proxied(place.url) as (url, line), closing(open_sql(f"{url}?read_timeout=1")) as storage:
            storage.setup()
            line.freeze()
            began = time.monotonic()
            with pytest.raises(StorageUnavailable):
                storage.load("ada", since=0) if call == "load" else put(storage, "ada", record("a", 0))
            assert 0.9 < time.monotonic() - began < 3
            line.thaw()
            put(storage, "ada", record("a", 0))
            assert storage.load("ada", since=0).clock == 1

    def test_connections_that_the_server_closed_fail_no_call(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        calls: tuple[Callable[[], object], ...] = (
            lambda: storage.load("ada", since=0),
            lambda: storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH)),
            lambda: list(storage.owners()),
            lambda: storage.erase("ada"),
        )
        for call in calls:
            with engine_at(place) as engine, engine.begin() as connection:
                others = "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
                for (id,) in connection.exec_driver_sql(others).fetchall():
                    connection.exec_driver_sql(f"KILL {id}")
            call()


class TestLocks:
    def test_owners_do_not_wait_for_one_another(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        put(storage, "bob", record("a", 0))
        with engine_at(place) as engine, engine.begin() as connection:
            connection.execute(text("SELECT * FROM mobync_owners WHERE owner = 'bob' FOR UPDATE"))
            began = time.monotonic()
            storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("a", 1)]))
            assert storage.load("bob", since=0).clock == 1
            assert time.monotonic() - began < 0.9

    def test_an_owner_that_stays_locked_is_a_conflict_soon(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        with engine_at(place) as engine, engine.begin() as connection:
            connection.execute(text("SELECT * FROM mobync_owners FOR UPDATE"))
            began = time.monotonic()
            with pytest.raises(ConflictError):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH))
            assert time.monotonic() - began < 4

    def test_a_lock_that_is_met_midway_leaves_no_trace(self, place: Place, storage: Storage) -> None:
        # InnoDB undoes but the statement: what the transaction did before would be committed by its next end.
        put(storage, "ada", record("a", 0))
        before = everything(storage, "ada")
        with engine_at(place) as engine, engine.begin() as connection:
            connection.execute(text("SELECT * FROM mobync_records FOR UPDATE"))
            with pytest.raises(ConflictError):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("a", 1)]))
        assert everything(storage, "ada") == before
        put(storage, "ada", record("b", 1))

    def test_a_commit_cut_off_midway_is_unavailable_and_leaves_no_trace(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        before = everything(storage, "ada")
        assert isinstance(storage, SQLStorage)

        def cut(connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
            if statement.startswith("INSERT INTO mobync_records"):
                driver: Any = connection.connection.driver_connection
                with engine_at(place) as engine, engine.begin() as other:
                    other.exec_driver_sql(f"KILL {driver.thread_id()}")

        event.listen(storage.engine, "before_cursor_execute", cut)
        try:
            with pytest.raises(StorageUnavailable):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("b", 1)]))
        finally:
            event.remove(storage.engine, "before_cursor_execute", cut)
        assert everything(storage, "ada") == before


class TestStatements:
    def test_many_records_go_in_few_statements_and_none_is_too_large(self, place: Place, storage: Storage) -> None:
        def inserts(records: int, size: int) -> int:
            clock = storage.load("ada", since=2**62).clock
            before = int(value("Com_insert"))
            put(storage, "ada", *(record(f"r{i}", clock + i, json.dumps('"' * size)) for i in range(records)))
            return int(value("Com_insert")) - before

        def value(name: str) -> str:
            with engine_at(place) as engine, engine.connect() as connection:
                found = connection.exec_driver_sql(f"SHOW GLOBAL STATUS LIKE '{name}'").one()
                return str(found[1])

        put(storage, "ada", record("first", 0))
        assert inserts(1000, 10) == 1
        assert inserts(16, 2**19 - 1) == 16  # each of 1 MiB, and 2 on the wire; the server takes 16

    def test_named_records_are_found_by_their_key(self, place: Place, storage: Storage) -> None:
        clock = 0
        while clock < 30_000:
            put_ = [record(f"r{i}", i) for i in range(clock, clock + 5000)]
            storage.commit("ada", Commit(expected=clock, clock=clock + 5000, epoch=EPOCH, put=put_))
            clock += 5000
        plans: list[tuple[Any, ...]] = []
        assert isinstance(storage, SQLStorage)

        def explain(_connection: Connection, cursor: Any, statement: str, parameters: Any, *_more: object) -> None:
            if "JSON_TABLE" in statement:
                cursor.execute(f"EXPLAIN {statement}", parameters)
                plans.extend(cursor.fetchall())

        event.listen(storage.engine, "before_cursor_execute", explain)
        keys = [("task", f"r{i * 7}") for i in range(3000)]
        assert len(named(storage, "ada", *keys)) == 3000
        storage.commit("ada", Commit(expected=clock, clock=clock + 1, epoch=EPOCH, remove=keys, forget=[("k", "n")]))
        event.remove(storage.engine, "before_cursor_execute", explain)
        joined = [plan for plan in plans if plan[2] in ("r", "n")]
        assert [plan[3] for plan in joined] == ["eq_ref"] * 3
        assert named(storage, "ada", *keys) == {}

    def test_tables_are_as_they_must_be_whatever_the_defaults(self, place: Place, storage: Storage) -> None:
        with engine_at(place) as engine, engine.connect() as connection:
            tables = connection.exec_driver_sql(
                "SELECT table_name, engine, table_collation, row_format FROM information_schema.tables "
                "WHERE table_schema = DATABASE()"
            ).fetchall()
            columns = connection.exec_driver_sql(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = DATABASE()"
            ).fetchall()
        assert {row[1:] for row in tables} == {("InnoDB", "utf8mb4_bin", "Dynamic")}
        assert len(tables) == 6
        kinds = {row.column_name: row.data_type for row in columns}
        assert {kinds[name] for name in ("owner", "model", "id", "kind", "key", "epoch")} == {"varbinary"}
        assert kinds["body"] == "longtext"

    def test_a_setup_that_was_cut_off_is_finished_by_the_next(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        with engine_at(place) as engine, engine.begin() as connection:
            for statement in (
                "DROP INDEX mobync_records_by_clock ON mobync_records",
                "DROP TABLE mobync_notes",
                "DELETE FROM mobync_schema",
            ):
                connection.exec_driver_sql(statement)
        storage.setup()
        put(storage, "ada", record("b", 1))
        assert [found.id for found in storage.load("ada", since=0).changed] == ["a", "b"]
        with engine_at(place) as engine, engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW INDEX FROM mobync_records WHERE Seq_in_index = 2").rowcount == 2
            assert connection.exec_driver_sql("SELECT version FROM mobync_schema").scalars().all() == [2]
