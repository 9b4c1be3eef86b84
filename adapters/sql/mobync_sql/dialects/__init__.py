"""What differs between databases: one small module for each, chosen by SQLAlchemy's names of dialect and driver."""

from __future__ import annotations

from sqlalchemy import Engine

from mobync_sql.dialects.base import Dialect
from mobync_sql.dialects.mariadb import MariaDB
from mobync_sql.dialects.postgresql import PostgreSQL
from mobync_sql.dialects.sqlite import SQLite

DIALECTS: dict[tuple[str, str], type[Dialect]] = {
    ("sqlite", "pysqlite"): SQLite,
    ("postgresql", "psycopg"): PostgreSQL,
    ("mysql", "pymysql"): MariaDB,
    ("mariadb", "pymysql"): MariaDB,
}


def dialect_class(name: str, driver: str) -> type[Dialect]:
    """Return the class for SQLAlchemy's names of a dialect and a driver. Raises `ValueError` if there is none."""
    if (name, driver) not in DIALECTS:
        known = ", ".join(f"{name}+{driver}" for name, driver in DIALECTS)
        raise ValueError(f"{name}+{driver} is not a database and driver that mobync-sql knows, which are {known}")
    return DIALECTS[name, driver]


def dialect_of(engine: Engine) -> Dialect:
    """Return the dialect for `engine`. Raises `ValueError` if there is none for its database and driver."""
    return dialect_class(engine.dialect.name, engine.dialect.driver)()
