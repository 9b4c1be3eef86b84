"""What only PostgreSQL refuses, or tells in ways of its own: late, without details, by triggers."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from mobync_sql.violations import Violation, violation
from sqlalchemy import (
    CheckConstraint,
    Column,
    Engine,
    ForeignKey,
    Index,
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
def engine(postgresql_url: str) -> Iterator[Engine]:
    url = make_url(postgresql_url)
    engine = create_engine(url.set(drivername=DRIVERS[url.drivername]))
    yield engine
    engine.dispose()


@pytest.fixture
def role(engine: Engine) -> Iterator[str]:
    """A user who is no superuser, for whom row security is on."""
    name = f"plain_{uuid.uuid4().hex}"
    run(engine, f"CREATE ROLE {name}")
    yield name
    run(engine, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_what_is_checked_at_the_end_of_a_transaction(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE late (id int PRIMARY KEY, n text, CONSTRAINT late_n UNIQUE (n) DEFERRABLE INITIALLY DEFERRED, "
        "parent int REFERENCES late DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO late VALUES (1, 'secret')",
    )
    table = reflected(engine, "late")
    refused: dict[str, Violation] = {
        "INSERT INTO late VALUES (2, 'secret')": Violation("another record has the same 'n'", ("n",)),
        "INSERT INTO late VALUES (2, 'x', 3)": Violation("'parent' refers to a record that is not there", ("parent",)),
    }
    for statement, expected in refused.items():
        assert told(engine, table, statement, commit=True) == expected
        assert told(engine, table, "SET CONSTRAINTS ALL IMMEDIATE", before=statement) == expected


def test_an_exclusion(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE stays (id int PRIMARY KEY, during int4range, kept bool, "
        "EXCLUDE USING gist (during WITH &&) WHERE (kept))",
        "INSERT INTO stays VALUES (1, '[1,50)', true)",
    )
    found = told(engine, reflected(engine, "stays"), "INSERT INTO stays VALUES (2, '[49,60)', true)")
    assert (found.reason, found.columns[:1]) == ("another record is in conflict with 'during'", ("during",))


def test_a_domain(engine: Engine) -> None:
    run(
        engine,
        "CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0)",
        "CREATE DOMAIN given AS int NOT NULL",
        "CREATE TABLE numbers (id int PRIMARY KEY, n even, m given)",
    )
    table = reflected(engine, "numbers")
    assert told(engine, table, "INSERT INTO numbers VALUES (1, 3, 1)") == Violation(
        "'n' must not have this value", ("n",)
    )
    assert told(engine, table, "INSERT INTO numbers VALUES (1, 2, NULL)") == Violation("'m' must have a value", ("m",))


def test_values_of_the_wrong_form_are_told_by_their_type(engine: Engine) -> None:
    run(
        engine,
        "CREATE TYPE state AS ENUM ('open', 'done')",
        "CREATE TABLE forms (id int PRIMARY KEY, state state, u uuid, j jsonb, day date, ratio int, "
        "share int GENERATED ALWAYS AS (100 / ratio) STORED, big text UNIQUE, number int GENERATED ALWAYS AS IDENTITY)",
    )
    table = reflected(engine, "forms")
    long = "".join(uuid.uuid4().hex for _ in range(1000))
    refused: list[tuple[str, Any, str, tuple[str, ...]]] = [
        ("state", "secret", "'state' has the wrong form", ("state",)),
        ("u", "secret", "'u' has the wrong form", ("u",)),
        ("j", '{"secret": "\\u0000"}', "'j' has the wrong form", ("j",)),
        ("day", "2026-13-45", "'day' is out of range", ("day",)),
        ("day", "secret", "'day' has the wrong form", ("day",)),
        ("ratio", 0, "the database's rules do not allow it", ()),
        ("big", long, "a value is too long", ()),
        ("big", "nul \0", "a value has the wrong form", ()),
        ("number", 7, "'number' is made by the database and cannot be written", ("number",)),
    ]
    for column, value, reason, columns in refused:
        statement = f"INSERT INTO forms (id, {column}) VALUES (1, :value)"
        assert told(engine, table, statement, {"value": value}) == Violation(reason, columns), (column, value)
    found = told(engine, table, "UPDATE forms SET number = 3", before="INSERT INTO forms (id) VALUES (1)")
    assert found == Violation("'number' is made by the database and cannot be written", ("number",))


def test_a_partition_is_the_table(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE other (id int PRIMARY KEY)",
        "CREATE TABLE parted (id int, k int NOT NULL, n text NOT NULL CHECK (n <> 'secret'), "
        "other_id int REFERENCES other, PRIMARY KEY (id, k)) PARTITION BY RANGE (k)",
        "CREATE TABLE parted_one PARTITION OF parted FOR VALUES FROM (0) TO (10)",
        "INSERT INTO parted VALUES (1, 1, 'x')",
    )
    table = reflected(engine, "parted")
    refused = {
        "(2, 1, NULL)": Violation("'n' must have a value", ("n",)),
        "(2, 1, 'secret')": Violation("'n' must not have this value", ("n",)),
        "(2, 1, 'x', 3)": Violation("'other_id' refers to a record that is not there", ("other_id",)),
        "(1, 1, 'x')": Violation("another record has the same 'id' and 'k'", ("id", "k")),
        "(1, 4711, 'x')": Violation("a value is not allowed"),
    }
    for values, expected in refused.items():
        assert told(engine, table, f"INSERT INTO parted VALUES {values}") == expected


def test_a_parent_by_other_rules(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE parent (id int PRIMARY KEY, up int REFERENCES parent)",
        "CREATE TABLE child (id int PRIMARY KEY, up int REFERENCES parent ON DELETE CASCADE)",
        "CREATE TABLE grandchild (id int PRIMARY KEY, up int REFERENCES child)",
        "CREATE TABLE strict (up int REFERENCES parent ON DELETE RESTRICT)",
        "CREATE TABLE orphan (id int PRIMARY KEY, up int NOT NULL REFERENCES parent ON DELETE SET NULL)",
        "INSERT INTO parent VALUES (1), (2), (3)",
        "INSERT INTO child VALUES (1, 1)",
        "INSERT INTO grandchild VALUES (1, 1)",
        "INSERT INTO strict VALUES (2)",
        "INSERT INTO orphan VALUES (1, 3)",
    )
    table = reflected(engine, "parent")
    found = told(engine, table, "DELETE FROM parent WHERE id = 2")
    assert found == Violation("another record still refers to it by 'id'", ("id",))
    found = told(engine, table, "DELETE FROM parent WHERE id = 1")  # which the database carries on to the child
    assert found == Violation("another record still refers to it")
    found = told(engine, table, "DELETE FROM parent WHERE id = 3")
    assert found == Violation("the database's rules do not allow it")


TRIGGER = """
CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE found int;
BEGIN
    CASE NEW.name
        WHEN 'said' THEN RAISE EXCEPTION E'no % on\\n  Sundays', 'bread';
        WHEN 'column' THEN RAISE EXCEPTION 'no bread' USING COLUMN = 'name', ERRCODE = 'check_violation';
        WHEN 'own' THEN RAISE EXCEPTION 'no bread' USING ERRCODE = 'MY001';
        WHEN 'long' THEN RAISE EXCEPTION '%', repeat('long ', 1000);
        WHEN 'again' THEN RAISE EXCEPTION 'come again' USING ERRCODE = 'serialization_failure';
        WHEN 'null' THEN INSERT INTO log VALUES (NULL, 1, 'x');
        WHEN 'unique' THEN INSERT INTO log VALUES ('x', 1, 'x'), ('x', 1, 'x');
        WHEN 'parent' THEN INSERT INTO log VALUES ('x', 2, 'x');
        WHEN 'nothing' THEN SELECT id INTO STRICT found FROM guarded WHERE id = -1;
        WHEN 'bug' THEN PERFORM * FROM nowhere;
        ELSE NULL;
    END CASE;
    RETURN NEW;
