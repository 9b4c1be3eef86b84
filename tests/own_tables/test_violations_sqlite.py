"""What only SQLite refuses, or tells in ways of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mobync_sql.violations import Violation, violation
from sqlalchemy import Engine, create_engine, event

from tests.own_tables.refusals import error_of, reflected, run, told


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'app.db'}")

    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 5000)

    event.listen(engine, "connect", prepare)
    yield engine
    engine.dispose()


def test_a_strict_table(engine: Engine) -> None:
    run(engine, "CREATE TABLE strict (id int PRIMARY KEY, n int, t text) STRICT")
    table = reflected(engine, "strict")
    found = told(engine, table, "INSERT INTO strict VALUES (1, 'secret', 'x')")
    assert found == Violation("'n' has the wrong form", ("n",))
    found = told(engine, table, "INSERT INTO strict VALUES (1, 1, x'00')")
    assert found == Violation("'t' has the wrong form", ("t",))


def test_a_rowid(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE by_rowid (id INTEGER PRIMARY KEY, n int)",
        "INSERT INTO by_rowid VALUES (1, 1)",
        "CREATE TABLE without (id text PRIMARY KEY) WITHOUT ROWID",
        "INSERT INTO without VALUES ('secret')",
    )
    table = reflected(engine, "by_rowid")
    assert told(engine, table, "INSERT INTO by_rowid VALUES ('x', 1)") == Violation("'id' has the wrong form", ("id",))
    assert told(engine, table, "INSERT INTO by_rowid VALUES (1, 1)") == Violation(
        "another record has the same 'id'", ("id",)
    )
    found = told(engine, reflected(engine, "without"), "INSERT INTO without VALUES ('secret')")
    assert found == Violation("another record has the same 'id'", ("id",))


def test_what_is_greater_than_the_limit(engine: Engine) -> None:
    run(engine, "CREATE TABLE large (id int PRIMARY KEY, t text)")
    found = told(engine, reflected(engine, "large"), "INSERT INTO large VALUES (1, :t)", {"t": "x" * 6000})
    assert found == Violation("a value is too long")


def test_text_that_is_none(engine: Engine) -> None:
    run(engine, "CREATE TABLE texts (id int PRIMARY KEY, t text)")
    found = told(engine, reflected(engine, "texts"), "INSERT INTO texts VALUES (1, :t)", {"t": "\ud800"})
    assert found == Violation("a value has the wrong form")


def test_a_foreign_key_that_is_checked_at_the_end(engine: Engine) -> None:
    run(engine, "CREATE TABLE late (id int PRIMARY KEY, up int REFERENCES late DEFERRABLE INITIALLY DEFERRED)")
    table = reflected(engine, "late")
    found = told(engine, table, "INSERT INTO late VALUES (1, 2)", commit=True)
    assert (set(found.columns), found.reason.startswith("'up' refers to a record that is not there")) == (
        {"up", "id"},
        True,
    )


def test_names_are_of_any_case_and_form(engine: Engine) -> None:
    run(
        engine,
        'CREATE TABLE "Odd.Table" ("a, b" int NOT NULL, "C" int, [d e] int CHECK ([d e] > 0), UNIQUE ("C", "a, b"))',
        'INSERT INTO "Odd.Table" VALUES (1, 1, 1)',
    )
    table = reflected(engine, "Odd.Table")
    insert = 'INSERT INTO "odd.TABLE" ("A, B", c, "D E") VALUES'
    assert told(engine, table, f"{insert} (NULL, 1, 1)") == Violation("'a, b' must have a value", ("a, b",))
    assert told(engine, table, f"{insert} (1, 1, 1)") == Violation(
        "another record has the same 'C' and 'a, b'", ("C", "a, b")
    )
    assert told(engine, table, f"{insert} (2, 1, 0)") == Violation("'d e' must not have this value", ("d e",))


def test_a_check_names_no_text_and_no_function(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE checked (id int PRIMARY KEY, length int, title text, open text, "
        "CHECK (title <> 'open' AND length(title) < 50))",
    )
    table = reflected(engine, "checked")
    found = told(engine, table, "INSERT INTO checked (id, title) VALUES (1, 'open')")
    assert found == Violation("'title' must not have this value", ("title",))


TRIGGER = """
CREATE TRIGGER judge BEFORE INSERT ON guarded BEGIN
    SELECT CASE NEW.name
        WHEN 'abort' THEN RAISE(ABORT, 'no bread on
            Sundays')
        WHEN 'fail' THEN RAISE(FAIL, 'no bread')
        WHEN 'rollback' THEN RAISE(ROLLBACK, 'no bread')
    END;
    INSERT INTO log SELECT NULL, 1 WHERE NEW.name = 'null';
    INSERT INTO log SELECT 'x', 1 WHERE NEW.name = 'unique';
    INSERT INTO log SELECT 'x', 77 WHERE NEW.name = 'parent';
END
"""

SAID = {
    "abort": Violation("no bread on Sundays"),
    "fail": Violation("no bread"),
    "rollback": Violation("no bread"),
    "null": Violation("the database's rules do not allow it"),
    "unique": Violation("the database's rules do not allow it"),
    "parent": Violation("another record still refers to it", ("id",)),  # no more can be known of it
}


def test_the_application_s_triggers_have_their_say(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE guarded (id int PRIMARY KEY, name text NOT NULL)",
        "INSERT INTO guarded VALUES (1, 'x')",
        "CREATE TABLE log (name text NOT NULL, id int UNIQUE REFERENCES guarded)",
        "INSERT INTO log VALUES ('x', 1)",
        TRIGGER,
    )
    table = reflected(engine, "guarded")
    reflected_log = reflected(engine, "log", metadata=table.metadata)
    assert reflected_log.foreign_keys
    for name, expected in SAID.items():
        error = error_of(engine, f"INSERT INTO guarded VALUES (2, '{name}')")
        assert violation(error, table) == expected, (name, error)
