"""PostgreSQL, through psycopg 3."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Connection, text

from mobync_core.errors import ConflictError, SchemaError, StorageError, StorageUnavailable
from mobync_core.storage import Key, Note, Record
from mobync_sql.dialects.base import CHANGED, GENERATION, MARK, MARKS, NAMED, OWNER, Dialect, LoadedRow

_COLUMNS = "model, id, clock, deleted, changed_at, body"

_LOAD = f"""
SELECT {OWNER}, epoch, '', clock, false, purged, '' FROM mobync_owners WHERE owner = %(owner)s
UNION ALL
SELECT {GENERATION}, '', '', COALESCE(MAX(generation), 0), false, 0, '' FROM mobync_bindings
UNION ALL
(
    SELECT {CHANGED}, {_COLUMNS} FROM mobync_records WHERE owner = %(owner)s AND clock >= %(since)s
    ORDER BY clock LIMIT %(limit)s
)
"""

# LATERAL with a limit leaves the planner one way: each key by the primary key. Without statistics, or with one plan
# for every owner, it would rather go through all records of the owner: 90 ms instead of 1, for one of 100,000.
_LOAD_NAMED = f"""{_LOAD}
UNION ALL
SELECT {NAMED}, r.*
FROM unnest(%(models)b::text[], %(ids)b::text[]) AS k (model, id)
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM mobync_records r WHERE r.owner = %(owner)s AND r.model = k.model AND r.id = k.id LIMIT 1
) r
"""

_MARKS = f"""
UNION ALL
(
    SELECT {MARK}, model, id, mark, false, at, '' FROM mobync_outbox WHERE owner = %(owner)s
    ORDER BY owner, model, id LIMIT {MARKS}
)
"""

_SCHEMA_LOCK = int.from_bytes(b"mobync\0\1")
"""The advisory lock of those who migrate: any number that others are unlikely to use."""

# By SQLSTATE, or by its class, the first two characters.
_CONFLICTS = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available: another commit of the owner held its row for too long
}
_OUT_OF_REACH = {
    "08",  # connection exceptions
    "25006",  # read_only_sql_transaction: a standby
    "53",  # insufficient resources, such as too many connections or a full disk
    "57",  # operator intervention: shutdown, crash, starting up, a statement that took too long
    "58",  # system error
}


class PostgreSQL(Dialect):
    """Many rows go as one array for each column, in psycopg's binary format (``%b``).

    As text, with every quote of their JSON escaped, they took twice as long.
    """

    # One message, so that the limits cost no round trip; of the transaction, so that poolers may be between. A lock
    # is waited for but briefly: a crowd that waits for one owner's row keeps connections that other owners need.
    begin = (
        "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '15s'"
    )
    insert_owner = text(
        "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES (:owner, :clock, :epoch, :purged) "
        "ON CONFLICT DO NOTHING"
    )

    _put = (
        f"INSERT INTO mobync_records (owner, {_COLUMNS}) SELECT %(owner)s, * FROM unnest("
        "%(models)b::text[], %(ids)b::text[], %(clocks)b::bigint[], %(deleted)b::boolean[], "
        f"%(changed_at)b::bigint[], %(bodies)b::text[]) {Dialect.upsert}"
    )
    _remove = (
        "DELETE FROM mobync_records r USING unnest(%(models)b::text[], %(ids)b::text[]) AS k (model, id) "
        "WHERE r.owner = %(owner)s AND r.model = k.model AND r.id = k.id"
    )
    _write_notes = (
        "INSERT INTO mobync_notes (owner, kind, key, body) SELECT %(owner)s, * FROM unnest("
        f"%(kinds)b::text[], %(keys)b::text[], %(bodies)b::text[]) {Dialect.upsert_note}"
    )
    _forget = (
        "DELETE FROM mobync_notes n USING unnest(%(kinds)b::text[], %(keys)b::text[]) AS k (kind, key) "
        "WHERE n.owner = %(owner)s AND n.kind = k.kind AND n.key = k.key"
    )

    def unfit(self, connection: Connection) -> str:
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        return "" if encoding == "UTF8" else f"its encoding is {encoding}: create the database with UTF-8"

    @contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        # To wait for who migrates, and to migrate, may take longer than a commit may. Its end is the transaction's.
        connection.exec_driver_sql(
            f"SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"
        )
        yield

    def lock_writers(self, connection: Connection) -> None:
        connection.exec_driver_sql("LOCK TABLE mobync_owners IN SHARE ROW EXCLUSIVE MODE")

    def load(
        self, connection: Connection, owner: str, since: int, keys: Collection[Key], limit: int | None, *, marks: bool
    ) -> Sequence[LoadedRow]:
        parameters: dict[str, Any] = {"owner": owner, "since": since, "limit": limit}
        statement = _LOAD
        if keys:
            statement = _LOAD_NAMED
            distinct = set(keys)
            parameters["models"] = [model for model, _ in distinct]
            parameters["ids"] = [id for _, id in distinct]
        if marks:
            statement += _MARKS
        return cast(
            Sequence[LoadedRow],
            connection.exec_driver_sql(statement, parameters).fetchall(),
        )

    def put(self, connection: Connection, owner: str, records: Sequence[Record]) -> None:
        connection.exec_driver_sql(
            self._put,
            {
                "owner": owner,
                "models": [record.model for record in records],
                "ids": [record.id for record in records],
                "clocks": [record.clock for record in records],
                "deleted": [record.deleted for record in records],
                "changed_at": [record.changed_at for record in records],
                "bodies": [record.body for record in records],
            },
        )

    def remove(self, connection: Connection, owner: str, keys: Sequence[Key]) -> None:
        connection.exec_driver_sql(
            self._remove,
            {"owner": owner, "models": [model for model, _ in keys], "ids": [id for _, id in keys]},
        )

    def write_notes(self, connection: Connection, owner: str, notes: Sequence[Note]) -> None:
        connection.exec_driver_sql(
            self._write_notes,
            {
                "owner": owner,
                "kinds": [note.kind for note in notes],
                "keys": [note.key for note in notes],
                "bodies": [note.body for note in notes],
            },
        )

    def forget(self, connection: Connection, owner: str, keys: Sequence[tuple[str, str]]) -> None:
        connection.exec_driver_sql(
            self._forget, {"owner": owner, "kinds": [kind for kind, _ in keys], "keys": [key for _, key in keys]}
        )

    def fault(self, error: BaseException) -> tuple[type[StorageError], str]:
        state: str | None = getattr(error, "sqlstate", None)
        if state is None:
            # psycopg found it out by itself: the connection could not be had, or was lost.
            lost = any(base.__name__ in {"OperationalError", "InterfaceError"} for base in type(error).__mro__)
            return (StorageUnavailable if lost else StorageError), str(error)
        # The first line: what follows may quote rows.
        message = f"{str(error).partition(chr(10))[0]} ({state})"
        if state in _CONFLICTS:
            return ConflictError, message
        if state in _OUT_OF_REACH or state[:2] in _OUT_OF_REACH:
            return StorageUnavailable, message
        if state in {"42P01", "3F000"}:  # undefined_table, invalid_schema_name
            return SchemaError, f"{message}: call setup() first"
        return StorageError, message
