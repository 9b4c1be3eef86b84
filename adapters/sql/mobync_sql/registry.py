"""Which models are bound to which tables: kept in the database, so that every process knows, however it was started."""

from __future__ import annotations

import difflib
import json
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, MetaData, Table, func, inspect, select
from sqlalchemy.exc import NoSuchTableError

from mobync_core.errors import ConflictError, SchemaError
from mobync_sql import schema, triggers
from mobync_sql.bound import BoundTable, described
from mobync_sql.rows import Rows

if TYPE_CHECKING:
    from mobync_sql.database import Database

logger = logging.getLogger("mobync")

_BIND_SECONDS = 60
"""How long to wait, again and again and briefly each time, for a moment in which a table's triggers can be made."""

_PAUSE = 0.5
"""Seconds between two tries: those whom a try made wait go first."""

_table = schema.bindings.c
_STORED = select(_table.model, _table.generation, _table.marked, _table.description)


@dataclass(frozen=True, slots=True)
class Registry:
    """The bound tables as of a `generation`. It is -1 until they were read, 0 if there are none."""

    generation: int
    rows: Rows = field(default_factory=lambda: Rows(()))

    def __bool__(self) -> bool:
        return bool(self.rows.tables)


def read_registry(connection: Connection, known: Collection[BoundTable]) -> Registry:
    """Read what is bound. Of a table that is as in `known`, that is used, since it knows the application's types."""
    by_description = {bound.description(): bound for bound in known}
    stored = connection.execute(_STORED).all()
    tables: list[BoundTable] = []
    broken: dict[str, SchemaError] = {}
    for row in stored:
        try:
            tables.append(by_description.get(row.description) or described(connection, row.description))
        except SchemaError as error:  # it concerns this model alone
            broken[row.model] = error
    return Registry(max((row.generation for row in stored), default=0), Rows(tables, broken))


def bind(database: Database, tables: Sequence[BoundTable]) -> None:
    """Store what is new of these bindings, and install their triggers.

    Raises `SchemaError` if there is no such table, or if a model has records that are no rows of it.
    """
    described_so = select(_table.model, _table.description)
    rows = database.read(lambda connection: connection.execute(described_so).all())
    stored = {row.model: row.description for row in rows}
    for bound in tables:
        # Triggers are looked at each time: a table that is rebuilt, as migrations do on SQLite, has lost them.
        unnoticed = database.read(lambda connection: _checked(database, connection, bound))  # noqa: B023 - called at once
        if unnoticed or stored.get(bound.model) != bound.description():
            _bind_in_time(database, bound, unnoticed=unnoticed)


def _bind_in_time(database: Database, bound: BoundTable, *, unnoticed: bool) -> None:
    deadline = time.monotonic() + _BIND_SECONDS
    while True:
        try:
            if unnoticed:
                # First, and by itself: once the triggers are there, nobody knows what was written before.
                with database.transaction() as connection:
                    connection.execute(schema.bindings.update().where(_table.model == bound.model).values(marked=""))
            with database.transaction() as connection, database.dialect.schema_lock(connection):
                _bind(database, connection, bound)
        except ConflictError:  # a transaction of the application has the table
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)
        else:
            return


def _checked(database: Database, connection: Connection, bound: BoundTable) -> bool:
    """Say whether writes go unnoticed that should not, for the lack of a trigger.

    Warns of those that must, and raises `SchemaError` if the table is none that can be bound.
    """
    table = bound.table
    try:
        there = {column["name"] for column in inspect(connection).get_columns(table.name, schema=table.schema)}
    except NoSuchTableError:
        raise SchemaError(f"there is no table {table.fullname} to bind {bound.model} to: create it first") from None
    if reason := database.dialect.unfit_for_rows(connection, bound.table):
        raise SchemaError(f"{database.name} will not do for {table.fullname}: {reason}")
    known = [bound.owner, bound.id, *(column.column for column in bound.columns.values())]
    if gone := [column.name for column in known if column.name not in there]:
        raise SchemaError(f"the table {table.fullname} has no column {gone[0]}: bind {bound.model} as the table is now")
    for row in connection.execute(_STORED.where(_table.model != bound.model)):
        other = json.loads(row.description)
        if (other["table"], other["schema"]) == (table.name, table.schema):
            raise SchemaError(f"{table.fullname} is the model {row.model} already, it cannot be {bound.model} as well")
    if not bound.triggers and (by := _cascades_into(table)):
        logger.warning(
            "the database itself changes rows of %s when others go (%s): bind %s with triggers=True to notice it",
            *(table.fullname, by, bound.model),
        )
    return bound.triggers and triggers.are_missing(connection, bound)


def _bind(database: Database, connection: Connection, bound: BoundTable) -> None:
    # First, since on MariaDB and MySQL this commits: writes that are marked for nothing do no harm.
    if bound.triggers:
        triggers.install(connection, bound)
    else:
        triggers.remove(connection, bound)
    old = connection.execute(_STORED.where(_table.model == bound.model)).one_or_none()
    if old is not None and old.description == bound.description():
        return
    # Whoever is writing records of this model at this moment does not know of its rows.
    database.dialect.lock_writers(connection)
    generation = (connection.execute(select(func.max(_table.generation))).scalar() or 0) + 1
    values = {"generation": generation, "description": bound.description()}
    if old is None:
        if stray := next(rowless(connection, bound), None):
            raise SchemaError(
                f"{bound.model}/{stray[1]} of owner {stray[0]!r} is a record already, and no row of "
                f"{bound.table.fullname}: bind the table under another model name"
            )
        connection.execute(schema.bindings.insert().values(model=bound.model, marked="", **values))
    else:
        # What devices could not see before is to reach them: all rows are looked at once more.
        connection.execute(schema.bindings.update().where(_table.model == bound.model).values(marked="", **values))


def _cascades_into(table: Table) -> str:
    keys = [
        key
        for key in table.foreign_key_constraints
        if (key.ondelete or "").upper() not in ("", "RESTRICT", "NO ACTION")
    ]
    return ", ".join(f"{key.elements[0].target_fullname} ON DELETE {(key.ondelete or '').upper()}" for key in keys)


def table_named(connection: Connection, name: str) -> Table:
    """Return the table of this name as the database knows it. Raises `SchemaError` if there is none."""
    schema_name, _, table = name.rpartition(".")
    try:
        return Table(table, MetaData(), schema=schema_name or None, autoload_with=connection)
    except NoSuchTableError:
        known = inspect(connection).get_table_names(schema=schema_name or None)
        close = difflib.get_close_matches(table, known, n=1)
        raise SchemaError(f"there is no table {name}{f'; did you mean {close[0]}?' if close else ''}") from None


def rowless(connection: Connection, bound: BoundTable) -> Iterator[tuple[str, str]]:
    """Find the (owner, id) of the live records of a bound model whose owner has no such row."""
    record = schema.records.c
    rows = Rows([bound])
    after: tuple[str, str] = ("", "")
    statement = (
        select(record.owner, record.id)
        .where(record.model == bound.model, record.deleted.is_(False))
        .order_by(record.owner, record.id)
        .limit(1000)
    )
    while True:
        owner, id = after
        page = connection.execute(
            statement.where((record.owner > owner) | ((record.owner == owner) & (record.id > id)))
        ).all()
        if not page:
            return
        by_owner: dict[str, list[str]] = {}
        for found in page:
            by_owner.setdefault(found.owner, []).append(found.id)
        for name, ids in by_owner.items():
            there = rows.read(connection, name, bound.model, ids)
            yield from ((name, missing) for missing in ids if missing not in there)
        after = (page[-1].owner, page[-1].id)
