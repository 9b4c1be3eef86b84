"""Opens a storage by its URL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from mobync_core.errors import InvalidURL
from mobync_core.urls import redact
from mobync_sql.dialects import dialect_class
from mobync_sql.storage import SQLStorage

_POSTGRESQL = {"postgresql", "postgres"}

CONNECT_OPTIONS = {
    "application_name": "mobync",
    "client_encoding": "utf8",
    "connect_timeout": 5,
    # A server that is gone without a word is noticed within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""What libpq is told where the URL says nothing: times are in seconds, but for the last, in ms."""

SQLITE_OPTIONS = {"timeout", "cached_statements", "check_same_thread", "detect_types", "uri"}
"""The options of a URL that Python's sqlite3 may be given; a ``file:`` URI has more, which are SQLite's own."""

POOL_SIZE = 20
"""The most connections at a time of one process; they are opened when needed."""

POOL_SECONDS = 10
"""How long a call waits for one of them to become free."""


def open_sql(url: str) -> SQLStorage:
    """Open the database that `url` names, without `setup`; `close` of the storage closes it.

    Forms: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` (in memory),
    ``postgresql://user:password@host:port/database``; options as SQLAlchemy and the driver know them follow a ``?``.
    Nothing connects yet. Raises `InvalidURL`, and `ImportError` if the driver is not installed.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their messages may quote a part of the password.
        raise InvalidURL(
            f"{redact(url)} cannot be read: it should be as postgresql://user:***@host:5432/name"
        ) from None
    if parsed.drivername in _POSTGRESQL:
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        dialect_class(parsed.get_backend_name(), parsed.get_driver_name())
        engine = _sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _server(parsed)
        return SQLStorage(engine, owns_engine=True)
    except (ArgumentError, NoSuchModuleError, TypeError, ValueError) as error:
        raise InvalidURL(f"{redact(url)} cannot be opened: {redact(str(error))}") from None


def is_in_memory(url: URL | str) -> bool:
    """Say whether a ``sqlite:`` URL names a database that ends with its storage."""
    parsed = make_url(url)
    return not parsed.database or ":memory:" in parsed.database or parsed.query.get("mode") == "memory"


def _sqlite(url: URL) -> Engine:
    database = url.database or ""
    if not database.startswith("file:") and (unknown := set(url.query) - SQLITE_OPTIONS):
        raise ValueError(f"unknown options {sorted(unknown)}, known are {sorted(SQLITE_OPTIONS)}")
    options: dict[str, Any] = {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": POOL_SECONDS}
    if is_in_memory(url):
        # One connection, which all threads share.
        options = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    engine = create_engine(url, isolation_level="AUTOCOMMIT", hide_parameters=True, **options)
    event.listen(engine, "connect", _flush_commits)
    return engine


def _flush_commits(connection: Any, _record: object) -> None:
    # What a client was told to be stored must survive the loss of power, not only that of the process (NORMAL).
    connection.execute("PRAGMA synchronous = FULL").close()


def _server(url: URL) -> Engine:
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_use_lifo=True,  # so that those which are not needed stay idle
        connect_args={name: value for name, value in CONNECT_OPTIONS.items() if name not in url.query},
    )
