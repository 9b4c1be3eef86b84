"""An application that knows neither SQLAlchemy nor Mobync: its SQL, by the database's driver, and what is marked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import psycopg
import pymysql  # type: ignore[import-untyped]
from mobync_sql import Binding, open_sql, triggers
from mobync_sql.binding import BoundTable, resolve
from sqlalchemy import Engine, MetaData, Table, create_engine, make_url

from tests.storage.engines import DRIVERS

REFUSED = (sqlite3.Error, psycopg.Error, pymysql.MySQLError)
"""What the drivers raise when the database does not do a statement."""


class Mark(NamedTuple):
    """What a mark says, but for when it was made."""

    owner: str
    id: str
    model: str = "tasks"


class Session:
    """A connection of the driver. Each statement is a transaction, unless there is a BEGIN."""

    def __init__(self, database: Database, **options: Any) -> None:
        url = make_url(database.url)
        self.connection: Any
        if database.name == "sqlite":
            self.connection = sqlite3.connect(str(url.database), isolation_level=None, timeout=20, **options)
            self.run("PRAGMA foreign_keys = ON")
        elif database.name == "postgresql":
            self.connection = psycopg.connect(
                url.set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True, **options
            )
        else:
            options = {"user": url.username, "password": url.password, "database": url.database, **options}
            self.connection = pymysql.connect(
                host=url.host, port=url.port or 3306, charset="utf8mb4", autocommit=True, **options
            )

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, and return the rows of the last."""
        with closing(self.connection.cursor()) as cursor:
            for statement in statements:
                cursor.execute(statement)
            self.last_id: int | None = getattr(cursor, "lastrowid", None)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def close(self) -> None:
        self.connection.close()


class Database:
    """An empty database with Mobync's tables, and a session of the application."""

    def __init__(self, url: str) -> None:
        self.url = url
        parsed = make_url(url)
        self.name = parsed.drivername
        self.engine: Engine = create_engine(parsed.set(drivername=DRIVERS.get(self.name, self.name)))
        with closing(open_sql(url)) as storage:
            storage.setup()
        self.application = Session(self)
        self.run = self.application.run

    def close(self) -> None:
        self.application.close()
        self.engine.dispose()

    @contextmanager
    def session(self, **options: Any) -> Iterator[Session]:
        """Another session of the application."""
        with closing(Session(self, **options)) as session:
            yield session

    def quote(self, name: str) -> str:
        mark = "`" if self.name == "mariadb" else '"'
        return mark + name.replace(mark, mark * 2) + mark

    def bound(self, table: Table | str, *, schema: str | None = None, **binding: Any) -> BoundTable:
        """Return a table as it is bound by ``Binding(…)``; as it is in the database if only its name is given."""
        if isinstance(table, str):
            table = Table(table, MetaData(), schema=schema, autoload_with=self.engine, resolve_fks=False)
        return resolve(Binding(table, **{"owner": "user_id", "triggers": True, **binding}))

    def install(self, table: Table | str = "tasks", *, schema: str | None = None, **binding: Any) -> bool:
        bound = self.bound(table, schema=schema, **binding)
        with self.engine.begin() as connection:
            missing = triggers.are_missing(connection, bound)
            triggers.install(connection, bound)
            return missing

    def remove(self, model: BoundTable | str) -> None:
        with self.engine.begin() as connection:
            triggers.remove(connection, model)

    def times(self) -> list[int]:
        """When the marks were made: UTC, in ms."""
        return [at for (at,) in self.run("SELECT at FROM mobync_outbox ORDER BY at")]

    def marks(self) -> list[Mark]:
        """Take all marks out of the outbox; in order, since theirs means nothing."""
        rows = self.run("SELECT owner, model, id FROM mobync_outbox")
        self.run("DELETE FROM mobync_outbox")
        texts = [[text.decode() if isinstance(text, bytes) else text for text in row] for row in rows]
        return sorted(Mark(owner, id, model) for owner, model, id in texts)

    def triggers(self) -> list[str]:
        """The names of all that the database has of Mobync's triggers."""
        found = self.run(
            {
                "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
                "postgresql": (
                    "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION ALL "
                    "SELECT proname FROM pg_proc WHERE proname LIKE 'mobync%'"
                ),
                "mariadb": "SELECT trigger_name FROM information_schema.triggers WHERE trigger_name LIKE 'mobync%'",
            }[self.name]
        )
        return sorted(name for (name,) in found if name.startswith("mobync"))
