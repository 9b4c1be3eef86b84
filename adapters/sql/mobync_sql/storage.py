"""The storage itself: what is the same on every database."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from operator import attrgetter
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, Integer, Select, bindparam, select, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.pool import Pool, StaticPool

from mobync_core.errors import ConflictError, SchemaError, StorageClosed, StorageError, StorageUnavailable
from mobync_core.storage import Commit, Key, Note, Record, Snapshot
from mobync_core.urls import redact
from mobync_sql import schema
from mobync_sql.dialects import dialect_of
from mobync_sql.dialects.base import CHANGED, OWNER

T = TypeVar("T")

_RAISE_CLOCK = text(
    "UPDATE mobync_owners SET clock = :clock, epoch = :renewed, purged = :purged "
    "WHERE owner = :owner AND clock = :expected AND epoch = :epoch"
)
_ERASE_OWNER = text("DELETE FROM mobync_owners WHERE owner = :owner")
_ERASE_RECORDS = text("DELETE FROM mobync_records WHERE owner = :owner")
_ERASE_NOTES = text("DELETE FROM mobync_notes WHERE owner = :owner")

_owner = schema.owners.c.owner
_OWNERS = (
    select(_owner)
    .where(_owner >= bindparam("prefix"), _owner > bindparam("after"))
    .order_by(_owner)
    .limit(bindparam("page", type_=Integer))
)

_note = schema.notes.c
_NOTES = (
    select(_note.key, _note.body)
    .where(_note.owner == bindparam("owner"), _note.kind == bindparam("kind"))
    .where(_note.key >= bindparam("prefix"), _note.key > bindparam("after"))
    .order_by(_note.key)
    .limit(bindparam("page", type_=Integer))
)

# What is read at once when a caller goes through all of something: a note may be large, an owner's name is not.
_NOTES_PAGE = 100
_OWNERS_PAGE = 1000

_ERASE_SECONDS = 5
"""How long an erasure tries again, while commits of the owner are in its way."""

_AT_ONCE = 1
"""How soon a connection that the server closed while it was idle fails, in seconds at most."""


class SQLStorage:
    """A storage in the database of a SQLAlchemy engine; see `mobync_core.storage.Storage` for its calls.

    The engine's database is SQLite, PostgreSQL through psycopg 3, or MariaDB or MySQL through PyMySQL; `ValueError`
    says so of another. `close` leaves the engine open unless `owns_engine`. Threads may share the storage, and a
    process may fork after making it: the child gets connections of its own.
    """

    def __init__(self, engine: Engine, *, owns_engine: bool = False) -> None:
        self._dialect = dialect_of(engine)
        self._dialect.check_engine(engine)
        self._given_engine = engine
        self._owns_engine = owns_engine
        # The storage begins and ends its transactions itself: SQLite's must begin as writes, reads need none.
        self._engine = engine if owns_engine else engine.execution_options(isolation_level="AUTOCOMMIT")
        self._reading, self._writing = self._dialect.locks(engine)
        self._closed = False
        _storages.add(self)

    def __repr__(self) -> str:
        return f"SQLStorage({self._name!r})"

    def setup(self) -> None:
        version = self._read(schema.version_of)
        schema.refuse_newer(version)
        if reason := self._read(self._dialect.unfit):
            raise SchemaError(f"{self._name} will not do: {reason}")
        if version == len(schema.STEPS):
            return  # as a user who may not create tables should be able to
        if version == 0 and self._owns_engine:
            self._read(self._dialect.prepare_file)
        with self._transaction() as connection, self._dialect.schema_lock(connection):
            schema.migrate(connection)

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        rows = self._read(lambda connection: self._dialect.load(connection, owner, since, keys, limit))
        clock, epoch, purged = 0, "", -1
        changed: list[Record] = []
        named: list[Record] = []
        for tag, model, id, at, deleted, changed_at, body in rows:
            if tag == OWNER:
                epoch, clock, purged = model, at, changed_at
            else:
                record = Record(model, id, at, bool(deleted), changed_at, body)
                (changed if tag == CHANGED else named).append(record)
        # They come in order, but no database promises that of a part of a UNION. Sorting what is sorted is cheap.
        changed.sort(key=attrgetter("clock"))
        return Snapshot(clock=clock, epoch=epoch, purged=purged, changed=changed, named=named)

    def commit(self, owner: str, commit: Commit) -> None:
        if commit.clock <= commit.expected:
            raise StorageError(f"a commit must raise the clock: {commit.clock} is not over {commit.expected}")
        self._dialect.check(owner, commit)
        with self._transaction() as connection:
            # First the owner's row, whose lock makes every other commit of this owner wait, and then fail.
            renewed = commit.renew or commit.epoch
            head = {"owner": owner, "clock": commit.clock, "purged": commit.purged}
            if commit.expected:
                expected = {"expected": commit.expected, "epoch": commit.epoch}
                done = connection.execute(_RAISE_CLOCK, {**head, **expected, "renewed": renewed})
            else:
                done = connection.execute(self._dialect.insert_owner, {**head, "epoch": renewed})
            if done.rowcount != 1:
                raise ConflictError(f"the owner's clock is not {commit.expected}, or its epoch is another")
            if commit.remove:
                self._dialect.remove(connection, owner, commit.remove)
            if commit.put:
                self._dialect.put(connection, owner, commit.put)
            if commit.forget:
                self._dialect.forget(connection, owner, commit.forget)
            if commit.notes:
                self._dialect.write_notes(connection, owner, commit.notes)

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        left = limit
        while left is None or left > 0:
            page = _NOTES_PAGE if left is None else min(left, _NOTES_PAGE)
            rows = self._page(_NOTES, owner=owner, kind=kind, prefix=prefix, after=after, page=page)
            # In the order of bytes, the keys with the prefix lie side by side.
            inside = takewhile(lambda row: row[0].startswith(prefix), rows)
            found = [Note(kind, row[0], row[1]) for row in inside]
            yield from found
            if len(found) < page:
                return
            after = found[-1].key
            left = None if left is None else left - page

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        after = ""
        while True:
            rows = self._page(_OWNERS, prefix=prefix, after=after, page=_OWNERS_PAGE)
            found = [row[0] for row in takewhile(lambda row: row[0].startswith(prefix), rows)]
            yield from found
            if len(found) < _OWNERS_PAGE:
                return
            after = found[-1]

    def erase(self, owner: str) -> None:
        deadline = time.monotonic() + _ERASE_SECONDS
        while True:
            try:
                return self._erase(owner)
            except ConflictError:  # a deadlock, or a lock: it expects no clock, so to begin again is right
                if time.monotonic() > deadline:
                    raise

    def _erase(self, owner: str) -> None:
        with self._transaction() as connection:
            # The row first: a commit under way is waited for, one that comes later finds the owner gone. Without a
            # row there is nothing else either, and what a first commit is just writing must stay whole.
            if connection.execute(_ERASE_OWNER, {"owner": owner}).rowcount:
                connection.execute(_ERASE_RECORDS, {"owner": owner})
                connection.execute(_ERASE_NOTES, {"owner": owner})

    def close(self) -> None:
        """Close the engine if it was opened by URL. Calls after it raise `StorageClosed`."""
        self._closed = True
        if self._owns_engine:
            self._engine.dispose()

    @property
    def _name(self) -> str:
        return redact(self._given_engine.url.render_as_string(hide_password=True))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn errors of the driver and of SQLAlchemy into the storage's own.

        Their messages are rebuilt: SQLAlchemy's would quote statements with the data of people.
        """
        if self._closed:
            raise StorageClosed(f"{self._name} is closed")
        try:
            yield
        except DBAPIError as error:
            cause = cast(BaseException, error.orig)
            kind, message = self._dialect.fault(cause)
            if error.connection_invalidated and kind is StorageError:
                kind = StorageUnavailable
            raise kind(f"{self._name}: {redact(message)}") from cause
        except NoFreeConnection as error:
            raise StorageUnavailable(f"{self._name}: no connection of the pool became free in time") from error
        except (UnicodeError, OverflowError) as error:
            # Text that UTF-8 cannot hold, an integer over 64 bits: found out before the database sees it.
            raise StorageError(f"{self._name} cannot hold this: {error}") from error
        except SQLAlchemyError as error:
            raise StorageError(f"{self._name}: {type(error).__name__}") from error

    def _page(self, statement: Select[Any], **asked: str | int) -> Sequence[Sequence[Any]]:
        return self._read(lambda connection: connection.execute(statement, asked).fetchall())

    def _read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which needs no transaction and is safe to do twice."""
        with self._faults(), self._reading:
            connection, result = self._connected(work)
            connection.close()
            return result

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, or rolled back by an error."""
        with self._faults(), self._writing:
            connection, _ = self._connected(lambda connection: connection.exec_driver_sql(self._dialect.begin))
            with connection:
                try:
                    yield connection
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise

    def _connected(self, first: Callable[[Connection], T]) -> tuple[Connection, T]:
        """Take a connection and do `first` on it, which it must be safe to do twice.

        The server may have closed the connection since it was last used: then once more, on a new one. This costs
        nothing while all is well, other than asking before each use.
        """
        fresh = False
        while True:
            connection = self._connect()
            began = time.monotonic()
            try:
                return connection, first(connection)
            except BaseException as error:
                connection.close()
                # What was closed while idle says so at once. A server that fell silent is not to be waited for twice.
                late = time.monotonic() - began > _AT_ONCE
                if fresh or late or not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    raise
                fresh = True  # at the first such error SQLAlchemy retires all connections of the pool

    def _connect(self) -> Connection:
        try:
            return self._engine.connect()
        except (InvalidRequestError, OSError, RuntimeError, ValueError) as error:
            # Not all that keeps a driver from connecting is an error of its own: a file of certificates that is
            # not there, a module that a way to log in would need, a server of the other kind.
            raise StorageUnavailable(f"{self._name}: {redact(str(error))}") from error

    def _roll_back(self, connection: Connection) -> None:
        if connection.invalidated:
            return  # lost, and the transaction with it
        driver_error = cast(type[Exception], self._engine.dialect.loaded_dbapi.Error)
        try:
            # By the driver, to which it is no error if the database has rolled back already.
            connection.connection.rollback()
        except driver_error:
            connection.invalidate()  # closing it ends the transaction; the error that led here is what matters

    def _after_fork(self) -> None:
        self._reading, self._writing = self._dialect.locks(self._given_engine)
        pool = self._given_engine.pool
        if not isinstance(pool, StaticPool):
            _of_the_parent.append(pool)
            self._given_engine.dispose(close=False)


_storages: weakref.WeakSet[SQLStorage] = weakref.WeakSet()
_of_the_parent: list[Pool] = []  # kept, since to collect a connection is to close it under the parent's feet


def _renew_after_fork() -> None:
    for storage in list(_storages):
        storage._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
