"""Marks the rows that an INSERT makes, and those that its ON CONFLICT clause changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import BindParameter, ClauseElement, ColumnClause, ColumnElement, Connection, Insert, Row, Table
from sqlalchemy.engine import CursorResult, ExecutionContext

from mobync_sql.capture.conflicts import Conflict
from mobync_sql.capture.marks import mark_rows
from mobync_sql.capture.targets import CannotCapture, Target, names

_ADDED = "mobync_returning"
"""The execution option of a statement that returns ids only because Mobync wants to know them."""

_added_rows: WeakKeyDictionary[ExecutionContext, Sequence[Row[Any]]] = WeakKeyDictionary()
"""What such a statement returned, as several models may want to know it."""


class _Known(Enum):
    """What tells which rows an INSERT made."""

    GIVEN = auto()
    """The ids are among the parameters, or are defaults that SQLAlchemy computes."""
    GENERATED = auto()
    """The primary keys are what SQLAlchemy asks the database for anyway."""
    RETURNED = auto()
    """The statement has a RETURNING with the ids."""
    NOT = auto()
    """Nothing, as long as it has no RETURNING."""


class Insertion:
    """One INSERT into a bound table."""

    def __init__(
        self, connection: Connection, target: Target, statement: Insert, parameters: Sequence[Mapping[str, Any]]
    ) -> None:
        self._connection = connection
        self._target = target
        self._bound = target.bound
        self._statement = statement
        self._parameters = parameters
        self._conflict = Conflict(target, statement)

    def prepare(self) -> Insert:
        """Return the statement to execute instead. Raises `CannotCapture` if its rows could not be known."""
        if any("REPLACE" in str(prefix).upper() for prefix, _ in self._statement._prefixes):
            raise CannotCapture(self._bound, "it may replace rows that nothing tells")
        if columns := self._conflict.moved_by():
            # Rows that another owner has until now, who is to know that they are gone.
            values = [self._plain(column) for column in columns]
            mark_rows(self._connection, self._bound, columns, list(zip(*values, strict=True)), locked=True)
        if self._known is not _Known.NOT:
            return self._statement
        dialect = self._connection.dialect
        able = dialect.insert_executemany_returning if len(self._parameters) > 1 else dialect.insert_returning
        used = self._statement._return_defaults or (self._statement._returning and not self._is_added)
        if used or not able:
            raise CannotCapture(self._bound, f"neither its values nor its RETURNING tell {self._bound.id.name!r}")
        return self._statement.returning(self._target.id).execution_options(**{_ADDED: True})

    def mark(self, result: CursorResult[Any]) -> None:
        """Mark the rows as they are now. What `result` has for the application is still there afterwards."""
        columns, keys = self._keys(result)
        if any(None in key for key in keys):
            if not (self._conflict or self._statement._prefixes):  # which may be OR IGNORE
                raise CannotCapture(self._bound, "the database does not tell which rows it made")
            keys = [key for key in keys if None not in key]
        mark_rows(self._connection, self._bound, columns, keys, locked=False)

    def _keys(self, result: CursorResult[Any]) -> tuple[Sequence[ColumnClause[Any]], Sequence[tuple[Any, ...]]]:
        """Return the columns that tell the rows, and their values."""
        id = self._target.id
        if self._known is _Known.GENERATED:
            return self._primary_key, [tuple(row) for row in result.inserted_primary_key_rows if row is not None]
        if self._known is _Known.GIVEN and (name := self._given(id)):
            return [id], [(row[name],) for row in result.context.compiled_parameters]
        returned: Any = self._returned
        if not self._is_added:
            rows = result.fetchall()
            result._rewind(rows)
        elif (rows := _added_rows.get(result.context, ())) == ():
            rows = _added_rows[result.context] = result.fetchall()
            result.close()
        return [id], [(row._mapping[returned],) for row in rows]

    @property
    def _is_added(self) -> bool:
        return bool(self._statement.get_execution_options().get(_ADDED))

    @cached_property
    def _known(self) -> _Known:
        statement = self._statement
        one_by_one = not (statement._multi_values or statement._select_names)
        if one_by_one and self._given(self._target.id) and self._conflict.is_by_id:
            return _Known.GIVEN
        if statement._returning:
            return _Known.NOT if self._returned is None else _Known.RETURNED
        if one_by_one and self._is_generated and not self._conflict.changes:
            return _Known.GENERATED
        return _Known.NOT

    @property
    def _returned(self) -> ColumnElement[Any] | None:
        """The id in the statement's own RETURNING, whatever it is called there."""
        # Not by `exported_columns`, of which copies of the statement with more columns would keep what it was.
        for element in self._statement._returning:
            for column in element._select_iterable:
                if isinstance(column, ColumnElement) and column.shares_lineage(self._target.id):
                    return column
        return None

    @property
    def _primary_key(self) -> list[ColumnClause[Any]]:
        return [column for column in self._statement.table.primary_key if isinstance(column, ColumnClause)]

    @property
    def _is_generated(self) -> bool:
        """Whether SQLAlchemy will say what primary keys the rows have."""
        statement, table, dialect = self._statement, self._statement.table, self._connection.dialect
        missing = [column for column in self._primary_key if not self._given(column)]
        if not isinstance(table, Table) or not self._primary_key:
            return False
        if not missing:
            return True
        if len(self._parameters) > 1:
            return bool(statement._return_defaults) and dialect.insert_executemany_returning
        if statement._inline:
            return False
        told = dialect.insert_returning and table.implicit_returning
        return told or all(column is table.autoincrement_column for column in missing)

    def _given(self, column: ColumnClause[Any]) -> str | None:
        """Return by what name the compiled parameters have the value of a column, None if they do not."""
        for key, value in (self._statement._values or {}).items():
            if names(key, column):
                if not isinstance(value, BindParameter) or (value.unique and not value._is_crud):
                    return None
                name = column.key if value._is_crud else value.key
                return name if self._parameters[0].get(name, value.effective_value) is not None else None
        if column.key in self._parameters[0]:
            return column.key if all(row[column.key] is not None for row in self._parameters) else None
        default = getattr(column, "default", None)
        return column.key if default is not None and (default.is_scalar or default.is_callable) else None

    def _plain(self, column: ColumnClause[Any]) -> list[Any]:
        """Return the values of a column, one for each row. Raises `CannotCapture` if they are not plain ones."""
        many: list[Mapping[Any, Any]] = [dict(row) for rows in self._statement._multi_values for row in rows]
        rows = many or [self._statement._values or {}]
        given = [value for row in rows for key, value in row.items() if names(key, column)]
        if not given and not self._statement._select_names:
            given = [row[column.key] for row in self._parameters if column.key in row]
        values = [value.effective_value if isinstance(value, BindParameter) else value for value in given]
        expected = len(many) or len(self._parameters)
        if len(values) != expected or any(isinstance(value, ClauseElement) for value in values):
            raise CannotCapture(self._bound, f"its ON CONFLICT looks at {column.name!r}, whose values are not plain")
        return values
