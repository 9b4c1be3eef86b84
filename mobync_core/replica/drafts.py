"""What the user sees: the records, and in their place the table ``drafts`` where edits are still under way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from mobync_core.replica import queue
from mobync_core.replica.records import decode_fields, encode_fields, get_row
from mobync_core.replica.rows import Row, shown
from mobync_core.storage import Key

_GET = "SELECT fields, life FROM drafts WHERE model = ? AND id = ?"
_GET_RECORD = "SELECT fields, life FROM records WHERE model = ? AND id = ?"
_PUT = "INSERT OR REPLACE INTO drafts (model, id, fields, life) VALUES (?, ?, ?, ?)"
_ALL = """SELECT id, fields FROM drafts WHERE model = ?1 AND fields IS NOT NULL
    UNION ALL
    SELECT id, fields FROM records WHERE model = ?1 AND fields IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM drafts WHERE drafts.model = ?1 AND drafts.id = records.id)
    ORDER BY id"""
_MODELS = """SELECT model FROM drafts WHERE fields IS NOT NULL
    UNION
    SELECT model FROM records WHERE fields IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM drafts WHERE drafts.model = records.model AND drafts.id = records.id)
    ORDER BY model"""


def current(connection: sqlite3.Connection, key: Key) -> tuple[str | None, int] | None:
    """Return a record's fields, as JSON, and the life that it is in; None for fields if it is deleted."""
    found: tuple[str | None, int] | None = connection.execute(_GET, key).fetchone()
    return found if found is not None else connection.execute(_GET_RECORD, key).fetchone()


def live_fields(connection: sqlite3.Connection, key: Key) -> str | None:
    """Return a live record's fields, as JSON, or None."""
    found = current(connection, key)
    return None if found is None else found[0]


def all_live(connection: sqlite3.Connection, model: str) -> list[dict[str, Any]]:
    """Return the live records of a model, by id."""
    return [as_user_sees(id, fields) for id, fields in connection.execute(_ALL, (model,))]


def models(connection: sqlite3.Connection) -> list[str]:
    """Return the models that have a live record."""
    return [model for (model,) in connection.execute(_MODELS)]


def drafted_keys(connection: sqlite3.Connection) -> list[Key]:
    """Return the records with edits that are still under way."""
    return connection.execute("SELECT model, id FROM drafts").fetchall()


def as_user_sees(id: str, fields: str) -> dict[str, Any]:
    return {"id": id, **decode_fields(fields)}


def put_draft(connection: sqlite3.Connection, key: Key, fields: dict[str, Any] | None, life: int) -> None:
    connection.execute(_PUT, (*key, None if fields is None else encode_fields(fields), life))


def redraw(connection: sqlite3.Connection, keys: Iterable[Key]) -> None:
    """Make the drafts of these records anew, from what the server has and what is queued."""
    for key in keys:
        entries = queue.drafted(connection, key)
        if not entries:
            connection.execute("DELETE FROM drafts WHERE model = ? AND id = ?", key)
            continue
        row = shown(get_row(connection, key), entries) or Row(None, 0, {}, 0)
        put_draft(connection, key, row.fields, row.life)


def redraw_all(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM drafts")
    redraw(connection, queue.keys_in(connection))
