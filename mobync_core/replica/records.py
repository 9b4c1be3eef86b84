"""The tables ``records``, what the server has, and ``staged``, what pages told of it so far."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from mobync_core.replica.rows import Row
from mobync_core.replica.store import STAGED
from mobync_core.storage import Key

Table: TypeAlias = Literal["records", "staged"]

decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_decode_stamps = msgspec.json.Decoder(dict[str, int]).decode
_encode = msgspec.json.Encoder().encode

_COLUMNS = "model, id, fields, stamp, stamps, life"
_GET = {
    table: f"SELECT fields, stamp, stamps, life FROM {table} WHERE model = ? AND id = ?"
    for table in ("records", "staged")
}
_PUT = {
    table: f"INSERT OR REPLACE INTO {table} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)" for table in ("records", "staged")
}


def encode_fields(fields: Mapping[str, Any]) -> str:
    return _encode(fields).decode()


def get_row(connection: sqlite3.Connection, key: Key, table: Table = "records") -> Row | None:
    found = connection.execute(_GET[table], key).fetchone()
    return None if found is None else _row(*found)


def put_rows(connection: sqlite3.Connection, rows: Iterable[tuple[Key, Row]], table: Table = "records") -> None:
    connection.executemany(_PUT[table], (_values(key, row) for key, row in rows))


def each_row(connection: sqlite3.Connection) -> Iterator[tuple[Key, Row]]:
    """Read all records; who reads may write other tables meanwhile."""
    for model, id, *columns in connection.execute(f"SELECT {_COLUMNS} FROM records"):
        yield (model, id), _row(*columns)


def move_staged(connection: sqlite3.Connection, *, whole: bool) -> None:
    """Take what is staged for what the server has; all of it, if it is the `whole` list, and else what changed."""
    if not whole and connection.execute("SELECT 1 FROM replica WHERE clock > 0").fetchone():
        connection.execute(
            f"""INSERT INTO records ({_COLUMNS}) SELECT {_COLUMNS} FROM staged WHERE true
            ON CONFLICT (model, id) DO UPDATE SET fields = excluded.fields, stamp = excluded.stamp,
            stamps = excluded.stamps, life = excluded.life"""
        )
        drop_staged(connection)
        return
    if not whole:  # the first list: there are only a few records, made here
        connection.execute(f"INSERT OR IGNORE INTO staged ({_COLUMNS}) SELECT {_COLUMNS} FROM records")
    # To copy a whole list would take long, and twice the space.
    connection.execute("DROP TABLE records")
    connection.execute("ALTER TABLE staged RENAME TO records")
    connection.execute(STAGED)


def drop_staged(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM staged")


def _row(fields: str | None, stamp: int, stamps: str | None, life: int) -> Row:
    return Row(
        None if fields is None else decode_fields(fields), stamp, {} if stamps is None else _decode_stamps(stamps), life
    )


def _values(key: Key, row: Row) -> tuple[Any, ...]:
    fields = None if row.fields is None else encode_fields(row.fields)
    return (*key, fields, row.stamp, _encode(row.stamps).decode() if row.stamps else None, row.life or 1)
