"""Finds the columns that a table's constraints are about.

The table may be declared, so that what the database named by itself has no name here, or reflected, so that what
SQLAlchemy has no words for is SQL text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import (
    CheckConstraint,
    ColumnClause,
    Constraint,
    Dialect,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    TextClause,
    UniqueConstraint,
)
from sqlalchemy.exc import IdentifierError, NoReferenceError
from sqlalchemy.schema import ColumnCollectionConstraint
from sqlalchemy.sql import visitors

Columns: TypeAlias = tuple[str, ...]
Item: TypeAlias = Constraint | Index

C = TypeVar("C", bound=Constraint)

_TEXT = re.compile(r"'(?:[^']|'')*'")
_QUOTED = re.compile(r'"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|\[([^]]+)\]')
_WORD = re.compile(r"(?<![:\w])[^\W\d][\w$]*(?!\w|\s*\()")
"""A word that is neither a function, before its parenthesis, nor a type, after the colons of a cast."""


def own(table: Table, names: Iterable[str | None]) -> Columns:
    """Return the table's own spelling of names of columns, without those that it does not have."""
    exact = {column.name: column.name for column in table.c}
    spelled = {name.casefold(): name for name in exact} | exact
    found = (spelled.get(name) or spelled.get(name.casefold()) for name in names if name)
    return tuple(dict.fromkeys(name for name in found if name))


def mentioned(table: Table, expression: Any) -> Columns:
    """Return the columns that an expression is about, which is of SQLAlchemy or SQL text."""
    if isinstance(expression, str):
        text = _TEXT.sub("''", expression)
        quoted = ["".join(parts).replace('""', '"').replace("``", "`") for parts in _QUOTED.findall(text)]
        return own(table, [*quoted, *_WORD.findall(_QUOTED.sub(" ", text))])
    names: list[str] = []
    for element in visitors.iterate(expression):
        if isinstance(element, TextClause):
            names += mentioned(table, element.text)
        elif isinstance(element, ColumnClause):
            names += mentioned(table, element.name) if element.is_literal else [element.name]
    return own(table, names)


def sources(table: Table, names: Iterable[str]) -> Columns:
    """Return the columns with those that the database computes replaced by what it computes them from."""
    found: list[str] = []
    for name in names:
        computed = next((column.computed for column in table.c if column.name == name), None)
        from_these = () if computed is None else mentioned(table, computed.sqltext)
        found += from_these or (name,)
    return tuple(dict.fromkeys(found))


def named(table: Table, name: str, dialect: Dialect) -> Item | None:
    """Return what has this name in the database, if its name is known here."""
    if not name:
        return None
    wanted = dialect.identifier_preparer.quote(name).casefold()
    items: list[Item] = [*_constraints(table), *table.indexes]
    return next((item for item in items if (_name(item, dialect) or "").casefold() == wanted), None)


def unnamed(table: Table, kind: type[C], dialect: Dialect) -> list[C]:
    """Return the constraints of a kind that the database gave their names."""
    return [item for item in _constraints(table) if isinstance(item, kind) and _name(item, dialect) is None]


def _constraints(table: Table) -> list[Constraint]:
    return [*table.constraints, *(constraint for column in table.c for constraint in column.constraints)]


def _name(item: Item, dialect: Dialect) -> str | None:
    """The name that something is created with: quoted where it must be, made and cut by the naming convention."""
    if item.name is None:
        return None
    preparer = dialect.identifier_preparer
    try:
        return preparer.format_index(item) if isinstance(item, Index) else preparer.format_constraint(item)
    except IdentifierError:  # it is longer than the database has names, so what is there has another
        return str(item.name)


def columns_of(table: Table, item: Item) -> Columns:
    """Return the columns of a key, or those that the expression of a check is about."""
    if isinstance(item, Index):
        return tuple(dict.fromkeys(name for part in item.expressions for name in mentioned(table, part)))
    if isinstance(item, CheckConstraint):
        return mentioned(table, item.sqltext)
    if isinstance(item, ColumnCollectionConstraint):
        return own(table, [column.name for column in item.columns])
    return ()


def condition_of(table: Table, item: Item) -> Columns:
    """Return the columns that say which rows a key is about, if it is not about all."""
    wheres = [getattr(item, "where", None)]  # of an exclusion
    if isinstance(item, Index):
        wheres += [item.dialect_options[dialect]["where"] for dialect in ("postgresql", "sqlite")]
    return tuple(name for where in wheres if where is not None for name in mentioned(table, where))


def conditions(table: Table, columns: Columns) -> Columns:
    """Return the columns that say which rows the keys of these columns are about; () if one is about all."""
    keys: list[Item] = [item for item in table.constraints if isinstance(item, PrimaryKeyConstraint | UniqueConstraint)]
    keys += [index for index in table.indexes if index.unique]
    found = [condition_of(table, key) for key in keys if set(columns_of(table, key)) == set(columns)]
    return tuple(name for condition in found for name in condition) if all(found) else ()


def referring(table: Table) -> Columns:
    """Return the columns by which rows of the table refer to others."""
    names = {name for foreign in table.foreign_key_constraints for name in columns_of(table, foreign)}
    return tuple(column.name for column in table.c if column.name in names)


def referred(table: Table, foreign: ForeignKeyConstraint) -> Columns:
    """Return the columns of `table` that a foreign key refers to, () if it is to another table."""
    found = []
    for element in foreign.elements:
        try:
            column = element.column
        except NoReferenceError:  # to a table that is not declared, so it is not this one
            return ()
        if column.table is table:
            found.append(column.name)
    return tuple(found)


def referred_by_any(table: Table) -> Columns:
    """Return the columns that rows of tables which are known here refer to."""
    foreigners = (foreign for other in table.metadata.tables.values() for foreign in other.foreign_key_constraints)
    names = {name for foreign in foreigners for name in referred(table, foreign)}
    return tuple(column.name for column in table.c if column.name in names)
