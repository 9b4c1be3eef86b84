"""The violations that SQLite tells, through Python's own module.

Its messages are in English always. They name no foreign key, and no table where a check failed.
"""

from __future__ import annotations

import re
import sqlite3

from sqlalchemy import CheckConstraint, Index, Table
from sqlalchemy.dialects import sqlite

from mobync_sql.violations.constraints import (
    Columns,
    columns_of,
    condition_of,
    conditions,
    mentioned,
    named,
    own,
    referred_by_any,
    referring,
)
from mobync_sql.violations.faults import Fault, Kind, not_allowed

_DIALECT = sqlite.dialect()

_CONSTRAINT_DATATYPE = 3091
"""Of STRICT tables; the module of Python 3.11 has no name for it."""

_UNIQUE = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}
_GENERATED = re.compile(r'cannot (?:INSERT into|UPDATE) generated column "(.*)"', re.DOTALL)


def fault(error: BaseException, table: Table) -> Fault | None:  # noqa: PLR0911 - one for each code
    """Say what is wrong with a row of `table` by the error of `sqlite3`; None if nothing is."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    message = str(error)
    told = message.partition(": ")[2]
    if code == sqlite3.SQLITE_CONSTRAINT_TRIGGER:
        return Fault(Kind.REFUSED, said=message)
    if code == sqlite3.SQLITE_CONSTRAINT_NOTNULL:
        return _of_columns(Kind.MISSING, table, told)
    if code in _UNIQUE:
        index = re.fullmatch("index '(.*)'", told, re.DOTALL)
        return _of_index(table, index[1]) if index else _of_columns(Kind.TAKEN, table, told)
    if code == sqlite3.SQLITE_CONSTRAINT_CHECK:
        return not_allowed(_of_check(table, told))
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        columns = referring(table)
        return Fault(Kind.REFERENCE if columns else Kind.REFERRED_TO, columns, referred_by_any(table))
    if code == _CONSTRAINT_DATATYPE:
        return _of_columns(Kind.WRONG_FORM, table, message.rpartition(" column ")[2])
    if code == sqlite3.SQLITE_MISMATCH:  # of a column that is another name of the rowid: of the primary key
        return Fault(Kind.WRONG_FORM, columns_of(table, table.primary_key))
    if code == sqlite3.SQLITE_TOOBIG:
        return Fault(Kind.TOO_LONG)
    if code == sqlite3.SQLITE_ERROR and (generated := _GENERATED.fullmatch(message)):  # it has no code
        return Fault(Kind.COMPUTED, own(table, [generated[1]]))
    return Fault(Kind.REFUSED) if code & 0xFF == sqlite3.SQLITE_CONSTRAINT else None


def _of_columns(kind: Kind, table: Table, told: str) -> Fault:
    """The fault of columns that SQLite lists as `table.one, table.other`; of another table, a trigger wrote there."""
    prefix = f"{table.name}."
    if not told.casefold().startswith(prefix.casefold()):
        return Fault(Kind.REFUSED)
    columns = own(table, re.split(f", {re.escape(prefix)}", told[len(prefix) :], flags=re.IGNORECASE))
    return Fault(kind, columns, conditions(table, columns) if kind is Kind.TAKEN else ())


def _of_index(table: Table, name: str) -> Fault:
    index = named(table, name, _DIALECT)
    if not isinstance(index, Index):
        return Fault(Kind.TAKEN)  # reflection leaves out an index of expressions
    return Fault(Kind.TAKEN, columns_of(table, index), condition_of(table, index))


def _of_check(table: Table, told: str) -> Columns:
    """The columns of a check, of which SQLite tells the name or the text; the latter cut after a name in quotes."""
    check = named(table, told, _DIALECT)
    if isinstance(check, CheckConstraint):
        return columns_of(table, check)
    return own(table, [told]) or mentioned(table, told)
