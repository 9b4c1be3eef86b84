"""A table of an application that refuses much, on each database, and what is told of a row that it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mobync_sql.violations import Violation, violation
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Engine,
    Executable,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    event,
    func,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError

from tests.storage.engines import DRIVERS

metadata = MetaData()

parents = Table(
    "parents",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("code", String(20), unique=True),
)

pairs = Table(
    "pairs",
    metadata,
    Column("x", Integer, primary_key=True, autoincrement=False),
    Column("y", Integer, primary_key=True, autoincrement=False),
)

things = Table(
    "Our Things",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(10), nullable=False),
    Column("email", String(40), unique=True),
    Column("Odd 'Name", String(40)),
    Column("tag", String(30)),
    Column("a", Integer),
    Column("b", Integer),
    Column("c", Integer),
    Column("d", Integer),
    Column("priority", Integer, CheckConstraint("priority BETWEEN 1 AND 5")),
    Column("rank", Integer),
    Column("low", Integer),
    Column("high", Integer),
    Column("self_id", Integer, ForeignKey("Our Things.id")),
    Column("parent_id", String(20), ForeignKey("parents.id", name="our_parent")),
    Column("parent_code", String(20), ForeignKey("parents.code")),
    Column("x", Integer),
    Column("y", Integer),
    Column("small", SmallInteger),
    Column("price", Numeric(5, 2)),
    Column("plain", String(30)),
    Column("folded", String(30), Computed("lower(plain)", persisted=True), unique=True),
    Column("room", String(20)),
    Column("active", Integer),
    UniqueConstraint("a", "b"),
    UniqueConstraint("c", "d", name="things_c_d"),
    Index("odd 'index'", "Odd 'Name", unique=True),
    CheckConstraint("rank > 0", name="rank_is_positive"),
    CheckConstraint("low < high", name="low_is_lower"),
    ForeignKeyConstraint(["x", "y"], ["pairs.x", "pairs.y"]),
)

_WITH_SUCH_KEYS: Any = ("postgresql", "sqlite")  # which SQLAlchemy takes, but its types do not tell

Index("by_tag", func.lower(things.c.tag), unique=True).ddl_if(dialect=_WITH_SUCH_KEYS)
Index(
    "one_active_in_a_room",
    things.c.room,
    unique=True,
    postgresql_where=things.c.active == 1,
    sqlite_where=things.c.active == 1,
).ddl_if(dialect=_WITH_SUCH_KEYS)

FIRST: Mapping[str, Any] = {
    "id": 4711,
    "name": "secret",
    "email": "secret@mail",
    "Odd 'Name": "secret ' odd",
    "tag": "secret tag",
    "a": 1234,
    "b": 2345,
    "c": 3456,
    "d": 4567,
    "parent_id": "secret parent",
    "parent_code": "secret code",
    "plain": "Secret Plain",
    "room": "secret room",
    "active": 1,
}
"""The row that is there already."""


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    """An engine whose tables are made, each with a row."""
    parsed = make_url(url)
    engine = create_engine(parsed.set(drivername=DRIVERS.get(parsed.drivername, parsed.drivername)))
    if parsed.drivername == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(parents.insert().values(id="secret parent", code="secret code"))
        connection.execute(pairs.insert().values(x=1, y=1))
        connection.execute(things.insert().values(FIRST))
    try:
        yield engine
    finally:
        engine.dispose()


def error_of(
    engine: Engine, statement: Executable | str, parameters: Any = None, before: str = "", *, commit: bool = False
) -> BaseException:
    """Return the driver's error to a statement, or to the commit after it. Nothing stays of it."""
    with engine.connect() as connection:
        if before:
            connection.exec_driver_sql(before)
        try:
            connection.execute(text(statement) if isinstance(statement, str) else statement, parameters)
            if commit:
                connection.commit()
        except DBAPIError as error:
            return error.orig or error
        except (OverflowError, UnicodeError) as error:
            return error
    raise AssertionError(f"the database takes {statement}")


def told(
    engine: Engine, table: Table, statement: Executable | str, parameters: Any = None, before: str = "", **how: Any
) -> Violation:
    """Return what is told of a statement about a row of `table` that the database refuses."""
    error = error_of(engine, statement, parameters, before, **how)
    found = violation(error, table)
    assert found is not None, repr(error)
    assert not found.reason.count("\n")
    return found


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def reflected(engine: Engine, name: str, schema: str | None = None, metadata: MetaData | None = None) -> Table:
    return Table(name, metadata or MetaData(), autoload_with=engine, schema=schema)
