"""What only MariaDB refuses, or tells in ways of its own: with odd names, by numbers, by triggers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mobync_sql.violations import Violation, violation
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    make_url,
)

from tests.own_tables.refusals import error_of, reflected, run, told
from tests.storage.engines import DRIVERS


@pytest.fixture
def engine(mariadb_url: str) -> Iterator[Engine]:
    url = make_url(mariadb_url)
    engine = create_engine(url.set(drivername=DRIVERS[url.drivername]))
    yield engine
    engine.dispose()


def test_values_of_the_wrong_form(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE forms (id int PRIMARY KEY, state enum('open', 'done'), u uuid, j json, day datetime, ratio int, "
        "share int AS (100 / ratio) PERSISTENT, flag bool, size float, bytes varbinary(3))",
    )
    table = reflected(engine, "forms")
    refused = {
        "state": ("'secret'", "'state' has the wrong form"),
        "u": ("'secret'", "'u' has the wrong form"),
        "j": ("'{secret'", "'j' must not have this value"),
        "day": ("'2026-13-45'", "'day' has the wrong form"),
        "ratio": ("'secret `forms`.`id`'", "'ratio' has the wrong form"),
        "flag": ("300", "'flag' is out of range"),
        "size": ("1e300", "'size' is out of range"),
        "bytes": ("'secret'", "'bytes' is too long"),
    }
    for column, (value, reason) in refused.items():
        statement = f"INSERT INTO forms (id, {column}) VALUES (1, {value})"
        assert told(engine, table, statement) == Violation(reason, (column,)), column
    found = told(engine, table, "INSERT INTO forms (id, ratio) VALUES (1, 0)")
    assert found == Violation("the database's rules do not allow it")


ODD = ["we`ird", "it's", "q''uote", "comma, `b`", 'wei"rd']


# SQLAlchemy cannot reflect a foreign key with such quotes as MariaDB's.
@pytest.mark.parametrize(
    ("name", "is_reflected"), [(name, seen) for name in ODD for seen in (False, True) if not (seen and "`" in name)]
)
def test_odd_names(engine: Engine, name: str, is_reflected: bool) -> None:
    declared = Table(
        f"table {name}",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column(f"must {name}", Integer, nullable=False),
        Column(f"once {name}", Integer),
        UniqueConstraint(f"once {name}", name=f"key {name}"),
        Column(f"short {name}", String(3)),
        Column(f"whole {name}", Integer),
        Column(f"up {name}", Integer, ForeignKey(f"table {name}.id")),
    )
    declared.metadata.create_all(engine)
    table = reflected(engine, declared.name) if is_reflected else declared
    row = {"id": 1, f"must {name}": 1, f"once {name}": 1}
    with engine.begin() as connection:
        connection.execute(declared.insert(), row)
    refused = {
        "must": (None, f"'must {name}' must have a value"),
        "once": (1, f"another record has the same 'once {name}'"),
        "short": ("secret", f"'short {name}' is too long"),
        "whole": ("secret", f"'whole {name}' has the wrong form"),
        "up": (7, f"'up {name}' refers to a record that is not there"),
    }
    for prefix, (value, reason) in refused.items():
        column = f"{prefix} {name}"
        changed = {"id": 2, f"must {name}": 1, f"once {name}": None, column: value}
        assert told(engine, table, declared.insert(), changed) == Violation(reason, (column,))


def test_keys_and_checks_that_the_database_named(engine: Engine) -> None:
    table = Table(
        "nameless",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("a", Integer, unique=True),
        Column("b", Integer),
        Column("c", Integer),
        UniqueConstraint("b", "c"),
        CheckConstraint("a <> b"),
    )
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert().values(id=1, a=1, b=2, c=3))
    found = told(engine, table, table.insert(), {"id": 2, "a": 1})
    assert found == Violation("another record has the same 'a'", ("a",))
    found = told(engine, table, table.insert(), {"id": 2, "b": 2, "c": 3})
    assert found == Violation("another record has the same 'b' and 'c'", ("b", "c"))
    found = told(engine, table, table.insert(), {"id": 2, "a": 2, "b": 2})
    assert found == Violation("'a' and 'b' must not have these values together", ("a", "b"))


def test_of_several_checks_that_the_database_numbered_any_may_be_meant(engine: Engine) -> None:
    table = Table(
        "numbered",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("a", Integer),
        Column("b", Integer),
        CheckConstraint("a > 0"),
        CheckConstraint("b > 0"),
    )
    table.metadata.create_all(engine)
    found = told(engine, table, table.insert(), {"id": 2, "a": 1, "b": 0})
    assert (found.reason, set(found.columns)) == ("a value is not allowed", {"a", "b"})
    found = told(engine, reflected(engine, "numbered"), table.insert(), {"id": 2, "a": 1, "b": 0})
    assert found == Violation("'b' must not have this value", ("b",))


TRIGGER = """
CREATE TRIGGER judge BEFORE INSERT ON guarded FOR EACH ROW BEGIN
    DECLARE found int;
    CASE NEW.name
        WHEN 'said' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no bread on\n  Sundays';
        WHEN 'number' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no bread', MYSQL_ERRNO = 31000;
        WHEN 'great' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no bread', MYSQL_ERRNO = 60000;
        WHEN 'state' THEN SIGNAL SQLSTATE 'HY000' SET MESSAGE_TEXT = 'no bread';
        WHEN 'key' THEN SIGNAL SQLSTATE '23000' SET MESSAGE_TEXT = 'no bread', MYSQL_ERRNO = 1062;
        WHEN 'again' THEN SIGNAL SQLSTATE '40001' SET MESSAGE_TEXT = 'come again', MYSQL_ERRNO = 1213;
        WHEN 'null' THEN INSERT INTO log VALUES (NULL, 1);
        WHEN 'parent' THEN INSERT INTO log VALUES ('x', 77);
        WHEN 'check' THEN INSERT INTO log VALUES ('', 1);
        WHEN 'many' THEN SELECT id INTO found FROM guarded;
        WHEN 'rows' THEN SET found = (SELECT id FROM guarded);
        WHEN 'bug' THEN INSERT INTO nowhere VALUES (1);
        ELSE BEGIN END;
    END CASE;
