"""The violations that MariaDB and MySQL tell, through PyMySQL.

Their messages are in the language that `lc_messages` says, but not the names in them, nor how these are quoted. The
values in them are left alone. A message that names a column does not always name its table: what a trigger did in
another table may then be taken for a column of the same name in this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sqlalchemy import CheckConstraint, Table, UniqueConstraint
from sqlalchemy.dialects import mysql

from mobync_sql.violations.constraints import Columns, columns_of, named, own, referring, unnamed
from mobync_sql.violations.faults import Fault, Kind, not_allowed

_DIALECT = mysql.dialect()

_KINDS = {
    1048: Kind.MISSING,
    1263: Kind.MISSING,
    1364: Kind.MISSING,  # there is no default
    1264: Kind.OUT_OF_RANGE,
    1690: Kind.OUT_OF_RANGE,
    1406: Kind.TOO_LONG,
    1118: Kind.TOO_LONG,  # the row as a whole
    1906: Kind.COMPUTED,
    3105: Kind.COMPUTED,
    1265: Kind.WRONG_FORM,  # also where a part of a value would be lost
    1292: Kind.WRONG_FORM,
    1366: Kind.WRONG_FORM,
    1411: Kind.WRONG_FORM,
    1267: Kind.WRONG_FORM,  # a text that the column's character set does not have, in a comparison
    1271: Kind.WRONG_FORM,
    3140: Kind.WRONG_FORM,  # no JSON
    1172: Kind.REFUSED,  # a trigger found more rows than one
    1242: Kind.REFUSED,
    1365: Kind.REFUSED,  # a division by zero
    1369: Kind.REFUSED,  # the check option of a view
    1526: Kind.REFUSED,  # no partition for it
    1748: Kind.REFUSED,
}
_WITH_VALUE = {1292, 1366}
_DUPLICATE = {1022, 1062, 1169, 1586, 1859}
_CHECK = {4025, 3819}
_NO_PARENT = {1216, 1452}
_REFERRED_TO = {1217, 1451}
_CASCADE_TAKEN = {1557, 1761, 1762}
_SIGNAL = {1643, 1644}
"""What a SIGNAL tells unless it names a number of its own."""

_UNHANDLED = "45"
"""The class of states that is for applications alone."""

_DATA = {"22", "44"}
"""Classes of states that tell of nothing but what is written."""

_NAME = r"`((?:[^`]|``)+)`"
_FOREIGN_KEY = re.compile(
    rf"{_NAME}\.{_NAME}, CONSTRAINT .*?FOREIGN KEY \((.*?)\) REFERENCES (.*?) \((.*?)\)", re.DOTALL
)


def fault(error: BaseException, table: Table) -> Fault | None:  # noqa: PLR0911 - one for each code
    """Say what is wrong with a row of `table` by the error of PyMySQL; None if nothing is."""
    code, message = (*error.args, "", "")[:2]
    state: str = getattr(error, "sqlstate", None) or ""
    if code in _SIGNAL or state.startswith(_UNHANDLED):
        return Fault(Kind.REFUSED, said=str(message))
    if code in _DUPLICATE:
        return Fault(Kind.TAKEN, _of_key(table, message))
    if code in _CASCADE_TAKEN:
        return Fault(Kind.TAKEN)
    if code in _CHECK:
        return _check(table, message)
    if code in _NO_PARENT | _REFERRED_TO:
        return _reference(table, message, is_missing=code in _NO_PARENT)
    if code in _KINDS:
        return Fault(_KINDS[code], _of_column(code, table, message))
    return Fault(Kind.REFUSED) if state[:2] in _DATA else None


def _of_column(code: int, table: Table, message: str) -> Columns:
    """The column that a message is about."""
    message = message.casefold()
    if code in _WITH_VALUE:  # which comes before `database`.`table`.`column`, in Chinese `database`table`column`
        prefix = f"`{table.name}`".casefold()
        ends = {
            name: [message.rfind(f"{prefix}{dot}{name.casefold()}`") for dot in (".`", "")] for name in _names_of(table)
        }
        found = {name: max(places) for name, places in ends.items() if max(places) >= 0}
        return (max(found, key=found.__getitem__),) if found else ()
    places = {name: message.find(f"'{name.casefold()}'") for name in _names_of(table)}
    found = {name: place for name, place in places.items() if place >= 0}
    return (min(found, key=found.__getitem__),) if found else ()


def _names_of(table: Table) -> list[str]:
    return [column.name for column in table.c]


def _of_key(table: Table, message: str) -> Columns:
    """The columns of the key that a message has last, after the value; MySQL puts the table before its name."""
    for name in _endings(message, table.name):
        if name == "PRIMARY":
            return columns_of(table, table.primary_key)
        key = named(table, name, _DIALECT)
        if key is not None:
            return columns_of(table, key)
    for name in _endings(message, table.name):
        # A key without a name is called like its first column, and a second such one with a number after it.
        nameless = [columns_of(table, key) for key in unnamed(table, UniqueConstraint, _DIALECT)]
        first = [
            columns for columns in nameless if re.fullmatch(re.escape(columns[0]) + r"(_\d+)?", name, re.IGNORECASE)
        ]
        if first:
            return tuple(dict.fromkeys(column for columns in first for column in columns))
    return ()


def _endings(message: str, table: str) -> Iterable[str]:
    """What may be the last name in quotes, the shortest first: names may have quotes in them."""
    end = message.rfind("'")
    start = message.rfind("'", 0, end) if end > 0 else -1
    while start >= 0:
        yield message[start + 1 : end].removeprefix(f"{table}.")
        start = message.rfind("'", 0, start) if start > 0 else -1


def _check(table: Table, message: str) -> Fault:
    """The fault of a check. That of a column has its name, after that of the table in messages."""
    names = [_plain(name) for name in re.findall(_NAME, message)]
    if len(names) > 2 and not _same(names[-1], table.name):
        return Fault(Kind.REFUSED)
    name = names[0] if names else next(iter(_endings(message, table.name)), "")
    check = named(table, name, _DIALECT)
    if isinstance(check, CheckConstraint):
        return not_allowed(columns_of(table, check))
    prefix = f"{table.name}."
    if name.casefold().startswith(prefix.casefold()):
        return not_allowed(own(table, [name[len(prefix) :]]))
    # A table's checks without names are numbered, in an order that is not known here.
    checks = [check for check in unnamed(table, CheckConstraint, _DIALECT) if check in table.constraints]
    nameless = [columns_of(table, check) for check in checks]
    if len(nameless) == 1:
        return not_allowed(nameless[0])
    return Fault(Kind.NOT_ALLOWED, others=tuple(column for columns in nameless for column in columns))


def _reference(table: Table, message: str, *, is_missing: bool) -> Fault:
    found = _FOREIGN_KEY.search(message)
    if found is None:  # a user who may not see the other table is told no more
        return Fault(Kind.NO_PARENT, others=referring(table)) if is_missing else Fault(Kind.REFERRED_TO)
    _, of, ours, to, theirs = found.groups()
    if is_missing:
        return (
            Fault(Kind.NO_PARENT, own(table, _names(ours))) if _same(_plain(of), table.name) else Fault(Kind.REFERENCE)
        )
    to_this = _same(_names(to)[-1], table.name)
    return Fault(Kind.REFERRED_TO, own(table, _names(theirs)) if to_this else ())


def _names(quoted: str) -> list[str]:
    return [_plain(name) for name in re.findall(_NAME, quoted)]


def _plain(quoted: str) -> str:
    return quoted.replace("``", "`")


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
