"""What comes of other transactions, of time and of the connection is no fault of a row."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest
from mobync_sql.violations import violation
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from tests.own_tables.refusals import error_of, reflected, run
from tests.storage.engines import DRIVERS

CHANGE = "UPDATE counted SET n = 2 WHERE id = 1"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    url = make_url(database_url)
    options = {"connect_args": {"timeout": 0.05}} if url.drivername == "sqlite" else {}
    engine = create_engine(url.set(drivername=DRIVERS.get(url.drivername, url.drivername)), **options)
    run(
        engine,
        "CREATE TABLE counted (id int PRIMARY KEY, n int, CHECK (n > 0))",
        "INSERT INTO counted VALUES (1, 1), (2, 1)",
    )
    yield engine
    engine.dispose()


def test_a_lock(engine: Engine) -> None:
    waits = {
        "sqlite": ["SELECT 1"],
        "postgresql": ["SET lock_timeout = '50ms'", "SET statement_timeout = '50ms'"],
        "mariadb": ["SET innodb_lock_wait_timeout = 1", "SET max_statement_time = 0.05"],
    }
    with engine.begin() as other:
        other.execute(text(CHANGE))
        for setting in waits[engine.dialect.name]:
            error = error_of(engine, CHANGE, before=setting)
            assert violation(error, reflected(engine, "counted")) is None, error


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)  # SQLite has one writer
def test_a_deadlock(engine: Engine) -> None:
    found: list[BaseException] = []
    ready = threading.Barrier(2)

    def change(ids: Sequence[int]) -> None:
        try:
            with engine.begin() as connection:
                connection.execute(text(f"UPDATE counted SET n = 3 WHERE id = {ids[0]}"))
                ready.wait(10)
                connection.execute(text(f"UPDATE counted SET n = 3 WHERE id = {ids[1]}"))
        except DBAPIError as error:
            found.append(error.orig or error)

    threads = [threading.Thread(target=change, args=(ids,)) for ids in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [getattr(error, "sqlstate", "") for error in found] in (["40P01"], ["40001"])
    assert violation(found[0], reflected(engine, "counted")) is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # MariaDB and SQLite do not serialize so
def test_a_serialization_failure(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.execute(text("SELECT * FROM counted"))
        run(engine, "UPDATE counted SET n = n + 1")
        with pytest.raises(DBAPIError) as raised:
            connection.execute(text(CHANGE))
    assert getattr(raised.value.orig, "sqlstate", "") == "40001"
    assert violation(raised.value.orig or raised.value, reflected(engine, "counted")) is None


@pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)  # SQLite has no connections
def test_a_lost_connection(engine: Engine) -> None:
    postgresql = engine.dialect.name == "postgresql"
    with engine.connect() as connection:
        own = connection.execute(text(f"SELECT {'pg_backend_pid' if postgresql else 'CONNECTION_ID'}()")).scalar_one()
        run(engine, f"SELECT pg_terminate_backend({own}, 5000)" if postgresql else f"KILL {own}")
        with pytest.raises(DBAPIError) as raised:
            connection.execute(text(CHANGE))
    assert raised.value.connection_invalidated
    assert violation(raised.value.orig or raised.value, reflected(engine, "counted")) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_may_not_be_written(engine: Engine) -> None:
    error = error_of(engine, CHANGE, before="PRAGMA query_only = ON")
    assert violation(error, reflected(engine, "counted")) is None
