"""What triggers do on SQLite alone: most of it is about REPLACE, which removes rows without a word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mobync_core import SchemaError
from tests.own_tables.raw import Database, Mark


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'app.db'}")) as database:
        yield database


_COLUMNS = "user_id TEXT, name TEXT UNIQUE, a INT, b INT, UNIQUE (b, a)"
TABLES = {
    "a text": f"CREATE TABLE tasks (id TEXT PRIMARY KEY, {_COLUMNS})",
    "a number": f"CREATE TABLE tasks (id INTEGER PRIMARY KEY, {_COLUMNS})",
    "no number of the row": f"CREATE TABLE tasks (id TEXT PRIMARY KEY, {_COLUMNS}) WITHOUT ROWID",
}


@pytest.fixture(params=TABLES)
def tasks(request: pytest.FixtureRequest, database: Database) -> Database:
    database.run(TABLES[request.param])
    database.install()
    database.run("INSERT INTO tasks VALUES ('1', 'ada', 'milk', 1, 1), ('2', 'bob', 'bread', 2, 2)")
    database.marks()
    return database


def owners(database: Database) -> set[tuple[str, str]]:
    return {(mark.owner, mark.id) for mark in database.marks()}


class TestReplace:
    @pytest.mark.parametrize("pragma", ["OFF", "ON"])
    def test_the_row_of_the_same_id_is_marked_for_its_owner(self, tasks: Database, pragma: str) -> None:
        tasks.run(f"PRAGMA recursive_triggers = {pragma}", "REPLACE INTO tasks (id, user_id) VALUES ('1', 'eve')")
        assert owners(tasks) == {("ada", "1"), ("eve", "1")}

    def test_so_are_rows_of_other_ids_in_whose_place_it_comes(self, tasks: Database) -> None:
        tasks.run("INSERT OR REPLACE INTO tasks VALUES ('3', 'eve', 'milk', 2, 2)")
        assert owners(tasks) == {("ada", "1"), ("bob", "2"), ("eve", "3")}
        assert tasks.run("SELECT user_id FROM tasks") == [("eve",)]

    def test_an_update_that_replaces(self, tasks: Database) -> None:
        tasks.run("UPDATE OR REPLACE tasks SET name = 'milk' WHERE id = '2'")
        assert owners(tasks) == {("ada", "1"), ("bob", "2")}
        tasks.run("INSERT INTO tasks VALUES ('1', 'ada', 'milk and honey', 1, 1)")
        tasks.marks()
        tasks.run("UPDATE OR REPLACE tasks SET id = '1' WHERE id = '2'")
        assert owners(tasks) == {("ada", "1"), ("bob", "2"), ("bob", "1")}

    def test_an_update_that_replaces_nothing_marks_nothing_more(self, tasks: Database) -> None:
        tasks.run("UPDATE tasks SET name = 'oat milk' WHERE id = '1'")
        assert tasks.marks() == [Mark("ada", "1")]

    def test_an_upsert(self, tasks: Database) -> None:
        tasks.run("INSERT INTO tasks (id, user_id) VALUES ('1', 'eve') ON CONFLICT (id) DO UPDATE SET name = 'oat'")
        assert owners(tasks) == {("ada", "1")}
        tasks.run("INSERT OR IGNORE INTO tasks (id, user_id) VALUES ('1', 'eve')")
        assert owners(tasks) <= {("ada", "1")}

    def test_a_key_that_knows_no_case(self, database: Database) -> None:
        database.run(
            "CREATE TABLE tasks (id TEXT PRIMARY KEY, user_id TEXT, name TEXT)",
            "CREATE UNIQUE INDEX by_name ON tasks (name COLLATE NOCASE) WHERE user_id IS NOT NULL",
        )
        database.install()
        database.run("INSERT INTO tasks VALUES ('1', 'ada', 'milk')")
        database.marks()
        database.run("REPLACE INTO tasks VALUES ('2', 'bob', 'MILK')")
        assert owners(database) == {("ada", "1"), ("bob", "2")}

    def test_a_row_that_others_refer_to(self, database: Database) -> None:
        database.run(
            "CREATE TABLE projects (id TEXT PRIMARY KEY)",
            "CREATE TABLE tasks (id TEXT PRIMARY KEY, user_id TEXT, p TEXT REFERENCES projects ON DELETE CASCADE)",
        )
        database.install()
        database.run("INSERT INTO projects VALUES ('p')", "INSERT INTO tasks VALUES ('1', 'ada', 'p')")
        database.marks()
        database.run("REPLACE INTO projects VALUES ('p')")
        assert owners(database) == {("ada", "1")}
        assert database.run("SELECT * FROM tasks") == []


class TestTables:
    def test_an_id_beside_the_number_of_the_row(self, database: Database) -> None:
        database.run("CREATE TABLE tasks (number INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, user_id TEXT)")
        database.install(id="uuid")
        database.run("INSERT INTO tasks VALUES (1, 'a', 'ada')", "REPLACE INTO tasks VALUES (1, 'b', 'bob')")
        assert owners(database) == {("ada", "a"), ("bob", "b")}

    def test_a_column_that_is_renamed(self, database: Database) -> None:
        database.run("CREATE TABLE tasks (id TEXT PRIMARY KEY, user_id TEXT)")
        database.install()
        database.run("ALTER TABLE tasks RENAME COLUMN user_id TO owner", "INSERT INTO tasks VALUES ('1', 'ada')")
        assert owners(database) == {("ada", "1")}
        assert database.install(owner="owner")
        database.run("UPDATE tasks SET owner = 'bob'")
        assert database.marks() == [Mark("ada", "1"), Mark("bob", "1")]

    def test_a_table_of_another_file_is_refused(self, database: Database, tmp_path: Path) -> None:
        database.run("CREATE TABLE tasks (id TEXT PRIMARY KEY, user_id TEXT)")
        table = database.bound("tasks").table
        table.schema = "other"
        with pytest.raises(SchemaError, match="another file"):
            database.install(table)
