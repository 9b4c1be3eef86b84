"""What triggers do on PostgreSQL alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

from tests.own_tables.raw import Database, Mark, Session


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    with closing(Database(postgresql_url)) as database:
        yield database


@pytest.fixture
def tasks(database: Database) -> Database:
    database.run("CREATE TABLE tasks (id TEXT PRIMARY KEY, user_id TEXT, n INTEGER)")
    database.install()
    return database


@contextmanager
def role(database: Database) -> Iterator[Session]:
    """A session of a role that may write into the application's tables, and knows of no others."""
    database.run("DROP ROLE IF EXISTS mobync_plain", "CREATE ROLE mobync_plain LOGIN PASSWORD 'plain'")
    try:
        database.run("GRANT USAGE ON SCHEMA public TO mobync_plain", "GRANT ALL ON tasks TO mobync_plain")
        with database.session(user="mobync_plain", password="plain") as session:
            yield session
    finally:
        database.run("DROP OWNED BY mobync_plain", "DROP ROLE mobync_plain")


class TestSessions:
    def test_a_role_without_rights_on_the_outbox(self, tasks: Database) -> None:
        with role(tasks) as session:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.run("SELECT * FROM mobync_outbox")
            session.run(
                "INSERT INTO tasks VALUES ('a', 'ada', 1)", "UPDATE tasks SET user_id = 'bob'", "TRUNCATE tasks"
            )
        assert tasks.marks() == [Mark("ada", "a"), Mark("ada", "a"), Mark("bob", "a"), Mark("bob", "a")]

    def test_nobody_else_may_use_the_function(self, tasks: Database) -> None:
        (function,) = tasks.run("SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'mobync%'")[0]
        with role(tasks) as session:
            tasks.run("GRANT CREATE ON SCHEMA public TO mobync_plain")
            session.run("CREATE TABLE trap (id TEXT, user_id TEXT)")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.run(f"CREATE TRIGGER t AFTER INSERT ON trap FOR EACH ROW EXECUTE FUNCTION {function}")

    def test_whatever_a_session_has_set(self, tasks: Database) -> None:
        tasks.run(
            "CREATE SCHEMA trap",
            "CREATE TABLE trap.mobync_outbox (owner TEXT)",
            "CREATE FUNCTION trap.octet_length(TEXT) RETURNS INTEGER LANGUAGE sql AS 'SELECT 1000'",
        )
        with tasks.session() as session:
            session.run(
                "SET search_path = trap, public, pg_catalog",
                "SET standard_conforming_strings = off",
                "SET TimeZone = 'Pacific/Kiritimati'",
                "SET DateStyle = 'SQL, DMY'",
                "SET plpgsql.variable_conflict = 'use_column'",
                "CREATE TEMPORARY TABLE mobync_outbox (owner TEXT)",
                "INSERT INTO public.tasks VALUES ('a', 'ada', 1)",
                "SET search_path = ''",
                "UPDATE public.tasks SET n = 2",
            )
        first, second = tasks.times()
        (now,) = tasks.run("SELECT extract(epoch FROM now()) * 1000")[0]
        assert now - 60_000 < first <= second <= now + 1
        assert tasks.marks() == [Mark("ada", "a")] * 2

    def test_a_column_that_gets_another_type(self, database: Database) -> None:
        database.run("CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id TEXT, n INTEGER)")
        database.install()
        with database.session() as session:
            for number in range(8):
                session.run(f"INSERT INTO tasks VALUES ({number}, 'ada')", "UPDATE tasks SET n = 1, user_id = 'bob'")
            database.run("ALTER TABLE tasks ALTER COLUMN id TYPE BIGINT, ADD COLUMN more TEXT, DROP COLUMN n")
            database.marks()
            session.run("INSERT INTO tasks VALUES (9, 'ada')", "UPDATE tasks SET user_id = 'eve' WHERE id = 9")
            session.run("DELETE FROM tasks WHERE id = 9")
        assert database.marks() == [Mark("ada", "9")] * 2 + [Mark("eve", "9")] * 2

    def test_a_table_that_is_renamed(self, tasks: Database) -> None:
        tasks.run(
            "INSERT INTO tasks VALUES ('a', 'ada')", "ALTER TABLE tasks RENAME TO things", "UPDATE things SET n = 1"
        )
        assert tasks.marks() == [Mark("ada", "a")] * 2


