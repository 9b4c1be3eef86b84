"""What the database itself does to rows, since their foreign keys say so, is marked as well."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.own_tables.raw import REFUSED, Database, Mark

GRAPHS = max(1, int(os.environ.get("MOBYNC_EXAMPLES", "500")) // 50)
"""How many random sets of tables are tried on each database."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as database:
        yield database


class TestActions:
    def test_rows_that_go_with_the_row_they_refer_to(self, database: Database) -> None:
        database.run(
            "CREATE TABLE projects (id INTEGER PRIMARY KEY)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), project INTEGER, "
            "FOREIGN KEY (project) REFERENCES projects (id) ON DELETE CASCADE)",
        )
        database.install()
        database.run(
            "INSERT INTO projects VALUES (1), (2), (3)",
            "INSERT INTO tasks VALUES (1, 'ada', 1), (2, 'bob', 1), (3, NULL, 1), (4, 'ada', 2), (5, 'ada', 3)",
        )
        database.marks()
        database.run("DELETE FROM projects WHERE id < 3")
        assert database.marks() == [Mark("ada", "1"), Mark("ada", "4"), Mark("bob", "2")]
        database.run("BEGIN", "DELETE FROM projects", "ROLLBACK")
        assert database.marks() == []

    def test_over_a_table_that_is_not_bound(self, database: Database) -> None:
        database.run(
            "CREATE TABLE users (id INTEGER PRIMARY KEY)",
            "CREATE TABLE projects (id INTEGER PRIMARY KEY, u INTEGER, v INTEGER, "
            "FOREIGN KEY (u) REFERENCES users (id) ON DELETE CASCADE, "
            "FOREIGN KEY (v) REFERENCES users (id) ON DELETE CASCADE)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), p INTEGER, q INTEGER, "
            "FOREIGN KEY (p) REFERENCES projects (id) ON DELETE CASCADE, "
            "FOREIGN KEY (q) REFERENCES projects (id) ON DELETE SET NULL)",
        )
        database.install()
        database.run(
            "INSERT INTO users VALUES (1), (2)",
            "INSERT INTO projects VALUES (1, 1, 2), (2, 2, 1), (3, 2, 2)",
            "INSERT INTO tasks VALUES (1, 'ada', 1, NULL), (2, 'ada', NULL, 2), (3, 'ada', 3, 3), (4, 'ada', 3, 1)",
        )
        database.marks()
        database.run("DELETE FROM users WHERE id = 1")
        assert set(database.marks()) == {Mark("ada", "1"), Mark("ada", "2"), Mark("ada", "4")}

    def test_a_tree(self, database: Database) -> None:
        database.run(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), parent INTEGER, "
            "FOREIGN KEY (parent) REFERENCES tasks (id) ON DELETE CASCADE)"
        )
        database.install()
        database.run("INSERT INTO tasks VALUES (1, 'ada', NULL), (2, 'ada', NULL)")
        for id in range(3, 12):
            database.run(f"INSERT INTO tasks VALUES ({id}, 'ada', {id - 2})")
        database.marks()
        database.run("DELETE FROM tasks WHERE id = 3")
        assert {int(mark.id) for mark in database.marks()} == {3, 5, 7, 9, 11}
        assert len(database.run("SELECT id FROM tasks")) == 6

    def test_an_owner_that_is_renamed_where_it_is_referred_to(self, database: Database) -> None:
        database.run(
            "CREATE TABLE users (name VARCHAR(30) PRIMARY KEY)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), "
            "FOREIGN KEY (user_id) REFERENCES users (name) ON UPDATE CASCADE ON DELETE SET NULL)",
        )
        database.install()
        database.run("INSERT INTO users VALUES ('ada'), ('bob')", "INSERT INTO tasks VALUES (1, 'ada'), (2, 'bob')")
        database.marks()
        database.run("UPDATE users SET name = 'eve' WHERE name = 'ada'")
        assert set(database.marks()) == {Mark("ada", "1"), Mark("eve", "1")}
        database.run("DELETE FROM users WHERE name = 'eve'")
        assert set(database.marks()) == {Mark("eve", "1")}
        assert database.run("SELECT id, user_id FROM tasks ORDER BY id") == [(1, None), (2, "bob")]

    def test_an_id_that_is_renamed_where_it_is_referred_to(self, database: Database) -> None:
        database.run(
            "CREATE TABLE users (name VARCHAR(30) PRIMARY KEY, age INTEGER)",
            "CREATE TABLE logins (name VARCHAR(30) PRIMARY KEY, "
            "FOREIGN KEY (name) REFERENCES users (name) ON UPDATE CASCADE ON DELETE CASCADE)",
            "CREATE TABLE profiles (name VARCHAR(30) PRIMARY KEY, text VARCHAR(30), "
            "FOREIGN KEY (name) REFERENCES logins (name) ON UPDATE CASCADE ON DELETE CASCADE)",
        )
        database.install("profiles", owner="name")
        database.run(
            "INSERT INTO users VALUES ('ada', 1)",
            "INSERT INTO logins VALUES ('ada')",
            "INSERT INTO profiles VALUES ('ada', '')",
        )
        database.marks()
        database.run("UPDATE users SET age = 2")
        assert database.marks() == []
        database.run("UPDATE users SET name = 'eve'")
        assert set(database.marks()) == {Mark("ada", "ada", "profiles"), Mark("eve", "eve", "profiles")}
        database.run("DELETE FROM users")
        assert set(database.marks()) == {Mark("eve", "eve", "profiles")}

    def test_a_key_of_two_columns(self, database: Database) -> None:
        database.run(
            "CREATE TABLE projects (a VARCHAR(30), b VARCHAR(30), PRIMARY KEY (a, b))",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), a VARCHAR(30), b VARCHAR(30), "
            "FOREIGN KEY (a, b) REFERENCES projects (a, b) ON DELETE CASCADE ON UPDATE CASCADE)",
        )
        database.install()
        database.run(
            "INSERT INTO projects VALUES ('x', 'y'), ('y', 'x')",
            "INSERT INTO tasks VALUES (1, 'ada', 'x', 'y'), (2, 'ada', 'y', 'x'), (3, 'ada', 'x', NULL)",
        )
        database.marks()
        database.run("UPDATE projects SET b = 'z' WHERE a = 'x'")
        assert set(database.marks()) == {Mark("ada", "1")}
        database.run("DELETE FROM projects WHERE b = 'z'")
        assert set(database.marks()) == {Mark("ada", "1")}

    def test_tables_that_refer_to_each_other(self, database: Database) -> None:
        later = database.name != "sqlite"
        reference = "FOREIGN KEY (b) REFERENCES b (id) ON DELETE CASCADE"
        database.run(
            f"CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER{'' if later else ', ' + reference})",
            "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER, FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), a INTEGER, b INTEGER, "
            "FOREIGN KEY (a) REFERENCES a (id) ON DELETE CASCADE, "
            "FOREIGN KEY (b) REFERENCES b (id) ON DELETE SET NULL)",
        )
        if later:
            database.run(f"ALTER TABLE a ADD {reference}")
        database.install()
        database.run("INSERT INTO a VALUES (1, NULL)", "INSERT INTO b VALUES (1, 1)", "INSERT INTO a VALUES (2, 1)")
        database.run("INSERT INTO b VALUES (2, 2)", "INSERT INTO a VALUES (3, NULL)")
        database.run(
            "INSERT INTO tasks VALUES (1, 'ada', 1, NULL), (2, 'ada', 2, NULL), (3, 'ada', 3, 2), (4, 'ada', 3, NULL)"
        )
        database.marks()
        database.run("DELETE FROM a WHERE id = 1")
        assert set(database.marks()) == {Mark("ada", "1"), Mark("ada", "2"), Mark("ada", "3")}

    def test_statements_that_read_what_they_change(self, database: Database) -> None:
        """On MariaDB no trigger may write what the statement that fires it reads."""
        database.run(
            "CREATE TABLE projects (id INTEGER PRIMARY KEY)",
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id VARCHAR(30), project INTEGER, "
            "FOREIGN KEY (project) REFERENCES projects (id) ON DELETE CASCADE)",
        )
        database.install()
        database.run(
            "INSERT INTO projects VALUES (1), (2), (3)",
            "INSERT INTO tasks VALUES (1, 'ada', 1), (2, 'bob', 2), (3, 'ada', 3)",
        )
        database.marks()
        database.run("DELETE FROM projects WHERE id IN (SELECT project FROM tasks WHERE user_id = 'ada' AND id < 3)")
        assert set(database.marks()) == {Mark("ada", "1")}
        database.run("DELETE FROM tasks WHERE project IN (SELECT id FROM projects WHERE id = 2)")
        assert set(database.marks()) == {Mark("bob", "2")}


