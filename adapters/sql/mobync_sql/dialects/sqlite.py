"""SQLite, through Python's own module."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, Table, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from mobync_core.errors import ConflictError, SchemaError, StorageError, StorageUnavailable
from mobync_core.storage import Key, Note, Record
from mobync_sql.dialects.base import CHANGED, GENERATION, MARK, MARKS, NAMED, OWNER, Dialect, LoadedRow

_COLUMNS = "model, id, clock, deleted, changed_at, body"

_LOAD = f"""
SELECT {OWNER}, epoch, '', clock, 0, purged, '' FROM mobync_owners WHERE owner = :owner
UNION ALL
SELECT {GENERATION}, '', '', COALESCE(MAX(generation), 0), 0, 0, '' FROM mobync_bindings
UNION ALL
SELECT * FROM (
    SELECT {CHANGED}, {_COLUMNS} FROM mobync_records WHERE owner = :owner AND clock >= :since
    ORDER BY clock LIMIT :limit
)
"""

# CROSS JOIN makes SQLite look each key up by the primary key, never the keys up for each record.
_LOAD_NAMED = f"""{_LOAD}
UNION ALL
SELECT {NAMED}, r.model, r.id, r.clock, r.deleted, r.changed_at, r.body
FROM json_each(:keys) k CROSS JOIN mobync_records r
ON r.owner = :owner AND r.model = json_extract(k.value, '$[0]') AND r.id = json_extract(k.value, '$[1]')
"""

_MARKS = f"""
UNION ALL
SELECT * FROM (
    SELECT {MARK}, model, id, mark, 0, at, '' FROM mobync_outbox WHERE owner = :owner
    ORDER BY owner, model, id LIMIT {MARKS}
)
"""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
_OUT_OF_REACH = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}

_WAL_SECONDS = 10
"""How long to wait for others to let go of a file that is to change to write-ahead logging."""


_QUEUE_SECONDS = 5
"""How long a thread queues: while another process writes, each one before it may wait out its busy timeout."""


class _Queue:
    """A lock that is not waited for without end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_QUEUE_SECONDS):
            raise ConflictError("other threads of this process kept the database busy")

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class SQLite(Dialect):
    """Writes begin as such, so that none has to turn from reading to writing, which SQLite would refuse.

    Many rows go through the module's `executemany`, which prepares one statement and runs it inside the process;
    one statement over `json_each` took half as long again.
    """

    begin = "BEGIN IMMEDIATE"
    insert_owner = text(
        "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES (:owner, :clock, :epoch, :purged) "
        "ON CONFLICT DO NOTHING"
    )

    _put = f"INSERT INTO mobync_records (owner, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) {Dialect.upsert}"
    _write_notes = f"INSERT INTO mobync_notes (owner, kind, key, body) VALUES (?, ?, ?, ?) {Dialect.upsert_note}"

    _directory: Path | None = None

    def check_engine(self, engine: Engine) -> None:
        if engine.url.database and not engine.url.database.startswith("file:"):
            self._directory = Path(engine.url.database).absolute().parent
        if isinstance(engine.pool, SingletonThreadPool):
            raise ValueError(
                "each thread of this engine would have an in-memory database of its own: "
                "create the engine with poolclass=StaticPool and connect_args={'check_same_thread': False}"
            )

    def prepare_file(self, connection: Connection) -> None:
        deadline = time.monotonic() + _WAL_SECONDS
        while True:
            try:
                connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            except OperationalError as error:
                # SQLite does not wait by itself here: the mode changes only while nobody else has the file open.
                if self.fault(cast(BaseException, error.orig))[0] is not ConflictError or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def locks(self, engine: Engine) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
        queue = _Queue()
        if isinstance(engine.pool, StaticPool):
            return queue, queue  # all threads share one connection
        # SQLite lets waiting writers sleep and try again, and some wait for very long: here they queue.
        return nullcontext(), queue

    def start(self, connection: Connection) -> None:
        # An engine whose transactions begin by an event, as SQLAlchemy's manual shows it, has begun one: to read.
        connection.begin()
        if cast(sqlite3.Connection, connection.connection.driver_connection).in_transaction:
            connection.exec_driver_sql("ROLLBACK")
        super().start(connection)

    def unfit(self, connection: Connection) -> str:
        encoding = connection.exec_driver_sql("PRAGMA encoding").scalar()
        return "" if encoding == "UTF-8" else f"its encoding is {encoding}: create the database with UTF-8"

    def unfit_for_rows(self, connection: Connection, table: Table) -> str:
        if table.foreign_keys and not connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
            return "its foreign keys are not checked: say PRAGMA foreign_keys = ON on each connection of the engine"
        return ""

    def schema_lock(self, connection: Connection) -> AbstractContextManager[None]:  # noqa: ARG002
        return nullcontext()  # the transaction has the file's only write lock

    def load(
        self, connection: Connection, owner: str, since: int, keys: Collection[Key], limit: int | None, *, marks: bool
    ) -> Sequence[LoadedRow]:
        parameters: dict[str, object] = {"owner": owner, "since": since, "limit": -1 if limit is None else limit}
        statement = _LOAD
        if keys:
            statement = _LOAD_NAMED
            parameters["keys"] = json.dumps(list(set(keys)), ensure_ascii=False)
        if marks:
            statement += _MARKS
        return cast(
            Sequence[LoadedRow],
            connection.exec_driver_sql(statement, parameters).fetchall(),
        )

    def put(self, connection: Connection, owner: str, records: Sequence[Record]) -> None:
        connection.exec_driver_sql(
            self._put, [(owner, r.model, r.id, r.clock, r.deleted, r.changed_at, r.body) for r in records]
        )

    def remove(self, connection: Connection, owner: str, keys: Sequence[Key]) -> None:
        connection.exec_driver_sql(
            "DELETE FROM mobync_records WHERE owner = ? AND model = ? AND id = ?",
            [(owner, model, id) for model, id in keys],
        )

    def write_notes(self, connection: Connection, owner: str, notes: Sequence[Note]) -> None:
        connection.exec_driver_sql(self._write_notes, [(owner, note.kind, note.key, note.body) for note in notes])

    def forget(self, connection: Connection, owner: str, keys: Sequence[tuple[str, str]]) -> None:
        connection.exec_driver_sql(
            "DELETE FROM mobync_notes WHERE owner = ? AND kind = ? AND key = ?",
            [(owner, kind, key) for kind, key in keys],
        )

    def fault(self, error: BaseException) -> tuple[type[StorageError], str]:
        message = str(error)
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF  # the rest is detail
        if code in _BUSY:
            return ConflictError, message
        if code == sqlite3.SQLITE_CANTOPEN and self._directory is not None and not self._directory.is_dir():
            return StorageUnavailable, f"there is no directory {self._directory}"
        if code in _OUT_OF_REACH:
            return StorageUnavailable, message
        if message.startswith("no such table"):
            return SchemaError, f"{message}: call setup() first"
        return StorageError, message
