"""Marks the rows that an UPDATE or DELETE is going to hit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    BooleanClauseList,
    ColumnClause,
    ColumnElement,
    Connection,
    Delete,
    Insert,
    Update,
    bindparam,
    select,
    text,
    tuple_,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.visitors import cloned_traverse

from mobync_core.engine import utc_now
from mobync_sql.binding import BoundTable
from mobync_sql.capture.marks import AT, append, lock, mark_rows, marks_of, run
from mobync_sql.capture.targets import CannotCapture, Target, assignments, column_of, names
from mobync_sql.schema import outbox

Parameters: TypeAlias = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to do about a statement, whatever its parameters are."""

    instead: Update | Delete | None = None
    """The statement to execute in its place, if not itself, of which the plan must know nothing: see `_plans`."""
    before: Sequence[Insert] = ()
    """What to execute before it: about the rows as they are, and about those that they are going to be."""
    used: frozenset[str] = frozenset()
    """Its parameters that `before` needs, too."""
    equal: Mapping[str, str] = field(default_factory=dict)
    """The columns, by name, that must equal a parameter of `before`, and that parameter's name."""


_plans: WeakKeyDictionary[Update | Delete, dict[tuple[BoundTable, str, str, tuple[str, ...]], _Plan]] = (
    WeakKeyDictionary()
)
"""The unit of work executes the same few statements again and again, and to build others of them takes its time.

A plan is kept as long as its statement is.
"""