END $$
"""

SAID = {
    "said": Violation("no bread on Sundays"),
    "column": Violation("no bread", ("name",)),
    "own": Violation("no bread"),
    "again": None,
    # The log has columns of the same names as the table, which are not at fault.
    "null": Violation("the database's rules do not allow it"),
    "unique": Violation("the database's rules do not allow it"),
    "parent": Violation("it refers to a record that is not there, or another record still refers to it"),
    "nothing": Violation("the database's rules do not allow it"),
    "bug": None,
}


def test_the_application_s_triggers_have_their_say(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE guarded (id int PRIMARY KEY, name text NOT NULL UNIQUE)",
        "INSERT INTO guarded VALUES (1, 'x')",
        "CREATE TABLE log (name text NOT NULL, id int REFERENCES guarded, note text UNIQUE)",
        TRIGGER,
        "CREATE TRIGGER judge BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION judge()",
    )
    table = reflected(engine, "guarded")
    for name, expected in SAID.items():
        error = error_of(engine, f"INSERT INTO guarded VALUES (2, '{name}')")
        assert violation(error, table) == expected, name
    assert len(told(engine, table, "INSERT INTO guarded VALUES (2, 'long')").reason) == 300


def test_row_security(engine: Engine, role: str) -> None:
    run(
        engine,
        "CREATE TABLE secured (id int PRIMARY KEY, owner text, name text, up int REFERENCES secured, "
        "UNIQUE (owner, name))",
        "INSERT INTO secured VALUES (1, 'me', 'secret')",
        "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY own ON secured USING (true) WITH CHECK (owner = 'me')",
        f"GRANT SELECT, INSERT ON secured TO {role}",
    )
    declared = Table(
        "secured",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("owner", String),
        Column("name", String),
        Column("up", Integer, ForeignKey("secured.id")),
        UniqueConstraint("owner", "name"),
    )
    for table in (declared, reflected(engine, "secured")):
        insert, as_role = "INSERT INTO secured VALUES", f"SET ROLE {role}"
        found = told(engine, table, f"{insert} (2, 'you', 'x')", before=as_role)
        assert found == Violation("the database's rules do not allow it")
        # No details are told, but the constraint is.
        found = told(engine, table, f"{insert} (2, 'me', 'secret')", before=as_role)
        assert found == Violation("another record has the same 'owner' and 'name'", ("owner", "name"))
        found = told(engine, table, f"{insert} (1, 'me', 'x')", before=as_role)
        assert found == Violation("another record has the same 'id'", ("id",))
        found = told(engine, table, f"{insert} (2, 'me', 'x', 3)", before=as_role)
        assert (found.columns, "that is not there" in found.reason) == (("up",), True)
        assert violation(error_of(engine, "DELETE FROM secured", before=as_role), table) is None  # a right is lacking


def test_the_check_of_a_view(engine: Engine) -> None:
    run(
        engine,
        "CREATE TABLE base (id int PRIMARY KEY, n int UNIQUE)",
        "INSERT INTO base VALUES (1, 1)",
        "CREATE VIEW seen AS SELECT * FROM base WHERE n > 0 WITH CHECK OPTION",
    )
    view = reflected(engine, "seen")
    assert told(engine, view, "INSERT INTO seen VALUES (2, -1)") == Violation("the database's rules do not allow it")
    assert told(engine, view, "INSERT INTO seen VALUES (2, 1)") == Violation("another record has the same 'n'", ("n",))


def test_a_table_of_another_schema_is_another_table(engine: Engine) -> None:
    run(
        engine,
        "CREATE SCHEMA one",
        "CREATE SCHEMA two",
        "CREATE TABLE one.same (id int PRIMARY KEY, n int CHECK (n > 0))",
        "CREATE TABLE two.same (id int PRIMARY KEY, n int CHECK (n > 0))",
        "CREATE FUNCTION copy() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO two.same VALUES (NEW.id, -NEW.n); RETURN NEW; END'",
        "CREATE TRIGGER copy BEFORE INSERT ON one.same FOR EACH ROW EXECUTE FUNCTION copy()",
    )
    table = reflected(engine, "same", "one")
    assert told(engine, table, "INSERT INTO one.same VALUES (1, 1)") == Violation(
        "the database's rules do not allow it"
    )
    found = told(engine, table, "INSERT INTO one.same VALUES (1, -1)")
    assert found == Violation("'n' must not have this value", ("n",))


def test_names_by_a_convention_that_are_cut(engine: Engine) -> None:
    convention = {
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
    table = Table(
        "a_table_with_a_name_that_leaves_no_room_for_more",
        MetaData(naming_convention=convention),
        Column("id", Integer, primary_key=True),
        Column("how_many_there_are", Integer),
        Column("how_heavy_it_is", Integer),
        CheckConstraint("how_many_there_are > 0", name="there_is_one_of_them_at_least"),
        UniqueConstraint("how_many_there_are"),
        Index(None, "how_heavy_it_is", unique=True),
    )
    table.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(table.insert().values(id=1, how_many_there_are=1, how_heavy_it_is=1))
    for column, value, reason in [
        ("how_many_there_are", 1, "another record has the same 'how_many_there_are'"),
        ("how_many_there_are", 0, "'how_many_there_are' must not have this value"),
        ("how_heavy_it_is", 1, "another record has the same 'how_heavy_it_is'"),
    ]:
        assert told(engine, table, table.insert(), {"id": 2, column: value}) == Violation(reason, (column,))
