"""What a developer would write by hand for one database: the reference that Mobync is measured against.

It decodes the same body, makes the same round trips, writes to the same tables and encodes an answer. It does no
merge: the last writer wins. The tables are those that `setup` of the storage made.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import psycopg

from mobync_core.wire import SyncRequest, SyncResponse, decode_request, encode_response

Row = tuple[str, str, str, int, bool, int, str]


class ByHand(Protocol):
    """A sync without a merge."""

    def apply(self, owner: str, body: bytes) -> bytes:
        """Take a request's body and return an answer's."""

    def close(self) -> None:
        """Close its connection."""


def rows_of(owner: str, request: SyncRequest, clock: int) -> list[Row]:
    """Make the rows that a batch writes."""
    rows = []
    for place, diff in enumerate(request.diffs):
        data = msgspec.json.decode(diff.json_data)
        at = clock + place
        record = data.pop("id")
        body = {
            "created": at,
            "created_by": diff.id,
            "fields": {name: [value, diff.utc_timestamp, at, diff.id] for name, value in data.items()},
        }
        encoded = msgspec.json.encode(body).decode()
        rows.append((owner, diff.model, record, at, False, diff.utc_timestamp, encoded))
    return rows


def answer_of(clock: int, changed: Sequence[Any]) -> bytes:
    """Encode an answer that tells nothing, as that to a client alone does."""
    assert not changed
    return encode_response(SyncResponse(logical_clock=clock, diffs=[]))


class SQLiteByHand:
    """The sqlite3 module, one connection, one transaction for each batch."""

    def __init__(self, path: str) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = FULL")

    def apply(self, owner: str, body: bytes) -> bytes:
        request = decode_request(body)
        execute = self._connection.execute
        if not request.diffs:
            clock, changed = self._read(owner, request.logical_clock)
            return answer_of(clock, changed)
        execute("BEGIN IMMEDIATE")
        clock, changed = self._read(owner, request.logical_clock)
        after = clock + len(request.diffs)
        execute(
            "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES (?, ?, 'x', -1) "
            "ON CONFLICT (owner) DO UPDATE SET clock = excluded.clock",
            (owner, after),
        )
        self._connection.executemany(
            "INSERT INTO mobync_records (owner, model, id, clock, deleted, changed_at, body) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (owner, model, id) DO UPDATE SET clock = excluded.clock, deleted = excluded.deleted, "
            "changed_at = excluded.changed_at, body = excluded.body",
            rows_of(owner, request, clock),
        )
        execute("COMMIT")
        return answer_of(after, changed)

    def _read(self, owner: str, base: int) -> tuple[int, list[Any]]:
        found = self._connection.execute("SELECT clock FROM mobync_owners WHERE owner = ?", (owner,)).fetchone()
        changed = self._connection.execute(
            "SELECT model, id, clock, deleted, changed_at, body FROM mobync_records WHERE owner = ? AND clock >= ? "
            "ORDER BY clock",
            (owner, base),
        ).fetchall()
        return (found[0] if found else 0), changed

    def close(self) -> None:
        self._connection.close()


class PostgreSQLByHand:
    """psycopg, one connection; one transaction for each batch, its rows sent as one JSON document."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)

    def apply(self, owner: str, body: bytes) -> bytes:
        request = decode_request(body)
        execute = self._connection.execute
        if not request.diffs:
            clock, changed = self._read(owner, request.logical_clock)
            return answer_of(clock, changed)
        execute("BEGIN")
        clock, changed = self._read(owner, request.logical_clock)
        after = clock + len(request.diffs)
        execute(
            "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES (%s, %s, 'x', -1) "
            "ON CONFLICT (owner) DO UPDATE SET clock = excluded.clock",
            (owner, after),
        )
        names = ("owner", "model", "id", "clock", "deleted", "changed_at", "body")
        rows = [dict(zip(names, row, strict=True)) for row in rows_of(owner, request, clock)]
        execute(
            "INSERT INTO mobync_records (owner, model, id, clock, deleted, changed_at, body) "
            "SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r (owner text, model text, id text, clock bigint, "
            "deleted boolean, changed_at bigint, body text) "
            "ON CONFLICT (owner, model, id) DO UPDATE SET clock = excluded.clock, deleted = excluded.deleted, "
            "changed_at = excluded.changed_at, body = excluded.body",
            (msgspec.json.encode(rows).decode(),),
        )
        execute("COMMIT")
        return answer_of(after, changed)

    def _read(self, owner: str, base: int) -> tuple[int, list[Any]]:
        # One statement, as it is one round trip.
        rows = self._connection.execute(
            "SELECT o.clock, r.model, r.id, r.clock, r.deleted, r.changed_at, r.body FROM mobync_owners o "
            "LEFT JOIN mobync_records r ON r.owner = o.owner AND r.clock >= %s WHERE o.owner = %s ORDER BY r.clock",
            (base, owner),
        ).fetchall()
        return (rows[0][0] if rows else 0), [row for row in rows if row[1] is not None]

    def close(self) -> None:
        self._connection.close()
