"""What triggers do on MariaDB alone."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import make_url

from tests.own_tables.raw import REFUSED, Database, Mark

MODES = "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION"


@pytest.fixture
def database(mariadb_url: str) -> Iterator[Database]:
    with closing(Database(mariadb_url)) as database:
        yield database


@pytest.fixture
def tasks(database: Database) -> Database:
    database.run("CREATE TABLE tasks (id VARCHAR(30) PRIMARY KEY, user_id CHAR(30) CHARACTER SET latin1, n INTEGER)")
    database.install()
    return database


@pytest.fixture
def other_database(database: Database) -> Iterator[str]:
    """The name of another database of the server."""
    name = f"mobync_test_{uuid.uuid4().hex}"
    database.run(f"CREATE DATABASE {name}")
    yield name
    database.run(f"DROP DATABASE {name}")


class TestSessions:
    @pytest.mark.parametrize("modes", ["", MODES, "ORACLE,TRADITIONAL"])
    def test_whatever_a_session_has_set(self, tasks: Database, modes: str) -> None:
        with tasks.session() as session:
            session.run(
                f"SET SESSION sql_mode = '{modes}', time_zone = '+13:00', collation_connection = utf8mb4_general_ci",
                "INSERT INTO tasks VALUES ('a', '\u00e9ve', 1)",
                "SET NAMES latin1",
                "UPDATE tasks SET n = 2",
            )
        now = time.time_ns() // 1_000_000
        assert all(now - 60_000 < at <= now + 1 for at in tasks.times())
        assert tasks.marks() == [Mark("\u00e9ve", "a")] * 2

    @pytest.mark.parametrize("modes", ["", MODES, "ORACLE"])
    def test_whatever_the_session_that_installs_has_set(self, database: Database, modes: str) -> None:
        database.run("CREATE TABLE tasks (id VARCHAR(30) PRIMARY KEY, user_id CHAR(30))")
        (before,) = database.run("SELECT @@GLOBAL.sql_mode")[0]
        database.run(f"SET GLOBAL sql_mode = '{modes}'")
        try:
            with closing(Database(database.url)) as other:
                other.install()
                with other.engine.connect() as connection:
                    own = connection.exec_driver_sql("SELECT @@sql_mode, @@lock_wait_timeout").one()
            (set_to,) = database.run("SELECT @@GLOBAL.sql_mode")[0]
            assert own == (set_to, database.run("SELECT @@lock_wait_timeout")[0][0])
        finally:
            database.run(f"SET GLOBAL sql_mode = '{before}'")
        database.run("INSERT INTO tasks VALUES ('a', 'ada')")
        assert database.marks() == [Mark("ada", "a")]

    def test_a_user_without_rights_on_the_outbox(self, tasks: Database) -> None:
        name = make_url(tasks.url).database
        tasks.run("CREATE USER mobync_plain IDENTIFIED BY 'plain'", f"GRANT ALL ON {name}.tasks TO mobync_plain")
        try:
            with tasks.session(user="mobync_plain", password="plain") as session:
                with pytest.raises(REFUSED, match="denied"):
                    session.run("SELECT * FROM mobync_outbox")
                session.run("INSERT INTO tasks VALUES ('a', 'ada', 1)")
        finally:
            tasks.run("DROP USER mobync_plain")
        assert tasks.marks() == [Mark("ada", "a")]


class TestStatements:
    def test_replace_and_its_like(self, tasks: Database) -> None:
        tasks.run("INSERT INTO tasks VALUES ('a', 'ada', 1)", "REPLACE INTO tasks VALUES ('a', 'bob', 1)")
        assert set(tasks.marks()) == {Mark("ada", "a"), Mark("bob", "a")}
        tasks.run("INSERT INTO tasks VALUES ('a', 'x', 1) ON DUPLICATE KEY UPDATE user_id = 'eve'")
        assert set(tasks.marks()) == {Mark("bob", "a"), Mark("eve", "a")}
        tasks.run("INSERT IGNORE INTO tasks VALUES ('a', 'x', 1)")
        assert tasks.marks() == []

    def test_of_several_tables(self, tasks: Database) -> None:
        tasks.run("CREATE TABLE more (id VARCHAR(30) PRIMARY KEY)", "INSERT INTO more VALUES ('a')")
        tasks.run("INSERT INTO tasks VALUES ('a', 'ada', 1), ('b', 'ada', 1)")
        tasks.marks()
        tasks.run("UPDATE tasks JOIN more USING (id) SET tasks.user_id = 'bob', more.id = 'b'")
        assert tasks.marks() == [Mark("ada", "a"), Mark("bob", "a")]
        tasks.run("DELETE tasks, more FROM tasks JOIN more USING (id)")
        assert tasks.marks() == [Mark("ada", "b")]

    def test_a_lock_on_the_table_is_enough(self, tasks: Database) -> None:
        tasks.run("LOCK TABLES tasks WRITE", "INSERT INTO tasks VALUES ('a', 'ada', 1)", "UNLOCK TABLES")
        assert tasks.marks() == [Mark("ada", "a")]


class TestCascades:
    @pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
    def test_rows_that_came_while_the_delete_waited(self, database: Database, isolation: str) -> None:
        database.run(
            "CREATE TABLE projects (id INTEGER PRIMARY KEY)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), project INTEGER, "
            "FOREIGN KEY (project) REFERENCES projects (id) ON DELETE CASCADE)",
        )
        database.install()
        database.run("INSERT INTO projects VALUES (1), (2)", "INSERT INTO tasks VALUES (1, 'ada', 1)")
        with database.session() as first, database.session() as second:
            first.run("BEGIN", "INSERT INTO tasks VALUES (2, 'ada', 2)")
            second.run(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}", "BEGIN", "SELECT * FROM tasks")
            with Waiting(lambda: second.run("DELETE FROM projects")) as waiting:
                waiting.until_locked(database)
                first.run("COMMIT")
            second.run("COMMIT")
        assert {mark.id for mark in database.marks()} == {"1", "2"}
        assert database.run("SELECT * FROM tasks") == []

    def test_an_update_of_what_nobody_refers_to_costs_no_look(self, database: Database) -> None:
        database.run(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR(30))",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id INTEGER, "
            "FOREIGN KEY (user_id) REFERENCES users (id) ON UPDATE CASCADE ON DELETE CASCADE)",
        )
        database.install()
        database.run("INSERT INTO users VALUES (1, 'ada')", "INSERT INTO tasks VALUES (1, 1), (2, 1)")
        database.marks()
        database.run("UPDATE users SET name = 'Ada'")
        assert database.marks() == []
        database.run("UPDATE users SET id = 2")
        assert set(database.marks()) == {Mark("1", "1"), Mark("1", "2"), Mark("2", "1"), Mark("2", "2")}

    def test_removal_takes_those_of_other_tables_too(self, database: Database) -> None:
        database.run(
            "CREATE TABLE projects (id INTEGER PRIMARY KEY)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), project INTEGER, "
            "FOREIGN KEY (project) REFERENCES projects (id) ON DELETE CASCADE)",
        )
        database.install()
        assert len(database.triggers()) == 4
        database.run("ALTER TABLE tasks DROP FOREIGN KEY tasks_ibfk_1")
        assert not database.install()
        assert len(database.triggers()) == 3
        database.remove("tasks")
        assert database.triggers() == []


class TestDatabases:
    def test_tables_of_one_name_in_two_databases(self, database: Database, other_database: str) -> None:
        for place in ("", f"{other_database}."):
            database.run(
                f"CREATE TABLE {place}projects (id INTEGER PRIMARY KEY)",
                f"CREATE TABLE {place}tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), project INTEGER, "
                f"FOREIGN KEY (project) REFERENCES {place}projects (id) ON DELETE CASCADE)",
            )
        assert database.install()
        assert database.install(schema=other_database, model="other")
        assert not database.install(schema=other_database, model="other")
        for place in ("", f"{other_database}."):
            database.run(f"INSERT INTO {place}projects VALUES (1)", f"INSERT INTO {place}tasks VALUES (1, 'ada', 1)")
        assert database.marks() == [Mark("ada", "1", "other"), Mark("ada", "1")]
        database.run(f"DELETE FROM {other_database}.projects")
        assert database.marks() == [Mark("ada", "1", "other")]
        database.remove("other")
        database.run(f"INSERT INTO {other_database}.tasks VALUES (2, 'ada', NULL)", "DELETE FROM tasks")
        assert database.marks() == [Mark("ada", "1")]

    def test_two_mobyncs_leave_each_other_alone(self, tasks: Database, other_database: str) -> None:
        url = make_url(tasks.url).set(database=other_database).render_as_string(hide_password=False)
        with closing(Database(url)) as other:
            name = make_url(tasks.url).database
            other.run("CREATE TABLE tasks (id VARCHAR(30) PRIMARY KEY, user_id VARCHAR(30))")
            assert other.install()
            assert tasks.install(schema=other_database, model="theirs")
            assert not other.install()
            other.remove("tasks")
            other.remove("theirs")
            other.run("INSERT INTO tasks VALUES ('a', 'ada')", f"INSERT INTO {name}.tasks VALUES ('b', 'ada', 1)")
            assert other.marks() == []
            assert tasks.marks() == [Mark("ada", "a", "theirs"), Mark("ada", "b")]


class Waiting:
    """A statement in another thread, which is to wait for a lock."""

    def __init__(self, statement: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=statement)

    def __enter__(self) -> Waiting:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def until_locked(self, database: Database) -> None:
        deadline = time.monotonic() + 20
        while database.run("SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'") == [
            (0,)
        ]:
            assert time.monotonic() < deadline
            time.sleep(0.2)  # who asks more often is always told the same
