"""Which bound tables a statement of the application writes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnClause, Connection, Executable, FromClause, Join, TableClause, Update
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import AliasedReturnsRows

from mobync_core.errors import MobyncError
from mobync_sql.binding import BoundTable


class CannotCapture(MobyncError):
    """A write by the application was refused before it was done: the rows that it changes could not be known."""

    def __init__(self, bound: BoundTable, why: str) -> None:
        super().__init__(
            f"this write to {bound.table.fullname} cannot be noticed: {why}; write it in another way, or bind "
            f"{bound.model!r} with triggers=True"
        )


@dataclass(frozen=True, slots=True)
class Target:
    """A bound table as it occurs in a statement, where it may have another name, or be another object."""

    bound: BoundTable
    selectable: FromClause
    owner: ColumnClause[Any]
    id: ColumnClause[Any]


def targets(
    connection: Connection, statement: Executable, options: Mapping[str, Any], tables: Sequence[BoundTable]
) -> list[Target]:
    """Find the tables among `tables` that an INSERT, UPDATE or DELETE writes to."""
    default = connection.dialect.default_schema_name
    found = []
    for selectable, table in _written(statement):
        for bound in tables:
            if table.name != bound.table.name or (table.schema or default) != (bound.table.schema or default):
                continue
            if options.get("schema_translate_map"):
                raise CannotCapture(bound, "a schema_translate_map may put another table in its place")
            if connection._is_autocommit_isolation():
                raise CannotCapture(bound, "in AUTOCOMMIT it has no transaction to be noted in")
            found.append(
                Target(bound, selectable, *(column_of(bound, selectable, of) for of in (bound.owner, bound.id)))
            )
    return found


def _written(statement: Executable) -> Iterator[tuple[FromClause, TableClause]]:
    """Find the tables that a statement writes to, each as it stands there."""
    if not isinstance(statement, UpdateBase):
        return
    seen = set()
    for selectable, table in _tables(statement.table):
        seen.add((table.schema, table.name))
        yield selectable, table
    if isinstance(statement, Update):  # on MariaDB and MySQL it may set columns of several tables
        for key, _ in assignments(statement):
            of = key.table if isinstance(key, ColumnClause) else None
            for selectable, table in _tables(of):
                if (table.schema, table.name) not in seen:
                    seen.add((table.schema, table.name))
                    yield selectable, table


def _tables(selectable: object) -> Iterator[tuple[FromClause, TableClause]]:
    if isinstance(selectable, Join):
        yield from _tables(selectable.left)
        yield from _tables(selectable.right)
        return
    inner = selectable
    while isinstance(inner, AliasedReturnsRows):
        inner = inner.element
    if isinstance(inner, TableClause) and isinstance(selectable, FromClause):
        yield selectable, inner


def column_of(bound: BoundTable, selectable: FromClause, column: ColumnClause[Any]) -> ColumnClause[Any]:
    """Return the column of the same name that `selectable` has. Raises `CannotCapture` if it has none."""
    for found in selectable.c:
        if found.name == column.name and isinstance(found, ColumnClause):
            return found
    raise CannotCapture(bound, f"the statement's own table has no column {column.name!r}")


def names(key: object, column: ColumnClause[Any]) -> bool:
    """Whether a key of a statement's values, which may be a column or its key, stands for `column`."""
    if isinstance(key, ColumnClause):
        return key.name == column.name and getattr(key.table, "name", None) == getattr(column.table, "name", None)
    return key in (column.key, column.name)


def assignments(statement: Update) -> Sequence[tuple[Any, Any]]:
    """Return what a statement itself sets, by columns or by their keys."""
    ordered = getattr(statement, "_ordered_values", None)  # of SQLAlchemy 2.0
    return list(ordered or (statement._values or {}).items())
