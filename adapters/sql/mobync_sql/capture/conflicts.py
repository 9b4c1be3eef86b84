"""What an INSERT does to rows that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnClause, Insert, Table
from sqlalchemy.sql.schema import ColumnCollectionConstraint

from mobync_sql.capture.targets import CannotCapture, Target, names

_CHANGING = ("on_conflict_do_update", "on_duplicate_key_update")


class Conflict:
    """The ON CONFLICT or ON DUPLICATE KEY clause of an INSERT into a bound table; false if it has none."""

    def __init__(self, target: Target, statement: Insert) -> None:
        self._target = target
        self._table = statement.table
        self._clause: Any = statement._post_values_clause

    def __bool__(self) -> bool:
        return self._clause is not None

    @property
    def changes(self) -> bool:
        """Whether rows that are there already are changed, and not only left alone."""
        return self._clause is not None and self._clause.__visit_name__ in _CHANGING

    @property
    def is_by_id(self) -> bool:
        """Whether no row but one with the new row's own id is changed."""
        return not self.changes or [column.name for column in self._columns()] == [self._target.id.name]

    def moved_by(self) -> list[ColumnClause[Any]]:
        """Return the columns by which to find the rows that may get another owner, none if there are no such rows.

        Raises `CannotCapture` if they cannot be found, or if a row gets another id.
        """
        if not self.changes:
            return []
        bound = self._target.bound
        assigned = self._assigned()
        ids = [value for key, value in assigned.items() if names(key, self._target.id)]
        same = self.is_by_id and all(getattr(value, "name", None) == self._target.id.name for value in ids)
        if ids and not same:
            raise CannotCapture(bound, f"its ON CONFLICT sets {self._target.id.name!r}, which is the id")
        if not any(names(key, self._target.owner) for key in assigned):
            return []
        if columns := self._columns():
            return columns
        raise CannotCapture(bound, f"it sets {self._target.owner.name!r}, the owner, of rows that nothing tells")

    def _assigned(self) -> Mapping[Any, Any]:
        found = getattr(self._clause, "update_values_to_set", None)
        return dict(self._clause.update if found is None else found)

    def _columns(self) -> list[ColumnClause[Any]]:
        """Return the columns of the key that is in conflict, none if they are not known."""
        elements = getattr(self._clause, "inferred_target_elements", None)
        if name := getattr(self._clause, "constraint_target", None):
            constraints = self._table.constraints if isinstance(self._table, Table) else ()
            named = (found for found in constraints if found.name == name)
            of_columns = (found for found in named if isinstance(found, ColumnCollectionConstraint))
            elements = next((list(found.columns) for found in of_columns), None)
        found = [next((c for c in self._table.c if names(element, c)), None) for element in elements or ()]
        columns = [column for column in found if column is not None]
        return columns if len(columns) == len(found) else []
