"""The database of an engine: its connections and transactions, and its errors in the storage's own words."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.pool import Pool, StaticPool

from mobync_core.errors import StorageClosed, StorageError, StorageUnavailable
from mobync_core.urls import redact
from mobync_sql.dialects import dialect_of

T = TypeVar("T")

_AT_ONCE = 1
"""How soon a connection that the server closed while it was idle fails, in seconds at most."""

OWN = "mobync"
"""The execution option of Mobync's own statements, which are no writes of the application."""


class Database:
    """Does work in the database of `engine`, which stays open at `close` unless `owns_engine`.

    Every method may raise the storage's errors. Threads may share it, and a process may fork after making it.
    """

    def __init__(self, engine: Engine, *, owns_engine: bool = False) -> None:
        self.dialect = dialect_of(engine)
        self.dialect.check_engine(engine)
        self.dialect.lent = not owns_engine
        self.engine = engine
        self.owns_engine = owns_engine
        # Transactions are begun and ended here by hand: SQLite's must begin as writes, reads need none.
        options = {OWN: True} if owns_engine else {OWN: True, "isolation_level": "AUTOCOMMIT"}
        self._engine = engine.execution_options(**options)
        self._reading, self._writing = self.dialect.locks(engine)
        self._closed = False
        _databases.add(self)

    def close(self) -> None:
        """Close the engine if it was opened by URL. Calls after it raise `StorageClosed`."""
        self._closed = True
        if self.owns_engine:
            self.engine.dispose()

    @property
    def name(self) -> str:
        """The database's URL, without its password."""
        return redact(self.engine.url.render_as_string(hide_password=True))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn errors of the driver and of SQLAlchemy into the storage's own.

        Their messages are rebuilt: SQLAlchemy's would quote statements with the data of people.
        """
        if self._closed:
            raise StorageClosed(f"{self.name} is closed")
        try:
            yield
        except DBAPIError as error:
            cause = cast(BaseException, error.orig)
            kind, message = self.dialect.fault(cause)
            if error.connection_invalidated and kind is StorageError:
                kind = StorageUnavailable
            raise kind(f"{self.name}: {redact(message)}") from cause
        except NoFreeConnection as error:
            raise StorageUnavailable(f"{self.name}: no connection of the pool became free in time") from error
        except (UnicodeError, OverflowError) as error:
            # Text that UTF-8 cannot hold, an integer over 64 bits: found out before the database sees it.
            raise StorageError(f"{self.name} cannot hold this: {error}") from error
        except SQLAlchemyError as error:
            raise StorageError(f"{self.name}: {type(error).__name__}") from error

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work`, which needs no transaction and is safe to do twice."""
        with self._faults(), self._reading:
            connection, result = self._connected(work)
            connection.close()
            return result

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, or rolled back by an error."""
        with self._faults(), self._writing:
            connection, _ = self._connected(self.dialect.start)
            with connection:
                try:
                    yield connection
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    self._roll_back(connection)
                    raise
                finally:
                    if not connection.invalidated:
                        self.dialect.finish(connection)

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
            raise StorageUnavailable(f"{self.name}: {redact(str(error))}") from error

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
        self._reading, self._writing = self.dialect.locks(self.engine)
        pool = self.engine.pool
        if not isinstance(pool, StaticPool):
            _of_the_parent.append(pool)
            self.engine.dispose(close=False)


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_of_the_parent: list[Pool] = []  # kept, since to collect a connection is to close it under the parent's feet


def _renew_after_fork() -> None:
    for database in list(_databases):
        database._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_after_fork)