END
"""

SAID = {
    "said": Violation("no bread on Sundays"),
    "number": Violation("no bread"),
    "great": Violation("no bread"),
    "state": Violation("no bread"),
    "key": Violation("another record has the same values"),
    "again": None,
    "null": Violation("a value is missing"),
    "parent": Violation("it refers to a record that is not there, or another record still refers to it"),
    "check": Violation("the database's rules do not allow it"),
    "many": Violation("the database's rules do not allow it"),
    "rows": Violation("the database's rules do not allow it"),
    "bug": None,
}


def test_the_application_s_triggers_have_their_say(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE guarded (id int PRIMARY KEY, name varchar(20) NOT NULL)",
        "INSERT INTO guarded VALUES (1, 'x'), (2, 'x')",
        "CREATE TABLE log (words varchar(20) NOT NULL CHECK (words <> ''), id int, "
        "FOREIGN KEY (id) REFERENCES guarded (id))",
        TRIGGER,
    )
    table = reflected(engine, "guarded")
    for name, expected in SAID.items():
        error = error_of(engine, f"INSERT INTO guarded VALUES (3, '{name}')")
        assert violation(error, table) == expected, (name, error)


def test_a_user_who_may_not_see_the_other_table(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE child (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES parent (id))",
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO child VALUES (1, 1)",
    )
    database, name = engine.url.database, f"plain_{str(engine.url.database)[-20:]}"
    run(
        engine,
        f"CREATE USER {name} IDENTIFIED BY 'x'",
        f"GRANT SELECT, INSERT ON {database}.child TO {name}",
        f"GRANT SELECT, DELETE ON {database}.parent TO {name}",
    )
    plain = create_engine(engine.url.set(username=name, password="x"))
    try:
        found = told(plain, reflected(engine, "child"), "INSERT INTO child VALUES (2, 2)")
        assert "refers to a record that is not there" in found.reason
        assert found.columns == ("up",)
        found = told(plain, reflected(engine, "parent"), "DELETE FROM parent")
        assert "another record still refers to it" in found.reason
        error = error_of(plain, "DELETE FROM child")  # a right is lacking
        assert violation(error, reflected(engine, "child")) is None
    finally:
        plain.dispose()
        run(engine, f"DROP USER {name}")
