"""What a database refuses is told to the device's user, the same on each database and of each kind of table."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from mobync_sql.violations import Violation, violation
from sqlalchemy import Engine, MetaData, Table, delete, insert, update

from tests.own_tables.refusals import FIRST, engine_of, error_of, pairs, parents, things, told


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with engine_of(database_url) as engine:
        yield engine


@pytest.fixture(params=["declared", "reflected"])
def tables(request: pytest.FixtureRequest, engine: Engine) -> dict[str, Table]:
    """The tables, as an application declares them, or as SQLAlchemy finds them in the database."""
    if request.param == "declared":
        return dict(things.metadata.tables)
    found = MetaData()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Skipped unsupported reflection of expression-based index")
        found.reflect(engine)
    return dict(found.tables)


@pytest.fixture
def table(tables: dict[str, Table]) -> Table:
    return tables["Our Things"]


REFUSED: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "no value": ({"name": None}, "'name' must have a value", ("name",)),
    "primary key": ({"id": 4711}, "another record has the same 'id'", ("id",)),
    "unique": ({"email": "secret@mail"}, "another record has the same 'email'", ("email",)),
    "unique, odd": ({"Odd 'Name": "secret ' odd"}, "another record has the same 'Odd 'Name'", ("Odd 'Name",)),
    "unique together": ({"a": 1234, "b": 2345}, "another record has the same 'a' and 'b'", ("a", "b")),
    "unique together, named": ({"c": 3456, "d": 4567}, "another record has the same 'c' and 'd'", ("c", "d")),
    "unique by a computed column": ({"plain": "SECRET plain"}, "another record has the same 'plain'", ("plain",)),
    "check": ({"priority": 90210}, "'priority' must not have this value", ("priority",)),
    "check, named": ({"rank": -90210}, "'rank' must not have this value", ("rank",)),
    "check of two": (
        {"low": 90210, "high": 90209},
        "'low' and 'high' must not have these values together",
        ("low", "high"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_told_with_its_columns(engine: Engine, table: Table, case: str) -> None:
    row, reason, columns = REFUSED[case]
    assert told(engine, table, insert(things), {"id": 2, "name": "x"} | row) == Violation(reason, columns)


@pytest.mark.parametrize("case", [case for case in REFUSED if case != "primary key"])
def test_so_it_is_when_a_row_is_changed(engine: Engine, table: Table, case: str) -> None:
    row, reason, columns = REFUSED[case]
    with engine.begin() as connection:
        connection.execute(insert(things), {"id": 2, "name": "x"})
    change = update(things).where(things.c.id == 2).values(row)
    assert told(engine, table, change) == Violation(reason, columns)


def test_a_column_without_a_default_needs_a_value(engine: Engine, table: Table) -> None:
    found = told(engine, table, 'INSERT INTO "Our Things" (id) VALUES (2)', before=_ansi(engine))
    assert found == Violation("'name' must have a value", ("name",))


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)  # MariaDB has no such keys
def test_keys_of_expressions_and_of_some_rows(engine: Engine, table: Table) -> None:
    row = {"id": 2, "name": "x"}
    found = told(engine, table, insert(things), row | {"tag": "SECRET Tag"})
    if engine.dialect.name == "sqlite" and table is not things:  # of which reflection knows nothing
        assert found == Violation("another record has the same values")
    else:
        assert found == Violation("another record has the same 'tag'", ("tag",))
    # The last diff that sets one of the columns is refused: it may well have been the one that made the row active.
    found = told(engine, table, insert(things), row | {"room": "secret room", "active": 1})
    assert found == Violation("another record has the same 'room'", ("room", "active"))


MISSING_PARENTS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "one": ({"parent_id": "nobody"}, "'parent_id' refers", ("parent_id",)),
    "by a unique column": ({"parent_code": "nobody"}, "'parent_code' refers", ("parent_code",)),
    "itself": ({"self_id": 90210}, "'self_id' refers", ("self_id",)),
    "composite": ({"x": 1, "y": 2}, "'x' and 'y' refers", ("x", "y")),
}


@pytest.mark.parametrize("case", MISSING_PARENTS)
def test_a_parent_that_is_not_there(engine: Engine, table: Table, case: str) -> None:
    row, reason, columns = MISSING_PARENTS[case]
    found = told(engine, table, insert(things), {"id": 2, "name": "x"} | row)
    if engine.dialect.name == "sqlite":  # which does not say by which key, nor on which side
        assert set(found.columns) == {"self_id", "parent_id", "parent_code", "x", "y", "id"}
        assert re.search("refers to a record that is not there, or another record still refers to", found.reason)
    else:
        assert found == Violation(f"{reason} to a record that is not there", columns)


@pytest.mark.parametrize("change", [delete(parents), update(parents).values(id="2"), update(parents).values(code="2")])
def test_a_parent_that_is_referred_to(engine: Engine, tables: dict[str, Table], change: Any) -> None:
    found = told(engine, tables["parents"], change)
    if engine.dialect.name == "sqlite":
        assert found == Violation("another record still refers to it", ("id", "code"))
    else:
        column = "code" if "code" in str(change) else "id"
        assert (found.reason.replace(f" by '{column}'", ""), found.columns) == (
            "another record still refers to it",
            (column,),
        )


def test_a_parent_of_its_own_table_that_is_referred_to(engine: Engine, table: Table) -> None:
    with engine.begin() as connection:
        connection.execute(insert(things), {"id": 2, "name": "x", "self_id": 4711})
    found = told(engine, table, delete(things).where(things.c.id == 4711))
    if engine.dialect.name == "sqlite":
        assert "another record still refers to" in found.reason
    else:
        assert found == Violation("another record still refers to it by 'id'", ("id",))


def test_who_knows_what_was_done_is_told_which_side_of_a_reference_it_is(engine: Engine, table: Table) -> None:
    error = error_of(engine, insert(things), {"id": 2, "name": "x", "self_id": 90210})
    found = violation(error, table, is_delete=False)
    assert found is not None
    assert "self_id" in found.columns
    assert "record still refers" not in found.reason
    with engine.begin() as connection:
        connection.execute(insert(things), {"id": 2, "name": "x", "self_id": 4711})
    found = violation(error_of(engine, delete(things).where(things.c.id == 4711)), table, {}, is_delete=True)
    assert found is not None
    assert found.reason == "another record still refers to it"


def test_columns_are_called_as_devices_call_them(engine: Engine, table: Table) -> None:
    error = error_of(engine, insert(things), {"id": 2, "name": "x", "a": 1234, "b": 2345})
    for names, reason in [
        ({"a": "alpha", "b": "beta"}, "another record has the same 'alpha' and 'beta'"),
        ({"a": "alpha"}, "another record has the same 'alpha'"),
        ({}, "another record has the same values"),
    ]:
        assert violation(error, table, names) == Violation(reason, ("a", "b"))


def test_a_reason_holds_no_value(engine: Engine, table: Table) -> None:
    texts = [str(value).casefold() for value in FIRST.values() if len(str(value)) > 2] + ["90210", "90209", "nobody"]
    for row, _, _ in [*REFUSED.values(), *MISSING_PARENTS.values()]:
        found = told(engine, table, insert(things), {"id": 2, "name": "x"} | row)
        assert not [text for text in texts if text in found.reason.casefold()], found


def test_what_is_too_large_is_told_with_its_column(engine: Engine, table: Table) -> None:
    row = {"id": 2, "name": "x"}
    if engine.dialect.name == "sqlite":  # which holds what others do not
        found = told(engine, table, insert(things), row | {"a": 2**70})
        assert found == Violation("a number is out of range")
        return
    assert told(engine, table, insert(things), row | {"small": 90210}) == Violation(
        "'small' is out of range", ("small",)
    )
    assert told(engine, table, insert(things), row | {"price": 90210}) == Violation(
        "'price' is out of range", ("price",)
    )
    assert told(engine, table, insert(things), row | {"name": "much too long"}) == Violation(
        "'name' is too long", ("name",)
    )
    found = told(engine, table, insert(things), row | {"a": 2**40})
    assert (found.reason, "a" in found.columns) in {("'a' is out of range", True), ("a number is out of range", True)}


def test_a_column_that_the_database_computes_is_not_written(engine: Engine, table: Table) -> None:
    statement = "INSERT INTO \"Our Things\" (id, name, folded) VALUES (2, 'x', 'y')"
    reason = "'folded' is made by the database and cannot be written"
    assert told(engine, table, statement, before=_ansi(engine)) == Violation(reason, ("folded",))
    statement = "UPDATE \"Our Things\" SET folded = 'y'"
    assert told(engine, table, statement, before=_ansi(engine)) == Violation(reason, ("folded",))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO",
        "INSERT INTO nowhere VALUES (1)",
        "INSERT INTO pairs (nothing) VALUES (1)",
        "INSERT INTO pairs VALUES (1, 2, 3)",
        "SELECT x FROM pairs one, pairs other WHERE x = 1",
    ],
)
def test_a_fault_of_the_program_is_none_of_the_row(engine: Engine, statement: str) -> None:
    assert violation(error_of(engine, statement), pairs) is None


def test_an_error_of_no_driver_is_none_of_the_row() -> None:
    assert violation(RuntimeError("UNIQUE constraint failed: pairs.x"), pairs) is None


def _ansi(engine: Engine) -> str:
    return "SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')" if engine.dialect.name == "mariadb" else ""
