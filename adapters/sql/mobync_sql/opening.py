"""Opens a storage by its URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from mobync_core.errors import InvalidURL
from mobync_core.urls import redact
from mobync_sql.dialects import dialect_class
from mobync_sql.storage import SQLStorage

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mariadb": "mariadb+pymysql",
    "mysql": "mysql+pymysql",
}

CONNECT_SECONDS = 5
"""How long connecting may take, where the URL says nothing."""

SILENCE_SECONDS = 20
"""How long a server may give no sign in the middle of a call, where the URL's `read_timeout` says nothing."""

POSTGRESQL_OPTIONS = {
    "application_name": "mobync",
    "client_encoding": "utf8",
    "connect_timeout": CONNECT_SECONDS,
    # By these the system finds out that the other machine is gone, and ends a connection that nobody uses, too.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": SILENCE_SECONDS * 1000,
}
"""What libpq is told where the URL says nothing: times are in seconds, but for the last, in ms."""

_MARIADB_SECONDS = {
    "connect_timeout": CONNECT_SECONDS,
    "read_timeout": SILENCE_SECONDS,
    "write_timeout": SILENCE_SECONDS,
}

MARIADB_OPTIONS = {
    *_MARIADB_SECONDS,
    *("charset", "unix_socket", "bind_address", "program_name"),
    *("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key", "ssl_cipher", "ssl_check_hostname"),
}
"""The options that a URL of MariaDB or MySQL may have: of PyMySQL, those for TLS as SQLAlchemy reads them."""

_MARIADB_SESSION = (
    # A commit locks the rows that it names, and no gaps between them, in which other owners' may lie.
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    # A crowd that waits for one owner's row keeps connections that other owners need; less than 1 s cannot be said.
    "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 10",
)
"""What each session begins with. The mode is set by the driver, before SQLAlchemy looks how to quote names."""

_MARIADB_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"

_STATEMENT_SECONDS = 15
"""When MariaDB is to give a statement up: before we do, or its locks would outlive our interest. MySQL has no such
limit on what writes."""

SQLITE_OPTIONS = {"timeout", "cached_statements", "check_same_thread", "detect_types", "uri"}
"""The options of a URL that Python's sqlite3 may be given; a ``file:`` URI has more, which are SQLite's own."""

POOL_SIZE = 20
"""The most connections at a time of one process; they are opened when needed."""

POOL_SECONDS = 10
"""How long a call waits for one of them to become free."""


def open_sql(url: str) -> SQLStorage:
    """Open the database that `url` names, without `setup`; `close` of the storage closes it.

    Forms: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` (in memory),
    ``postgresql://user:password@host:port/database``, ``mysql://…`` or ``mariadb://…``; options as SQLAlchemy and the
    driver know them follow a ``?``.
    Nothing connects yet. Raises `InvalidURL`, and `ImportError` if the driver is not installed.
    """
    try:
        parsed = make_url(url)
        if "@" in (parsed.host or ""):
            raise ValueError
    except (ArgumentError, ValueError):
        # Their messages, and a host with an @, may quote a part of the password.
        raise InvalidURL(
            f"{redact(url)} cannot be read: it should be as postgresql://user:***@host:5432/name, with "
            "%, @, : and / percent-encoded in the password"
        ) from None
    drivername = parsed.drivername.lower()  # Mobync tells schemes apart in lower case
    parsed = parsed.set(drivername=_DRIVERS.get(drivername, drivername))
    try:
        backend = parsed.get_backend_name()
        dialect_class(backend, parsed.get_driver_name())
        return SQLStorage(_OPENERS[backend](parsed), owns_engine=True)
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
    event.listen(engine, "connect", _begin_sqlite)
    return engine


def _begin_sqlite(connection: Any, _record: object) -> None:
    # What a client was told to be stored must survive the loss of power, not only that of the process (NORMAL).
    connection.execute("PRAGMA synchronous = FULL").close()
    # For tables of the application, which models may be bound to: SQLite does not check their references by itself.
    connection.execute("PRAGMA foreign_keys = ON").close()


def _postgresql(url: URL) -> Engine:
    from mobync_sql.silence import WatchedConnection  # noqa: PLC0415 - imports the driver

    silence = _seconds(url, "read_timeout", SILENCE_SECONDS)
    url = url.difference_update_query(["read_timeout"])
    options = {name: value for name, value in POSTGRESQL_OPTIONS.items() if name not in url.query}
    engine = _server(url, connect_args=options)

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> WatchedConnection:
        connection = WatchedConnection.connect(*arguments, **options)
        connection.silence = silence
        return connection

    return engine


def _mariadb(url: URL) -> Engine:
    if unknown := set(url.query) - MARIADB_OPTIONS:
        raise ValueError(f"unknown options {sorted(unknown)}, known are {sorted(MARIADB_OPTIONS)}")
    if not url.database:
        raise ValueError("it names no database, as in mysql://user:***@host:3306/name")
    if url.query.get("charset", "utf8mb4") != "utf8mb4":
        raise ValueError("its charset must be utf8mb4, or texts would not come back as they were")
    options: dict[str, Any] = {name: _seconds(url, name, seconds) for name, seconds in _MARIADB_SECONDS.items()}
    options |= {"charset": "utf8mb4", "sql_mode": _MARIADB_MODE, "autocommit": True}
    if url.password is not None:
        options["password"] = str(url.password).encode()  # PyMySQL would make latin-1 of it
    # Whatever was begun is also ended: to roll back when a connection goes back would cost a round trip for each load.
    engine = _server(url, connect_args=options, pool_reset_on_return=None)
    event.listen(engine, "connect", _begin_session)
    return engine


def _begin_session(connection: Any, _record: object) -> None:
    limit = f"SET SESSION max_statement_time = {_STATEMENT_SECONDS}"
    is_mariadb = "mariadb" in connection.get_server_info().lower()
    with connection.cursor() as cursor:
        for statement in (*_MARIADB_SESSION, limit) if is_mariadb else _MARIADB_SESSION:
            cursor.execute(statement)


def _seconds(url: URL, name: str, default: int) -> int:
    value = url.query.get(name, str(default))
    if not (isinstance(value, str) and value.isascii() and value.isdigit() and int(value)):
        raise ValueError(f"{name} must be a number of seconds, such as {default}")
    return int(value)


def _server(url: URL, **options: Any) -> Engine:
    return create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=POOL_SECONDS,
        pool_use_lifo=True,  # so that those which are not needed stay idle
        **options,
    )


_OPENERS: dict[str, Callable[[URL], Engine]] = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mariadb,
    "mariadb": _mariadb,
}
