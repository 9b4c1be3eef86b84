"""The violations that PostgreSQL tells, through psycopg 3.

Its messages are in the language that `lc_messages` says, but not the names in them, nor the form of the detail
`Key (columns)=(values) …`, of which the values are left alone. Where row security is on, there is no such detail.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

from sqlalchemy import (
    CheckConstraint,
    Constraint,
    ForeignKeyConstraint,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from mobync_sql.violations.constraints import (
    columns_of,
    condition_of,
    conditions,
    mentioned,
    named,
    own,
    referred,
    referring,
    unnamed,
)
from mobync_sql.violations.faults import Fault, Kind, among, not_allowed
from mobync_sql.violations.postgresql_values import DIALECT, is_in, type_name, value_fault

C = TypeVar("C", bound=Constraint)

_OF_THE_MOMENT = {"08", "25", "40", "53", "55", "57", "58", "XX"}
"""Classes of states that an application's trigger may raise, too, and that are about no row."""

_DATA = {"21", "22", "23", "27", "44", "P0"}
"""Classes of states that tell of what is written: cardinality, data, constraints, a trigger's change of the row that
is being written, check options of views, errors of PL/pgSQL such as a row that it did not find."""

_SUFFIXES = {
    PrimaryKeyConstraint: "pkey",
    UniqueConstraint: "key",
    CheckConstraint: "check",
    ForeignKeyConstraint: "fkey",
}

_RAISE = "exec_stmt_raise"
_SECURITY = "ExecWithCheckOptions"
"""Functions of the server that found the error: PL/pgSQL's RAISE, with any state, and the policies of row security,
whose state is that of a lack of rights."""


def fault(error: BaseException, table: Table) -> Fault | None:  # noqa: PLR0911 - one for each state
    """Say what is wrong with a row of `table` by the error of psycopg; None if nothing is."""
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:
        # Found out by psycopg before it sent anything: a text with NUL.
        return Fault(Kind.WRONG_FORM) if any(base.__name__ == "DataError" for base in type(error).__mro__) else None
    diag: Any = getattr(error, "diag", None)
    if state[:2] in _OF_THE_MOMENT:
        return None
    if diag.source_function == _RAISE:
        return Fault(Kind.REFUSED, own(table, [diag.column_name]), said=diag.message_primary or "")
    if state == "428C9":
        made = [column.name for column in table.c if column.computed is not None or column.identity is not None]
        return among(Kind.COMPUTED, [name for name in made if is_in(name, diag.message_primary)])
    if state[:2] == "23":
        return _constraint(state, diag, table)
    if state[:2] in _DATA or state == "54000":
        return value_fault(state, diag, table)
    if state == "42501" and diag.source_function == _SECURITY:
        return Fault(Kind.REFUSED)
    return None


def _constraint(state: str, diag: Any, table: Table) -> Fault:  # noqa: PLR0911 - one for each state
    if diag.datatype_name:  # a domain, whose column nobody tells
        suspects = [column.name for column in table.c if type_name(column) == diag.datatype_name]
        return among(Kind.MISSING if state == "23502" else Kind.NOT_ALLOWED, suspects)
    if state in {"23001", "23503"}:
        return _reference(state, diag, table)
    # Without a context it is of the very statement, so another table is a partition of this one.
    if not _is_of(diag, table) and diag.context:
        return Fault(Kind.REFUSED)
    if state == "23502":
        return Fault(Kind.MISSING, own(table, [diag.column_name]))
    if state == "23514":
        check = _find(diag, table, CheckConstraint)
        return not_allowed(columns_of(table, check) if check is not None else ())
    if state in {"23505", "23P01"}:
        key = named(table, diag.constraint_name or "", DIALECT)
        key = key or _find(diag, table, UniqueConstraint) or _find(diag, table, PrimaryKeyConstraint)
        columns = mentioned(table, _key(diag)) or (columns_of(table, key) if key is not None else ())
        others = conditions(table, columns) if key is None else condition_of(table, key)
        return Fault(Kind.TAKEN if state == "23505" else Kind.CONFLICTING, columns, others)
    return Fault(Kind.REFUSED)


def _reference(state: str, diag: Any, table: Table) -> Fault:
    """The fault of a foreign key. PostgreSQL names the table that refers, and the columns of the side that was written.

    Its state for a parent that is missing is also that for one that is referred to, and a table may refer to itself.
    """
    if not _is_of(diag, table) and diag.context:  # a trigger wrote to another table, or a delete went on to one
        return Fault(Kind.REFERENCE)
    columns = mentioned(table, _key(diag))
    foreign = _find(diag, table, ForeignKeyConstraint)
    if state == "23001" or (foreign is None and not _is_of(diag, table)):
        # A delete may have gone on to the rows of another table, which are the ones that are referred to.
        return Fault(Kind.REFERRED_TO, columns if is_in(table.name, diag.message_primary) else ())
    if foreign is None:
        return Fault(Kind.NO_PARENT, columns, () if columns else referring(table))
    ours = columns_of(table, foreign)
    if columns:
        return Fault(Kind.NO_PARENT if set(columns) == set(ours) else Kind.REFERRED_TO, columns)
    return Fault(Kind.REFERENCE if referred(table, foreign) else Kind.NO_PARENT, ours)


def _is_of(diag: Any, table: Table) -> bool:
    return diag.table_name == table.name and table.schema in {None, diag.schema_name}


def _key(diag: Any) -> str:
    """The columns or expressions of the key that the detail tells, "" if it tells none."""
    found = re.search(r"\((.*?)\)=\(", diag.message_detail or "", re.DOTALL)
    return found[1] if found else ""


def _find(diag: Any, table: Table, kind: type[C]) -> C | None:
    """Return the constraint that the error names, by its name or by the one that PostgreSQL makes for it."""
    name = diag.constraint_name or ""
    item = named(table, name, DIALECT)
    if isinstance(item, kind):
        return item
    nameless = unnamed(table, kind, DIALECT)
    return next((one for one in nameless if re.fullmatch(re.escape(_made_name(table, one)) + r"\d*", name)), None)


def _made_name(table: Table, constraint: Constraint) -> str:
    """The name that PostgreSQL makes for a constraint without one, before it makes it fit and unlike others."""
    suffix = next(suffix for kind, suffix in _SUFFIXES.items() if isinstance(constraint, kind))
    columns = columns_of(table, constraint)
    if suffix == "pkey" or (suffix == "check" and len(columns) > 1):
        columns = ()
    return "_".join([table.name, *columns, suffix])
