"""Which table of the application a model is, and what of it devices see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from difflib import get_close_matches
from typing import Any

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, UniqueConstraint, inspect
from sqlalchemy.orm import Mapper

from mobync_core.limits import FieldRules, Limits
from mobync_sql.bound import BoundColumn, BoundTable, described
from mobync_sql.codecs import codec_for, identity_codec_for

__all__ = ["Binding", "BoundColumn", "BoundTable", "described", "resolve"]


@dataclass(frozen=True)
class Binding:
    """Says that the records of a model are the rows of a table of the application.

    `table` is a SQLAlchemy `Table` or a mapped class. All columns are named as in the database.
    """

    table: Table | type
    _: KW_ONLY
    owner: str
    """The column that holds the owner."""
    model: str = ""
    """The model as devices know it; the table's name if it is not given."""
    id: str = ""
    """The column that holds a record's id; the primary key if it is not given and is one column."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """The columns whose fields have another name on the devices: name of the field to name of the column."""
    hidden: Collection[str] = ()
    """The columns that devices never see and may not write."""
    read_only: Collection[str] = ()
    """The columns that devices see and may not write."""
    triggers: bool = False
    """Whether all writes are caught, by triggers that `setup` installs, instead of those through SQLAlchemy."""


def resolve(binding: Binding) -> BoundTable:
    """Look up what a binding names. Raises `ValueError` or `TypeError`, which say what is wrong and what to do."""
    return _Resolving(binding).bound_table()


class _Resolving:
    """One binding and its table, while the one is looked up in the other."""

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._table = _table_of(binding.table)
        self._columns = {column.name: column for column in self._table.columns}
        self._model = binding.model or self._table.name
        for name in ("hidden", "read_only"):
            if isinstance(getattr(binding, name), str):
                raise TypeError(f"{self._of} has one text as {name}: give a list of names of columns")
        if fault := _NAMES.name_fault(self._model):
            raise ValueError(f"{self._of}: the model's name {fault}: give another one by model=")

    @property
    def _of(self) -> str:
        return f"the binding of {self._model!r} to the table {self._table.fullname!r}"

    def bound_table(self) -> BoundTable:
        binding = self._binding
        owner = self._column(binding.owner, "owner")
        id = self._id()
        codecs = []
        for what, column in (("owner", owner), ("id", id)):
            codec = identity_codec_for(column.type)
            if codec is None:
                raise ValueError(
                    f"{self._of}: the column {column.name!r} is the {what}, but of the type {_type_name(column)}, "
                    "and neither text, integer nor UUID: choose another column"
                )
            if _is_generated(column):
                raise ValueError(
                    f"{self._of}: the column {column.name!r} is the {what}, but only the database writes it, so that "
                    "no row of a device could be inserted: choose another column"
                )
            codecs.append(codec)
        return BoundTable(
            self._model, self._table, owner, codecs[0], id, codecs[1], self._fields(owner, id), binding.triggers
        )

    def _id(self) -> Column[Any]:
        keys = list(self._table.primary_key.columns)
        if not self._binding.id:
            if len(keys) != 1:
                found = (
                    "no primary key" if not keys else "a primary key of " + ", ".join(repr(key.name) for key in keys)
                )
                raise ValueError(f"{self._of}: the table has {found}: name the column of a record's id by id=")
            return keys[0]
        column = self._column(self._binding.id, "id")
        if keys == [column]:
            return column
        if not _is_unique(self._table, column):
            raise ValueError(
                f"{self._of}: two rows may have the same {column.name!r}, which is to be a record's id: give the "
                "column a unique constraint of its own, or choose another one by id="
            )
        if column.nullable:
            raise ValueError(
                f"{self._of}: the column {column.name!r}, which is to be a record's id, may be NULL: make it NOT NULL"
            )
        return column

    def _fields(self, owner: Column[Any], id: Column[Any]) -> dict[str, BoundColumn]:
        binding = self._binding
        hidden = {self._field_column(name, "hidden", owner, id).name for name in binding.hidden}
        read_only = {self._field_column(name, "read_only", owner, id).name for name in binding.read_only}
        names: dict[str, str] = {}
        for field_name, name in binding.fields.items():
            column = self._field_column(name, "fields", owner, id)
            if column.name in names:
                raise ValueError(f"{self._of}: the column {name!r} has two names in fields=: leave one out")
            names[column.name] = field_name
        for name in sorted(hidden & (read_only | names.keys())):
            raise ValueError(
                f"{self._of}: the column {name!r} is hidden, and in fields= or read_only=, too: choose one"
            )
        fields: dict[str, BoundColumn] = {}
        for column in self._table.columns:
            if column in (owner, id) or column.name in hidden or column.system:
                continue
            field_name = names.get(column.name, column.name)
            if field_name in fields:
                raise ValueError(
                    f"{self._of}: the columns {fields[field_name].column.name!r} and {column.name!r} are both the "
                    f"field {field_name!r}: rename one by fields=, or hide it by hidden="
                )
            self._check_name(field_name, column)
            codec = codec_for(column.type)
            if codec is None:
                raise ValueError(
                    f"{self._of}: the column {column.name!r} has the type {_type_name(column)}, of which Mobync makes "
                    f"no JSON: hide it by hidden=[{column.name!r}]"
                )
            fields[field_name] = BoundColumn(
                field_name, column, codec, column.name in read_only or _is_generated(column)
            )
        return fields

    def _check_name(self, field_name: str, column: Column[Any]) -> None:
        """Raise `ValueError` if no field may have the name."""
        fault = _NAMES.name_fault(field_name)
        if field_name == "id":
            fault = "is that of a record's own id"
        if fault:
            raise ValueError(
                f"{self._of}: the field's name {field_name!r} of the column {column.name!r} {fault}: rename it by "
                f"fields={{'another_name': {column.name!r}}}, or hide it by hidden=[{column.name!r}]"
            )

    def _column(self, name: str, where: str) -> Column[Any]:
        if not isinstance(name, str):
            raise TypeError(f"{self._of} has {name!r} in {where}=: give the name of a column, as a text")
        if name not in self._columns:
            near = get_close_matches(name, self._columns, n=1)
            meant = f", did you mean {near[0]!r}?" if near else f"; it has {', '.join(map(repr, self._columns))}"
            raise ValueError(f"{self._of} has {name!r} in {where}=, but the table has no such column{meant}")
        return self._columns[name]

    def _field_column(self, name: str, where: str, owner: Column[Any], id: Column[Any]) -> Column[Any]:
        column = self._column(name, where)
        if column in (owner, id):
            what = "owner" if column is owner else "id"
            raise ValueError(
                f"{self._of} has {name!r} in {where}=, but it is the {what}, which is no field: leave it out"
            )
        return column


def _table_of(table: object) -> Table:
    """Return the `Table` that is meant. Raises `TypeError` or `ValueError` if it is none, or several."""
    if isinstance(table, Table):
        return table
    mapper = inspect(table, raiseerr=False) if isinstance(table, type) else None
    if not isinstance(mapper, Mapper):
        raise TypeError(f"a binding has {table!r} as its table: give a SQLAlchemy Table or a mapped class")
    if not isinstance(mapper.local_table, Table):
        raise TypeError(
            f"the class {mapper.class_.__name__} is mapped to no Table: bind the Table that its rows are in"
        )
    if mapper.persist_selectable is not mapper.local_table:
        raise ValueError(
            f"the rows of the class {mapper.class_.__name__} are spread over several tables by joined inheritance, and "
            "a record is one row: bind the tables themselves (Class.__table__), each as a model"
        )
    return mapper.local_table


def _is_unique(table: Table, column: Column[Any]) -> bool:
    """Whether a constraint or an index keeps any two rows from having the same value there."""
    constraints = (c for c in table.constraints if isinstance(c, UniqueConstraint | PrimaryKeyConstraint))
    indexes = (
        i for i in table.indexes if i.unique and not any(_of_a_part(i, name) for name in ("sqlite", "postgresql"))
    )
    return any(list(found.columns) == [column] for found in (*constraints, *indexes))


def _of_a_part(index: Index, dialect: str) -> bool:
    return index.dialect_options[dialect].get("where") is not None


def _is_generated(column: Column[Any]) -> bool:
    """Whether the database refuses any value for the column."""
    return column.computed is not None or (column.identity is not None and bool(column.identity.always))


def _type_name(column: Column[Any]) -> str:
    return type(column.type).__name__


_NAMES = FieldRules(Limits())
