"""A table as a model, and what another process needs to know of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Inspector, MetaData, Row, Select, Table, select
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import NoSuchTableError

from mobync_core.errors import SchemaError
from mobync_sql.codecs import Codec, IdentityCodec, codec_described, codec_for, identity_codec_for


@dataclass(frozen=True, eq=False)
class BoundColumn:
    """A column as a field of the model's records."""

    field: str
    column: Column[Any]
    codec: Codec
    read_only: bool


@dataclass(frozen=True, eq=False)
class BoundTable:
    """A table as a model. `columns` are by the name of the field, without the owner, the id and hidden ones."""

    model: str
    table: Table
    owner: Column[Any]
    owner_codec: IdentityCodec
    id: Column[Any]
    id_codec: IdentityCodec
    columns: Mapping[str, BoundColumn]
    triggers: bool

    def rows(self) -> Select[Any]:
        """Select the `row_id` and the `row_owner` of all rows."""
        return select(self.id.label("row_id"), self.owner.label("row_owner"))

    def keys_of(self, rows: Iterable[Row[Any]]) -> Iterator[tuple[str, str, str]]:
        """Return the (owner, model, id) of what `rows` selected, but for the rows that are nobody's."""
        for row in rows:
            if row.row_owner is not None:
                yield self.owner_codec.to_text(row.row_owner), self.model, self.id_codec.to_text(row.row_id)

    def description(self) -> str:
        """Return, as JSON, what `described` makes the same of in another process. Equal bindings have equal ones."""
        return json.dumps(
            {
                "model": self.model,
                "table": self.table.name,
                "schema": self.table.schema,
                "owner": {"column": self.owner.name, "codec": self.owner_codec.codec.described()},
                "id": {"column": self.id.name, "codec": self.id_codec.codec.described()},
                "fields": {
                    field: {
                        "column": bound.column.name,
                        "read_only": bound.read_only,
                        "codec": bound.codec.described(),
                    }
                    for field, bound in self.columns.items()
                },
                "triggers": self.triggers,
            },
            sort_keys=True,
            ensure_ascii=False,
        )


def described(connection: Connection, text: str) -> BoundTable:
    """Return the bound table of a description, its table as the database has it now.

    Where the database does not tell the kind of a column (MariaDB's JSON is text), the description does. Raises
    `SchemaError` if the table or one of its columns is gone.
    """
    description = json.loads(text)
    model, fields = description["model"], description["fields"]
    codecs = {
        column["column"]: codec_described(column["codec"])
        for column in (description["owner"], description["id"], *fields.values())
    }

    def reflect(_inspector: Inspector, _table: Table, column: ReflectedColumn) -> None:
        if (codec := codecs.get(column["name"])) is not None:
            found = codec_for(column["type"])
            if found is None or found.kind != codec.kind:
                column["type"] = codec.column_type()

    name, schema = description["table"], description["schema"]
    try:
        table = Table(
            name,
            MetaData(),
            schema=schema,
            autoload_with=connection,
            resolve_fks=False,
            listeners=[("column_reflect", reflect)],
        )
    except NoSuchTableError:
        full_name = name if schema is None else f"{schema}.{name}"
        raise SchemaError(
            f"the table {full_name!r} of the model {model!r} is gone: bind the model to another"
        ) from None
    columns = {column.name: column for column in table.columns}
    if gone := sorted(codecs.keys() - columns.keys()):
        raise SchemaError(
            f"the table {table.fullname!r} of the model {model!r} has no column {gone[0]!r} any more: let the "
            "application bind the model again, as the table is now"
        )

    owner, id = columns[description["owner"]["column"]], columns[description["id"]["column"]]
    return BoundTable(
        model,
        table,
        owner,
        _identity(owner),
        id,
        _identity(id),
        {
            field: BoundColumn(field, columns[of["column"]], _codec(columns[of["column"]]), of["read_only"])
            for field, of in fields.items()
        },
        description["triggers"],
    )


def _codec(column: Column[Any]) -> Codec:
    codec = codec_for(column.type)
    assert codec is not None  # the type is the codec's own, or has one of the same kind
    return codec


def _identity(column: Column[Any]) -> IdentityCodec:
    codec = identity_codec_for(column.type)
    assert codec is not None
    return codec
