"""Finds the column that PostgreSQL does not name when a value is of the wrong kind, mostly by its type."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    Integer,
    Numeric,
    String,
    Table,
    Time,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError

from mobync_sql.violations.faults import Fault, Kind, among

DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]

_KINDS = {
    "22001": Kind.TOO_LONG,
    "22003": Kind.OUT_OF_RANGE,
    "22008": Kind.OUT_OF_RANGE,
    "22012": Kind.REFUSED,  # a division by zero
    "54000": Kind.TOO_LONG,  # for an index, a page, a text search vector
}


def value_fault(state: str, diag: Any, table: Table) -> Fault:
    """Return the fault of a value that an error of the class of `state` is about."""
    kind = _KINDS.get(state, Kind.WRONG_FORM if state[:2] == "22" else Kind.REFUSED)
    message, detail = diag.message_primary or "", diag.message_detail or ""
    suspects: list[str] = []
    if state == "22001":
        length = re.findall(r"\((\d+)\)", message)
        suspects = _where(table, lambda type: isinstance(type, String) and [str(type.length)] == length)
    elif state == "22003":
        precision = re.findall(r"\d+", detail)[:2]
        suspects = _where(table, lambda type: isinstance(type, Numeric) and _precision(type) == precision)
        suspects = suspects or _of_type_in(table, message)
        suspects = suspects or _where(table, lambda type: isinstance(type, Integer | Numeric | Float))
    elif state in {"22007", "22008"}:
        suspects = _where(table, lambda type: isinstance(type, Date | DateTime | Time))
    elif state == "22P05":
        suspects = _where(table, lambda type: isinstance(type, JSON))
    elif state[:2] == "22":
        suspects = _of_type_in(table, message)
    return among(kind, suspects)


def _where(table: Table, suits: Callable[[Any], bool]) -> list[str]:
    return [column.name for column in table.c if suits(column.type)]


def _precision(type: Numeric[Any]) -> list[str]:
    return [str(type.precision), str(type.scale or 0)]


def _of_type_in(table: Table, message: str) -> list[str]:
    return [column.name for column in table.c if (name := type_name(column)) and is_in(name, message)]


def type_name(column: Column[Any]) -> str:
    """Return the name of the column's type as messages have it, "" if it is not known here."""
    name: str | None = getattr(column.type, "name", None)  # of an enum or a domain
    try:
        return name or column.type.compile(dialect=DIALECT).partition("(")[0].lower()
    except CompileError:
        return ""


def is_in(name: str, message: str | None) -> bool:
    """Say whether a message, of whatever language, has a name in it."""
    # Letters that are not ASCII end a name: some languages put no space between words.
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", message or "", re.ASCII) is not None