class Change:
    """One UPDATE or DELETE of a bound table. `name` tells it from others in the same statement."""

    def __init__(
        self, connection: Connection, target: Target, statement: Update | Delete, parameters: Parameters, name: str
    ) -> None:
        self._connection = connection
        self._target = target
        self._bound = target.bound
        self._statement = statement
        self._parameters = parameters
        self._name = name
        self._new: dict[str, Sequence[Any]] = {}
        """The owners and the ids that the rows get, for each of the parameters, if they get others."""
        self._assignments = assignments(statement) if isinstance(statement, Update) else ()
        if isinstance(statement, Update):
            for what, column in (("owner", target.owner), ("id", target.id)):
                if values := self._assigned(column):
                    self._new[what] = values

    def marked(self) -> tuple[Update | Delete, Parameters]:
        """Mark the rows, or return a statement and its parameters that mark them, too."""
        key = self._bound, self._name, self._connection.dialect.name, tuple(self._new)
        plans = _plans.setdefault(self._statement, {})
        if (plan := plans.get(key)) is None:
            in_one = self._connection.dialect.name == "postgresql"
            plan = plans[key] = self._marking() if in_one else self._marks_before()
        at = utc_now()
        added: list[dict[str, Any]] = [{AT: at} for _ in self._parameters]
        for what, values in self._new.items():
            for row, value in zip(added, values, strict=True):
                row[self._name_of_new(what)] = value
        if plan.instead is not None:
            return plan.instead, [{**row, **more} for row, more in zip(self._parameters, added, strict=True)]
        for given, more in zip(self._parameters, added, strict=True):
            more.update((_given(name), given[name]) for name in plan.used & given.keys())
        as_they_are, *as_they_will_be = plan.before
        if self._new and len(added) > 1:
            self._refuse_chains(plan, added)
        if len(added) > 1 and (by_id := plan.equal.get(self._target.id.name)):
            ids = [(row[by_id],) for row in added]  # one statement will do
            mark_rows(self._connection, self._bound, [self._target.id], ids, locked=True)
        else:
            run(self._connection, as_they_are, added)
        for statement in as_they_will_be:
            run(self._connection, statement, added)
        return self._statement, self._parameters

    def _marks_before(self) -> _Plan:
        """Mark the rows before the statement is executed.

        On SQLite the transaction has the only write lock from then on. On MariaDB and MySQL the rows are locked, and
        but for READ COMMITTED the gaps between them, so that no other row comes to be among them.
        """
        used: set[str] = set()
        criteria = [_renamed(criterion, used) for criterion in self._statement._where_criteria]
        selects = [marks_of(self._target, {})]
        if self._new:
            selects.append(marks_of(self._target, self._new_binds()))
        locked = [lock(marks.where(*criteria), self._connection.dialect, self._target) for marks in selects]
        return _Plan(None, [append(marks) for marks in locked], frozenset(used), dict(_equal(criteria)))

    def _marking(self) -> _Plan:
        """Mark the rows by the statement itself.

        PostgreSQL sees other transactions' rows anew with each statement: those marked before need not be those that
        are then hit. So the statement locks them first, marks them, and hits no others.
        """
        target, name = self._target, f"mobync_rows_{self._name}"
        keys = [column_of(self._bound, target.selectable, key) for key in self._bound.table.primary_key] or [target.id]
        marks = marks_of(target, {}, owned=False)
        wanted = f"SELECT owner, model, id, at FROM {name} WHERE owner IS NOT NULL"
        if self._new:
            new = marks_of(target, self._new_binds(), owned=False).selected_columns
            marks = marks.add_columns(new.owner.label("new_owner"), new.id.label("new_id"))
            wanted += f" UNION ALL SELECT new_owner, model, new_id, at FROM {name} WHERE new_owner IS NOT NULL"
        marks = marks.add_columns(*(key.label(f"key_{number}") for number, key in enumerate(keys)))
        marks = marks.where(*self._statement._where_criteria)
        rows = lock(marks, self._connection.dialect, target, isinstance(self._statement, Update)).cte(name)
        # As text, since SQLAlchemy mixes up what it notes of two writes in one statement.
        into_outbox = text(f"INSERT INTO {outbox.name} (owner, model, id, at) {wanted}").columns()
        hit = select(*(rows.c[f"key_{number}"] for number in range(len(keys))))
        statement = self._statement.where((tuple_(*keys) if len(keys) > 1 else keys[0]).in_(hit))
        return _Plan(statement.add_cte(rows, into_outbox.cte(f"mobync_marks_{self._name}")))

    def _refuse_chains(self, plan: _Plan, parameters: Parameters) -> None:
        """Refuse many parameters of which a later one may hit a row only because of what an earlier one made of it.

        What such a row becomes in the end is not known before.
        """
        id = self._target.id.name
        if id in plan.equal:
            ids = {row[plan.equal[id]] for row in parameters}
            if ids.isdisjoint(self._new.get("id", ())):
                return
        elif keys := {key.name for key in self._bound.table.primary_key}:
            changed = {*self._parameters[0], *(getattr(key, "name", key) for key, _ in self._assignments)}
            if keys <= plan.equal.keys() and not keys & changed:
                return
        raise CannotCapture(self._bound, "it gives many rows other owners or ids, and does not name each by its id")

    def _name_of_new(self, what: str) -> str:
        return f"mobync_{what}_{self._name}"

    def _new_binds(self) -> dict[str, ColumnElement[Any]]:
        types = {"owner": self._bound.owner.type, "id": self._bound.id.type}
        return {what: bindparam(self._name_of_new(what), type_=types[what]) for what in self._new}

    def _assigned(self, column: ColumnClause[Any]) -> Sequence[Any]:
        """Return what the statement sets the column to, for each of its parameters; nothing if it does not set it.

        Raises `CannotCapture` for an SQL expression.
        """
        for key, value in self._assignments:
            if names(key, column):
                if not isinstance(value, BindParameter):
                    raise CannotCapture(self._bound, f"it sets {column.name!r} to what only the database knows")
                return [row.get(value.key, value.effective_value) for row in self._parameters]
        if column.key in self._parameters[0]:
            return [row[column.key] for row in self._parameters]
        if getattr(column, "onupdate", None) is not None:
            raise CannotCapture(self._bound, f"its {column.name!r} changes with every update")
        return ()


def _equal(criteria: Sequence[ColumnElement[Any]]) -> Iterator[tuple[str, str]]:
    """Find the columns that must equal a parameter if all criteria hold, and the parameter's name."""
    for criterion in criteria:
        if isinstance(criterion, BooleanClauseList) and criterion.operator is operators.and_:
            yield from _equal(criterion.clauses)
        elif isinstance(criterion, BinaryExpression) and criterion.operator is operators.eq:
            column, value = criterion.left, criterion.right
            if isinstance(column, ColumnClause) and isinstance(value, BindParameter) and not value.unique:
                yield column.name, value.key


def _given(name: str) -> str:
    return f"mobync_given_{name}"


def _renamed(criterion: ColumnElement[Any], used: set[str]) -> ColumnElement[Any]:
    """Copy a criterion and give its parameters other names, since they may not be called as the outbox's columns are.

    The names that they had are added to `used`.
    """

    def rename(parameter: BindParameter[Any]) -> None:
        if not parameter.unique:
            used.add(parameter.key)
            parameter.key = _given(parameter.key)

    return cloned_traverse(criterion, {}, {"bindparam": rename})