class TestTables:
    def test_truncate(self, tasks: Database) -> None:
        tasks.run("INSERT INTO tasks VALUES ('a', 'ada', 1), ('b', NULL, 1), ('c', 'bob', 1)")
        tasks.marks()
        tasks.run("BEGIN", "TRUNCATE tasks", "ROLLBACK")
        assert tasks.marks() == []
        tasks.run("CREATE TABLE parts (tasks TEXT REFERENCES tasks)", "TRUNCATE tasks CASCADE")
        assert tasks.marks() == [Mark("ada", "a"), Mark("bob", "c")]

    def test_truncate_of_what_a_policy_hides(self, tasks: Database) -> None:
        tasks.run("INSERT INTO tasks VALUES ('a', 'ada', 1)", "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY")
        tasks.marks()
        with role(tasks) as session:
            assert session.run("SELECT * FROM tasks") == []
            session.run("TRUNCATE tasks")
        assert tasks.marks() == [Mark("ada", "a")]

    def test_partitions(self, database: Database) -> None:
        database.run(
            "CREATE TABLE tasks (id TEXT PRIMARY KEY, user_id TEXT) PARTITION BY RANGE (id)",
            "CREATE TABLE first PARTITION OF tasks FOR VALUES FROM ('a') TO ('m')",
        )
        assert database.install()
        assert not database.install()
        database.run("CREATE TABLE second PARTITION OF tasks FOR VALUES FROM ('m') TO ('z')")
        database.run("INSERT INTO tasks VALUES ('b', 'ada')", "INSERT INTO second VALUES ('n', 'ada')")
        assert database.marks() == [Mark("ada", "b"), Mark("ada", "n")]
        database.run("UPDATE tasks SET id = 'o' WHERE id = 'b'")
        assert set(database.marks()) == {Mark("ada", "b"), Mark("ada", "o")}
        database.run("TRUNCATE tasks")
        assert database.marks() == [Mark("ada", "n"), Mark("ada", "o")]
        database.remove("tasks")
        assert database.triggers() == []

    def test_tables_of_one_name_in_two_schemas(self, database: Database) -> None:
        for schema in ("one", "Two%"):
            table = f'"{schema}".tasks'
            database.run(f'CREATE SCHEMA "{schema}"', f"CREATE TABLE {table} (id UUID PRIMARY KEY, user_id TEXT)")
            assert database.install(schema=schema, model=f"tasks.{schema.strip('%')}")
        id = "00000000-0000-0000-0000-00000000000a"
        database.run(
            f"INSERT INTO one.tasks VALUES ('{id}', 'ada')", f"INSERT INTO \"Two%\".tasks VALUES ('{id}', 'bob')"
        )
        assert database.marks() == [Mark("ada", id, "tasks.one"), Mark("bob", id, "tasks.Two")]
        database.run('TRUNCATE one.tasks, "Two%".tasks')
        assert database.marks() == [Mark("ada", id, "tasks.one"), Mark("bob", id, "tasks.Two")]
        database.remove("tasks.one")
        database.run(
            f"INSERT INTO one.tasks VALUES ('{id}', 'ada')", f"INSERT INTO \"Two%\".tasks VALUES ('{id}', 'bob')"
        )
        assert database.marks() == [Mark("bob", id, "tasks.Two")]

    def test_conflicts_and_merges(self, tasks: Database) -> None:
        tasks.run("INSERT INTO tasks VALUES ('a', 'ada', 1)")
        tasks.marks()
        tasks.run("INSERT INTO tasks VALUES ('a', 'bob', 1) ON CONFLICT DO NOTHING")
        assert tasks.marks() == []
        tasks.run("INSERT INTO tasks VALUES ('a', 'bob', 1) ON CONFLICT (id) DO UPDATE SET user_id = excluded.user_id")
        assert tasks.marks() == [Mark("ada", "a"), Mark("bob", "a")]
        tasks.run(
            "MERGE INTO tasks USING (VALUES ('a'), ('b')) AS v (id) ON v.id = tasks.id "
            "WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'eve', 1)"
        )
        assert tasks.marks() == [Mark("bob", "a"), Mark("eve", "b")]
        with tasks.application.connection.cursor().copy("COPY tasks FROM STDIN") as copy:
            copy.write(b"c\tada\t1\n")
        assert tasks.marks() == [Mark("ada", "c")]
