"""What a developer would write by hand for one database: the reference that Mobync is measured against.

It decodes the same body, makes the same round trips, writes to the same tables and encodes an answer. It does no
merge: the last writer wins. The tables are those that `setup` of the storage made.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from mobync_core.wire import SyncRequest, SyncResponse, decode_request, encode_response

Row = tuple[str, str, str, int, bool, int, str]


class ByHand(ABC):
    """A sync without a merge, on one connection: one transaction for each batch."""

    begin = "BEGIN"
    owner: str
    """The statement that sets the clock of an owner, given as (owner, clock)."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def apply(self, owner: str, body: bytes) -> bytes:
        """Take a request's body and return an answer's."""
        request = decode_request(body)
        if not request.diffs:
            return answer_of(*self.read(owner, request.logical_clock))
        execute = self._connection.execute
        execute(self.begin)
        clock, changed = self.read(owner, request.logical_clock)
        after = clock + len(request.diffs)
        execute(self.owner, (owner, after))
        self.write(rows_of(owner, request, clock))
        execute("COMMIT")
        return answer_of(after, changed)

    @abstractmethod
    def read(self, owner: str, base: int) -> tuple[int, Sequence[Any]]:
        """Return the owner's clock, and what changed at or after the base."""

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Insert or replace all rows."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


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


COLUMNS = "model, id, clock, deleted, changed_at, body"
UPSERT = (
    "ON CONFLICT (owner, model, id) DO UPDATE SET clock = excluded.clock, deleted = excluded.deleted, "
    "changed_at = excluded.changed_at, body = excluded.body"
)
OWNER = (
    "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES ({0}, {0}, 'x', -1) "
    "ON CONFLICT (owner) DO UPDATE SET clock = excluded.clock"
)


class SQLiteByHand(ByHand):
    """The sqlite3 module and its `executemany`."""

    begin = "BEGIN IMMEDIATE"
    owner = OWNER.format("?")

    def __init__(self, path: str) -> None:
        super().__init__(sqlite3.connect(path, isolation_level=None))
        self._connection.execute("PRAGMA synchronous = FULL")

    def read(self, owner: str, base: int) -> tuple[int, Sequence[Any]]:
        execute = self._connection.execute
        found = execute("SELECT clock FROM mobync_owners WHERE owner = ?", (owner,)).fetchone()
        changed = execute(
            f"SELECT {COLUMNS} FROM mobync_records WHERE owner = ? AND clock >= ? ORDER BY clock", (owner, base)
        ).fetchall()
        return (found[0] if found else 0), changed

    def write(self, rows: Sequence[Row]) -> None:
        self._connection.executemany(
            f"INSERT INTO mobync_records (owner, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) {UPSERT}", rows
        )


class PostgreSQLByHand(ByHand):
    """psycopg, with the rows of a batch sent as one JSON document."""

    owner = OWNER.format("%s")

    def __init__(self, url: str) -> None:
        super().__init__(psycopg.connect(url, autocommit=True))

    def read(self, owner: str, base: int) -> tuple[int, Sequence[Any]]:
        # One statement, as it is one round trip.
        rows = self._connection.execute(
            "SELECT o.clock, r.model, r.id, r.clock, r.deleted, r.changed_at, r.body FROM mobync_owners o "
            "LEFT JOIN mobync_records r ON r.owner = o.owner AND r.clock >= %s WHERE o.owner = %s ORDER BY r.clock",
            (base, owner),
        ).fetchall()
        return (rows[0][0] if rows else 0), [row for row in rows if row[1] is not None]

    def write(self, rows: Sequence[Row]) -> None:
        names = ("owner", "model", "id", "clock", "deleted", "changed_at", "body")
        document = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows]).decode()
        self._connection.execute(
            f"INSERT INTO mobync_records (owner, {COLUMNS}) SELECT * FROM jsonb_to_recordset(%s::jsonb) AS r (owner "
            f"text, model text, id text, clock bigint, deleted boolean, changed_at bigint, body text) {UPSERT}",
            (document,),
        )