class TestRandomTables:
    """Four tables that refer to each other anyhow, one of which is bound: whatever changes there must be marked."""

    @pytest.mark.parametrize("seed", range(GRAPHS))
    def test_all_that_changes_is_marked(self, database: Database, seed: int) -> None:
        world = World(database, random.Random(seed))
        done = sum(world.write() for _ in range(60))
        assert done > 10  # else it was no test


TABLES = ("t0", "t1", "t2", "t3")
COLUMNS = ("id", "k", "r", "s", "user_id")


class World:
    def __init__(self, database: Database, chance: random.Random) -> None:
        self._database, self._chance = database, chance
        self._made = 100
        references: dict[str, list[str]] = {table: [] for table in TABLES}
        for table in TABLES:
            for column in chance.sample(COLUMNS, 3):
                references[table].append(self._reference(column))
        defer = "DEFERRABLE INITIALLY DEFERRED" if database.name != "mariadb" and chance.random() < 0.3 else ""
        inside = database.name == "sqlite"
        for table in TABLES:
            keys = "".join(f", {reference} {defer}" for reference in references[table]) if inside else ""
            database.run(
                f"CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY, k INTEGER UNIQUE, r INTEGER, s INTEGER, "
                f"user_id INTEGER{keys})"
            )
        for table in TABLES if not inside else ():
            for reference in references[table]:
                with suppress(*REFUSED):  # such as SET NULL of what cannot be NULL
                    database.run(f"ALTER TABLE {table} ADD {reference} {defer}")
        self._bound = chance.choice(TABLES)
        self._owner = chance.choice(["user_id", "r"])
        assert database.install(self._bound, owner=self._owner, model="bound")

    def _reference(self, column: str) -> str:
        chance = self._chance
        actions = ["CASCADE", "CASCADE", "SET NULL", "NO ACTION"]
        return (
            f"FOREIGN KEY ({column}) REFERENCES {chance.choice(TABLES)} ({chance.choice(['id', 'k'])}) "
            f"ON DELETE {chance.choice(actions)} ON UPDATE {chance.choice(actions)}"
        )

    def write(self) -> bool:
        """Write something somewhere, and compare the bound table's rows before and after. False if it was refused."""
        chance, table = self._chance, self._chance.choice(TABLES)
        ids = [id for (id,) in self._database.run(f"SELECT id FROM {table}")]
        before = self._rows()
        some = ", ".join(map(str, chance.sample(ids, min(len(ids), 2)))) or "0"
        kind = chance.choice(["insert"] * 4 + ["update"] * 2 + ["delete"])
        if kind == "insert":
            values = {column: self._value(column) for column in COLUMNS}
            statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})"
        elif kind == "update":
            column = chance.choice(COLUMNS)
            statement = f"UPDATE {table} SET {column} = {self._value(column)} WHERE id = {some.split(',')[0]}"
        else:
            statement = f"DELETE FROM {table} WHERE id IN ({some})"
        try:
            self._database.run(statement)
        except REFUSED:
            assert self._database.marks() == []
            return False
        after, marked = self._rows(), set(self._database.marks())
        changed = {
            Mark(str(row[self._owner]), str(row["id"]), "bound")
            for rows, others in ((before, after), (after, before))
            for row in rows
            if row not in others and row[self._owner] is not None
        }
        assert changed <= marked, statement
        return True

    def _value(self, column: str) -> str:
        """A value that may be referred to, or may refer to another."""
        chance = self._chance
        if column in ("r", "s", "user_id") and chance.random() < 0.2:
            return "NULL"
        if chance.random() < 0.7:
            table, referred = chance.choice(TABLES), chance.choice(["id", "k"])
            found = self._database.run(f"SELECT {referred} FROM {table} WHERE {referred} IS NOT NULL")
            if found:
                return str(chance.choice(found)[0])
        self._made += 1
        return str(self._made)

    def _rows(self) -> list[dict[str, int | None]]:
        found = self._database.run(f"SELECT {', '.join(COLUMNS)} FROM {self._bound}")
        return [dict(zip(COLUMNS, row, strict=True)) for row in found]
