"""Whatever writes into a bound table, triggers mark it, on each database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, Uuid
from sqlalchemy.exc import OperationalError

from tests.own_tables.raw import Database, Mark

TASKS = "CREATE TABLE tasks (id VARCHAR(300) PRIMARY KEY, user_id VARCHAR(300), title VARCHAR(50), n INTEGER)"

ODD_NAMES = [
    *("order", "new", "Tasks", "a b%c", "100%%s", "t\u00e4ble", "it's", 'say "hi"', "back`tick", "a:b", "a?", "$1"),
    *("back\\slash", "{0}", "--", "$$"),
]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


@pytest.fixture
def tasks(database: Database) -> Database:
    """The database with a table that is bound."""
    database.run(TASKS)
    assert database.install()
    return database


def insert(database: Database, *rows: tuple[str, str | None]) -> None:
    """Insert rows, each given by id and owner."""
    values = ", ".join(f"('{id}', {'NULL' if owner is None else repr(owner)})" for id, owner in rows)
    database.run(f"INSERT INTO tasks (id, user_id) VALUES {values}")


class TestWrites:
    def test_each_kind_is_marked_once(self, tasks: Database) -> None:
        insert(tasks, ("a", "ada"))
        assert tasks.marks() == [Mark("ada", "a")]
        tasks.run("UPDATE tasks SET title = 'milk' WHERE id = 'a'")
        assert tasks.marks() == [Mark("ada", "a")]
        tasks.run("DELETE FROM tasks WHERE id = 'a'")
        assert tasks.marks() == [Mark("ada", "a")]

    def test_each_row_of_a_statement(self, tasks: Database) -> None:
        insert(tasks, ("a", "ada"), ("b", "bob"), ("c", "ada"), ("d", None))
        assert tasks.marks() == [Mark("ada", "a"), Mark("ada", "c"), Mark("bob", "b")]
        tasks.run("UPDATE tasks SET title = 'milk' WHERE id <> 'c'")
        assert tasks.marks() == [Mark("ada", "a"), Mark("bob", "b")]
        tasks.run("INSERT INTO tasks (id, user_id) SELECT REPLACE('x.', '.', id), user_id FROM tasks")
        assert tasks.marks() == [Mark("ada", "xa"), Mark("ada", "xc"), Mark("bob", "xb")]
        tasks.run("DELETE FROM tasks WHERE id > 'b'")
        assert [mark.id for mark in tasks.marks()] == ["c", "xa", "xc", "xb"]

    def test_a_row_that_changes_owner_is_marked_for_both(self, tasks: Database) -> None:
        insert(tasks, ("a", "ada"), ("b", None))
        tasks.marks()
        tasks.run("UPDATE tasks SET user_id = 'bob' WHERE id = 'a'")
        assert tasks.marks() == [Mark("ada", "a"), Mark("bob", "a")]
        tasks.run("UPDATE tasks SET user_id = NULL WHERE id = 'a'")
        assert tasks.marks() == [Mark("bob", "a")]
        tasks.run("UPDATE tasks SET title = 'nobody sees it'")
        assert tasks.marks() == []
        tasks.run("UPDATE tasks SET user_id = 'eve'")
        assert tasks.marks() == [Mark("eve", "a"), Mark("eve", "b")]

    def test_a_row_that_changes_its_id_is_marked_under_both(self, tasks: Database) -> None:
        insert(tasks, ("a", "ada"))
        tasks.marks()
        tasks.run("UPDATE tasks SET id = 'z'")
        assert tasks.marks() == [Mark("ada", "a"), Mark("ada", "z")]
        tasks.run("UPDATE tasks SET id = 'y', user_id = 'bob'")
        assert tasks.marks() == [Mark("ada", "z"), Mark("bob", "y")]

    @pytest.mark.parametrize("other", ["Ada", "ada ", "\u00e1da"])
    def test_owners_are_told_apart_by_their_bytes(self, database: Database, other: str) -> None:
        collation = {"sqlite": "COLLATE NOCASE", "mariadb": "COLLATE utf8mb4_general_ci", "postgresql": ""}[
            database.name
        ]
        type = f"VARCHAR(30) {'CHARACTER SET utf8mb4' if database.name == 'mariadb' else ''} {collation}"
        database.run(f"CREATE TABLE tasks (id {type} PRIMARY KEY, user_id {type})")
        database.install()
        insert(database, ("a", "ada"))
        database.run(f"UPDATE tasks SET user_id = '{other}'", "UPDATE tasks SET id = 'A'")
        assert database.marks() == sorted(
            [Mark("ada", "a"), Mark("ada", "a"), Mark(other, "a"), Mark(other, "a"), Mark(other, "A")]
        )

    def test_what_no_record_can_be_named_is_not_marked_and_no_error(self, tasks: Database) -> None:
        long = "\u00e9" * 150  # of 300 bytes
        insert(tasks, ("a", ""), (long, "ada"), ("b", long), ("c", "\u00e9" * 127))
        tasks.run("UPDATE tasks SET title = 'milk'")
        tasks.run("DELETE FROM tasks")
        assert tasks.marks() == [Mark("\u00e9" * 127, "c")] * 3

    def test_what_is_rolled_back_never_was(self, tasks: Database) -> None:
        tasks.run("BEGIN")
        insert(tasks, ("a", "ada"))
        tasks.run("SAVEPOINT here")
        insert(tasks, ("b", "ada"))
        tasks.run("ROLLBACK TO SAVEPOINT here", "UPDATE tasks SET n = 1", "COMMIT")
        assert tasks.marks() == [Mark("ada", "a")] * 2
        tasks.run("BEGIN", "DELETE FROM tasks", "ROLLBACK")
        assert tasks.marks() == []

    def test_it_says_when(self, tasks: Database) -> None:
        began = time.time_ns() // 1_000_000
        insert(tasks, ("a", "ada"))
        time.sleep(0.02)
        tasks.run("UPDATE tasks SET n = 1")
        first, second = tasks.times()
        assert began - 2 <= first < second <= time.time_ns() // 1_000_000 + 2

    def test_the_application_still_learns_the_number_of_its_new_row(self, database: Database) -> None:
        number = {
            "sqlite": "INTEGER PRIMARY KEY",
            "postgresql": "BIGSERIAL PRIMARY KEY",
            "mariadb": "BIGINT AUTO_INCREMENT PRIMARY KEY",
        }[database.name]
        ask = {"sqlite": "last_insert_rowid()", "postgresql": "lastval()", "mariadb": "LAST_INSERT_ID()"}[database.name]
        database.run(f"CREATE TABLE tasks (id {number}, user_id VARCHAR(30))")
        database.install()
        for _ in range(3):
            database.run("INSERT INTO tasks (user_id) VALUES ('ada'), ('bob'), (NULL)")
        told = database.application.last_id
        (asked,) = database.run(f"SELECT {ask}")[0]
        assert asked == {"sqlite": 9, "postgresql": 9, "mariadb": 7}[database.name]
        if database.name != "postgresql":
            assert told == asked
        assert [mark.id for mark in database.marks()] == ["1", "4", "7", "2", "5", "8"]


class TestTables:
    def test_numbers_and_uuids_are_the_texts_that_records_have(self, database: Database) -> None:
        native = database.name == "postgresql"
        database.run(
            f"CREATE TABLE tasks (id {'UUID' if native else 'CHAR(32)'} PRIMARY KEY, user_id BIGINT)",
            "INSERT INTO tasks VALUES ('00000000000000000000000000000001', -7)",
        )
        # The application knows that it is a UUID, of which SQLite and MariaDB know nothing.
        table = Table("tasks", MetaData(), Column("id", Uuid, primary_key=True), Column("user_id", BigInteger))
        database.install(table)
        database.run("UPDATE tasks SET user_id = 9007199254740993")
        id = "00000000-0000-0000-0000-000000000001"
        assert database.marks() == [Mark("-7", id), Mark("9007199254740993", id)]

    def test_a_row_may_be_its_own_owner(self, database: Database) -> None:
        database.run("CREATE TABLE users (id VARCHAR(30) PRIMARY KEY, name VARCHAR(30))")
        database.install("users", owner="id")
        database.run("INSERT INTO users VALUES ('ada', 'Ada')", "UPDATE users SET id = 'bob'")
        ada, bob = Mark("ada", "ada", "users"), Mark("bob", "bob", "users")
        assert database.marks() == [ada, ada, bob]

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_names_may_be_odd(self, database: Database, name: str) -> None:
        owner, id = f"{name} owner", f"{name} id"
        table = Table(
            name,
            MetaData(),
            Column(id, String(30), primary_key=True),
            Column(owner, String(30)),
            Column(name, String(30), unique=True),
        )
        table.create(database.engine)
        options: dict[str, Any] = {"owner": owner, "fields": {"n": name}, "model": "odd"}
        assert database.install(table, **options)
        assert not database.install(table, **options)
        quoted = database.quote(name)
        database.run(
            f"INSERT INTO {quoted} VALUES ('a', 'ada', 'n')",
            f"UPDATE {quoted} SET {database.quote(owner)} = 'bob', {quoted} = 'm'",
            f"DELETE FROM {quoted}",
        )
        assert database.marks() == [Mark("ada", "a", "odd")] * 2 + [Mark("bob", "a", "odd")] * 2
        database.remove("odd")
        assert database.triggers() == []

    def test_a_table_may_be_of_two_models(self, tasks: Database) -> None:
        tasks.run("ALTER TABLE tasks ADD COLUMN helper VARCHAR(30)")
        assert tasks.install(owner="helper", model="help")
        tasks.run("INSERT INTO tasks (id, user_id, helper) VALUES ('a', 'ada', 'bob')")
        assert tasks.marks() == [Mark("ada", "a"), Mark("bob", "a", "help")]
        tasks.remove("help")
        tasks.run("UPDATE tasks SET n = 1")
        assert tasks.marks() == [Mark("ada", "a")]


class TestInstalling:
    def test_twice_changes_nothing(self, tasks: Database) -> None:
        before = tasks.triggers()
        assert not tasks.install()
        assert tasks.triggers() == before
        insert(tasks, ("a", "ada"))
        assert tasks.marks() == [Mark("ada", "a")]

    def test_what_is_there_needs_no_lock(self, tasks: Database) -> None:
        with tasks.session() as other:
            other.run("BEGIN", "INSERT INTO tasks (id, user_id) VALUES ('a', 'ada')")
            began = time.monotonic()
            assert not tasks.install()
            assert time.monotonic() - began < 1
            other.run("ROLLBACK")

    def test_what_is_lost_is_made_anew(self, tasks: Database) -> None:
        tasks.run("DROP TABLE tasks", TASKS)
        insert(tasks, ("a", "ada"))
        assert tasks.marks() == []
        assert tasks.install()
        insert(tasks, ("b", "ada"))
        assert tasks.marks() == [Mark("ada", "b")]

    def test_another_owner_column_takes_the_place_of_the_first(self, tasks: Database) -> None:
        assert tasks.install(owner="title")
        count = len(tasks.triggers())
        tasks.run("INSERT INTO tasks (id, user_id, title) VALUES ('a', 'ada', 'bob')")
        assert tasks.marks() == [Mark("bob", "a")]
        assert tasks.install()
        assert len(tasks.triggers()) == count

    def test_another_table_takes_the_place_of_the_first(self, tasks: Database) -> None:
        tasks.run("ALTER TABLE tasks RENAME TO old_tasks", TASKS)
        assert tasks.install()
        insert(tasks, ("a", "ada"))
        tasks.run("INSERT INTO old_tasks (id, user_id) VALUES ('b', 'ada')")
        assert tasks.marks() == [Mark("ada", "a")]
        assert not tasks.install()

    def test_removal_leaves_nothing_of_the_model_and_all_of_others(self, tasks: Database) -> None:
        before = tasks.triggers()
        tasks.install(model="more")
        tasks.remove("more")
        assert tasks.triggers() == before
        tasks.remove(tasks.bound("tasks"))
        assert tasks.triggers() == []
        tasks.remove("tasks")
        insert(tasks, ("a", "ada"))
        assert tasks.marks() == []

    def test_removal_needs_no_table(self, tasks: Database) -> None:
        tasks.run("DROP TABLE tasks")
        tasks.remove("tasks")
        assert tasks.triggers() == []

    @pytest.mark.parametrize(
        "database_url", ["postgresql", "mariadb"], indirect=True
    )  # SQLite's wait is the engine's own
    def test_whoever_keeps_the_table_is_waited_for_briefly(self, database: Database) -> None:
        database.run(TASKS)
        insert(database, ("a", "ada"))
        with database.session() as other:
            other.run("BEGIN", "UPDATE tasks SET n = 1")
            began = time.monotonic()
            with pytest.raises(OperationalError):
                database.install()
            assert 0.5 < time.monotonic() - began < 5
            other.run("UPDATE tasks SET n = 2", "COMMIT")
        assert database.install()
        database.run("UPDATE tasks SET n = 3")
        assert database.marks() == [Mark("ada", "a")]
