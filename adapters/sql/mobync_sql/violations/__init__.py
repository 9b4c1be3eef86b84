"""Tells which errors of a database are the fault of the row that was written, and how to say so to a device's user.

Errors are recognised by the codes of the database, never by words of a language. There is one module for each
database; none of them imports a driver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Table

from mobync_sql.violations import mariadb, postgresql, sqlite
from mobync_sql.violations.constraints import sources
from mobync_sql.violations.faults import Fault, Kind

__all__ = ["Violation", "violation"]

_READERS: dict[str, Callable[[BaseException, Table], Fault | None]] = {
    "sqlite3": sqlite.fault,
    "psycopg": postgresql.fault,
    "pymysql": mariadb.fault,
}


_OF_OTHER_ROWS = {Kind.TAKEN, Kind.CONFLICTING, Kind.NO_PARENT, Kind.REFERRED_TO, Kind.REFERENCE, Kind.REFUSED}


@dataclass(frozen=True)
class Violation:
    """Why a database does not take a row.

    `reason` is for a device's user. It holds no value of any row, but is in the application's own words where one of
    its triggers refused the row. `columns` are the names of the columns by whose values it may have come about, () if
    nothing is known of them. `may_pass` says that it depends on other rows, so that to write these first may help.
    """

    reason: str
    columns: tuple[str, ...] = ()
    may_pass: bool = field(default=False, compare=False)


def violation(
    error: BaseException, table: Table, names: Mapping[str, str] | None = None, *, is_delete: bool | None = None
) -> Violation | None:
    """Say what is wrong with a row of `table`, written or deleted, if that is what a driver's own error tells.

    `error` is `DBAPIError.orig`, or what a driver raises before it sends anything. The answer is None if the row is not
    to blame: after a deadlock, a timeout, a lost connection, for a lack of rights, and for whatever is not known here.

    `names` tells how the reason is to call a column; it leaves out the columns that are not in it. Without `names` all
    are called as the database calls them. `is_delete` tells apart what SQLite alone does not: whether a reference is
    broken by the row that has it or by the one that it names.
    """
    found = _fault(error, table)
    if found is None:
        return None
    if found.kind is Kind.REFERENCE and is_delete is not None:
        found = Fault(Kind.REFERRED_TO) if is_delete else Fault(Kind.NO_PARENT, found.named, found.others)
    if found.kind is not Kind.COMPUTED:
        found = Fault(found.kind, sources(table, found.named), sources(table, found.others), found.said)
    return Violation(found.reason(names), found.columns, found.kind in _OF_OTHER_ROWS)


def _fault(error: BaseException, table: Table) -> Fault | None:
    if isinstance(error, OverflowError):
        return Fault(Kind.OUT_OF_RANGE)
    if isinstance(error, UnicodeError):
        return Fault(Kind.WRONG_FORM)
    for base in type(error).__mro__:
        driver = base.__module__.partition(".")[0]
        if driver in _READERS:
            return _READERS[driver](error, table)
    return None
