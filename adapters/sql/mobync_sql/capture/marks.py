"""The statements that append marks to the outbox, of rows that are in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    ColumnClause,
    ColumnElement,
    Connection,
    Dialect,
    Insert,
    Select,
    bindparam,
    insert,
    literal,
    select,
    tuple_,
)

from mobync_core.engine import utc_now
from mobync_sql.binding import BoundTable
from mobync_sql.capture.targets import Target, column_of
from mobync_sql.database import OWN
from mobync_sql.outbox import chunks
from mobync_sql.schema import identifier, outbox

AT = "mobync_at"
"""The parameter with the time of the write, in UTC ms, in every statement about marks."""

_KEYS = "mobync_keys"

_of_keys: WeakKeyDictionary[BoundTable, dict[tuple[object, ...], Insert]] = WeakKeyDictionary()


def marks_of(target: Target, new: Mapping[str, ColumnElement[Any]], *, owned: bool = True) -> Select[Any]:
    """Select a mark for each row, as it is or with its `new` owner or id. If `owned`, only for rows with an owner."""
    bound = target.bound
    owner = new.get("owner", target.owner)
    marks: Any = select(
        bound.owner_codec.sql(owner).label("owner"),
        literal(bound.model, identifier()).label("model"),
        bound.id_codec.sql(new.get("id", target.id)).label("id"),
        bindparam(AT, type_=BigInteger()).label("at"),
    ).select_from(target.selectable)
    selected: Select[Any] = marks.where(owner.is_not(None)) if owned else marks
    return selected


def lock(marks: Select[Any], dialect: Dialect, target: Target, keep_key: bool = False) -> Select[Any]:
    """Let a SELECT lock its rows, where others could change them otherwise."""
    if dialect.name == "sqlite":
        return marks
    return marks.with_for_update(of=target.selectable if dialect.name == "postgresql" else None, key_share=keep_key)


def append(marks: Select[Any]) -> Insert:
    """Return the statement that appends these marks."""
    return insert(outbox).from_select(["owner", "model", "id", "at"], marks, include_defaults=False)


def run(connection: Connection, statement: Insert, parameters: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement about marks, as Mobync's own."""
    connection.execute(statement, parameters, execution_options={OWN: True})


def mark_rows(
    connection: Connection,
    bound: BoundTable,
    columns: Sequence[ColumnClause[Any]],
    keys: Sequence[tuple[Any, ...]],
    *,
    locked: bool,
) -> None:
    """Mark the rows that have these values in these columns, and lock them first if `locked`."""
    alone = len(keys) == 1 and len(columns) == 1
    name = connection.dialect.name if locked else "", alone, *(column.name for column in columns)
    statements = _of_keys.setdefault(bound, {})
    if (statement := statements.get(name)) is None:
        found = [column_of(bound, bound.table, column) for column in columns]
        target = Target(bound, bound.table, bound.owner, bound.id)
        marks = marks_of(target, {})
        if alone:  # then the statement need not be made anew for the number of keys
            marks = marks.where(found[0] == bindparam(_KEYS))
        else:
            key = tuple_(*found) if len(found) > 1 else found[0]
            marks = marks.where(key.in_(bindparam(_KEYS, expanding=True)))
        statement = statements[name] = append(lock(marks, connection.dialect, target) if locked else marks)
    at = utc_now()
    values = keys if len(columns) > 1 else [key for (key,) in keys]
    for part in [values] if alone else chunks(values):
        run(connection, statement, [{_KEYS: part[0] if alone else part, AT: at}])
