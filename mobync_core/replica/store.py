"""The SQLite store of a replica: how it is opened, its tables, and its transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mobync_core.replica.errors import StoreError

FORMAT = 1
"""The version of the layout below; in the file it is SQLite's user_version."""

_APPLICATION = 0x4D6F6272
"""SQLite's application_id of a replica's file."""

_PATIENCE = 30.0
"""How many seconds to wait for another process to end its transaction."""

STAGED = """CREATE TABLE staged (model TEXT NOT NULL, id TEXT NOT NULL, fields TEXT, stamp INTEGER NOT NULL,
    stamps TEXT, life INTEGER NOT NULL, PRIMARY KEY (model, id)) WITHOUT ROWID"""
"""Records as the pages of a reading told them that is not complete."""

_LAYOUT = (
    # One row: what is known of the server. `generation` rises with everything that a sync changes.
    """CREATE TABLE replica (generation INTEGER NOT NULL, mode TEXT NOT NULL, clock INTEGER NOT NULL, "cursor" INTEGER,
    page TEXT, epoch TEXT, owner TEXT, last_sync INTEGER, last_error TEXT)""",
    "INSERT INTO replica (generation, mode, clock) VALUES (0, 'normal', 0)",
    # What the server has; a tombstone has no fields. `stamps` are those that are not `stamp`.
    """CREATE TABLE records (model TEXT NOT NULL, id TEXT NOT NULL, fields TEXT, stamp INTEGER NOT NULL, stamps TEXT,
    life INTEGER NOT NULL, PRIMARY KEY (model, id)) WITHOUT ROWID""",
    STAGED,
    # What the user sees of records with edits that `records` lacks.
    """CREATE TABLE drafts (model TEXT NOT NULL, id TEXT NOT NULL, fields TEXT, life INTEGER NOT NULL,
    PRIMARY KEY (model, id)) WITHOUT ROWID""",
    """CREATE TABLE queue (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, model TEXT NOT NULL,
    record TEXT NOT NULL, data TEXT NOT NULL, timestamp INTEGER NOT NULL, clock INTEGER NOT NULL, life INTEGER NOT NULL,
    state INTEGER NOT NULL, offer INTEGER NOT NULL, unseen TEXT)""",
    "CREATE INDEX queue_of_record ON queue (model, record, seq)",
    "CREATE INDEX queue_pending ON queue (seq) WHERE state = 0",
    "CREATE TABLE reports (number INTEGER PRIMARY KEY, report TEXT NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)


class Store:
    """The store of one replica, for any number of threads; other processes may have the same file open.

    `where` is a path, a URL as SQLAlchemy writes it, or a connection, which is left as it is and not closed. Raises
    `StoreError`, as all its transactions do, if the store cannot be used.
    """

    def __init__(self, where: str | os.PathLike[str] | sqlite3.Connection) -> None:
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened = not isinstance(where, sqlite3.Connection)
        path = None if isinstance(where, sqlite3.Connection) else _path_of(where)
        self._name = "the replica's store" if path is None else f"the replica's store {path}"
        with self._told():
            self._connection = where if isinstance(where, sqlite3.Connection) else _connect(str(path))
            try:
                self._prepare(self._connection)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close the connection, if it was opened here. Safe to repeat."""
        with self._lock:
            if self._opened and self._connection is not None:
                self._connection.close()
            self._connection = None

    @property
    def closed(self) -> bool:
        return self._connection is None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Do what is done in the context in one transaction, or not at all."""
        with self._lock, self._told():
            connection = self._in_use()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Read what the store holds at one moment."""
        with self._lock, self._told():
            connection = self._in_use()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.rollback()

    def _in_use(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError("the replica is closed")
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Create the tables in an empty store; refuse what is no replica's, before anything is done to it."""
        connection.execute("BEGIN")  # another process may be creating them
        try:
            known = self._is_known(connection)
        finally:
            connection.rollback()
        if self._opened:
            _set_up(connection)
        if known:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_known(connection):  # another process may have been faster
                for statement in _LAYOUT:
                    connection.execute(statement)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    def _is_known(self, connection: sqlite3.Connection) -> bool:
        """Say whether the store has its tables; False if it is empty."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application == _APPLICATION:
            if version != FORMAT:
                raise StoreError(
                    f"{self._name} has the format {version}, and this version of Mobync knows {FORMAT}: "
                    "use the newer version that wrote it"
                )
            return True
        if application or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreError(f"{self._name} is not a replica's: it holds something else. Name a file of its own")
        return False

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell errors of SQLite as what they mean here."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreError(f"{self._name} stayed locked by another process; try again ({error})") from error
            if code == "SQLITE_NOTADB":
                raise StoreError(f"{self._name} is not a replica's: it is no SQLite database") from error
            if code.startswith("SQLITE_READONLY"):
                raise StoreError(f"{self._name} cannot be written ({error})") from error
            raise StoreError(f"{self._name} cannot be used: {error}") from error


def _path_of(where: str | os.PathLike[str]) -> str:
    text = os.fspath(where)
    if not isinstance(text, str):
        raise TypeError(f"store must be a path, a URL such as sqlite:///app.db or a connection, not {text!r}")
    if text.startswith("sqlite://"):
        rest = text.removeprefix("sqlite://")
        if rest and not rest.startswith("/"):
            raise StoreError("the URL of a replica's store names no host: sqlite:///app.db, or sqlite:////var/app.db")
        return rest.removeprefix("/") or ":memory:"
    if "://" in text:
        raise StoreError(
            f"a replica's store is an SQLite file: a path or sqlite:///…, not {text.partition(':')[0]}://…"
        )
    if not text:
        raise StoreError("a replica's store needs a path, or :memory:")
    return text


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)


def _set_up(connection: sqlite3.Connection) -> None:
    """Have readers and one writer work side by side, and what is committed survive the loss of power."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:  # while others open it too; SQLite does not wait there
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 16777216")  # what one large sync made it grow to is not kept
