"""What the SQL adapter promises beside the contract, on every database."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from mobync_sql import SQLStorage, open_sql
from sqlalchemy import text

from mobync_core import (
    Commit,
    ConflictError,
    Note,
    SchemaError,
    Storage,
)
from mobync_core.testing.examples import EPOCH, put, record
from tests.storage.conftest import SHARED, SQL, Place
from tests.storage.engines import engine_at, statements_of


@pytest.mark.parametrize("place", SQL, indirect=True)
class TestStatements:
    @pytest.mark.parametrize("size", [1, 1000])
    def test_a_load_is_one_statement_whatever_its_size(self, storage: Storage, size: int) -> None:
        put(storage, "ada", *(record(f"r{i}", i) for i in range(size)))
        with statements_of(storage) as seen:
            storage.load("ada", since=0)
            assert len(seen) == 1
            storage.load("ada", since=0, keys=[("task", f"r{i}") for i in range(size)], limit=5)
            assert len(seen) == 2

    def test_a_commit_is_a_constant_number_of_statements_and_its_clock_comes_first(self, storage: Storage) -> None:
        put(storage, "ada", notes=[Note("history", f"{i}", "") for i in range(1000)])
        texts = []
        for clock, size in ((1, 1), (1001, 1000)):
            with statements_of(storage) as seen:
                commit = Commit(
                    expected=clock,
                    clock=clock + 1000,
                    epoch=EPOCH,
                    put=[record(f"r{i}", clock + i) for i in range(size)],
                    remove=[("task", f"gone{i}") for i in range(size)],
                    notes=[Note("parked", f"{i}", "") for i in range(size)],
                    forget=[("history", f"{i}") for i in range(size)],
                )
                storage.commit("ada", commit)
            texts.append(seen)
        assert texts[0] == texts[1]
        assert len(texts[0]) == 7
        assert texts[0][0].startswith("BEGIN")
        assert texts[0][1].startswith("UPDATE mobync_owners")
        assert texts[0][-1] == "COMMIT"

    def test_a_commit_says_no_more_than_it_must(self, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        with statements_of(storage) as seen:
            storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("a", 1)]))
        assert len(seen) == 4


@pytest.mark.parametrize("place", SQL, indirect=True)
class TestEngines:
    def test_an_engine_that_was_handed_in_is_never_closed(self, place: Place) -> None:
        with engine_at(place) as engine:
            storage = SQLStorage(engine)
            storage.setup()
            put(storage, "ada", record("a", 0))
            pool = engine.pool
            storage.close()
            storage.close()
            assert engine.pool is pool
            with engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM mobync_records")).scalar() == 1

    def test_it_leaves_the_engines_own_work_as_it_is(self, place: Place) -> None:
        with engine_at(place) as engine, closing(SQLStorage(engine)) as storage:
            storage.setup()
            put(storage, "ada", record("a", 0))
            with pytest.raises(ConflictError):
                storage.commit("ada", Commit(expected=9, clock=10, epoch=EPOCH))
            with engine.connect() as connection:  # is in a transaction still, which can be rolled back
                connection.execute(text("DELETE FROM mobync_records"))
                connection.rollback()
            assert [found.id for found in storage.load("ada", since=0).changed] == ["a"]

    def test_tables_of_the_application_may_lie_beside(self, place: Place) -> None:
        with engine_at(place) as engine, closing(SQLStorage(engine)) as storage:
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE owners (id INTEGER)"))
            storage.setup()
            with engine.connect() as connection:
                assert connection.execute(text("SELECT count(*) FROM owners")).scalar() == 0

    def test_a_newer_layout_is_refused_with_a_way_out(self, place: Place) -> None:
        with engine_at(place) as engine, closing(SQLStorage(engine)) as storage:
            storage.setup()
            with engine.begin() as connection:
                connection.execute(text("UPDATE mobync_schema SET version = 99"))
            with pytest.raises(SchemaError, match=r"99.*upgrade mobync-sql"):
                storage.setup()

    def test_the_first_layout_is_migrated_with_all_that_it_holds(self, place: Place) -> None:
        with engine_at(place) as engine, closing(SQLStorage(engine)) as storage:
            storage.setup()
            put(storage, "ada", record("a", 0))
            with engine.begin() as connection:
                connection.execute(text("DROP TABLE mobync_outbox"))
                connection.execute(text("DROP TABLE mobync_bindings"))
                connection.execute(text("UPDATE mobync_schema SET version = 1"))
            with closing(SQLStorage(engine)) as newer:
                newer.setup()
                put(newer, "ada", record("b", 1))
                assert [found.id for found in newer.load("ada", since=0).changed] == ["a", "b"]

    def test_without_setup_it_says_what_to_do(self, place: Place) -> None:
        with closing(open_sql(place.url)) as storage:
            with pytest.raises(SchemaError, match="setup"):
                storage.load("ada", since=0)
            with pytest.raises(SchemaError, match="setup"):
                storage.commit("ada", Commit(expected=0, clock=1, epoch=EPOCH))

    def test_threads_beyond_the_connections_wait_for_one(self, place: Place) -> None:
        with closing(open_sql(place.url)) as storage:
            storage.setup()
            with ThreadPoolExecutor(40) as pool:
                list(pool.map(lambda number: put(storage, f"owner {number}", record("a", 0)), range(80)))
            assert len(list(storage.owners())) == 80

    def test_a_process_may_fork_after_opening(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for clock in range(1, 20):
                    put(storage, "child", record("c", clock))
                code = 0 if storage.load("ada", since=0).clock == 1 else 2
            finally:
                os._exit(code)
        for clock in range(1, 20):
            put(storage, "parent", record("p", clock))
        assert os.waitpid(child, 0)[1] == 0
        assert storage.load("parent", since=0).clock == 20
        assert storage.load("child", since=0).clock == (20 if place.shared else 0)


@pytest.mark.parametrize("place", SHARED, indirect=True)
def test_who_walks_through_owners_holds_no_connection_meanwhile(storage: Storage) -> None:
    put(storage, "ada", record("a", 0))
    walks = [storage.owners() for _ in range(60)]
    assert [next(walk) for walk in walks] == ["ada"] * 60
