"""Engines as an application would make them, and what a storage says to its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mobync_sql import SQLStorage
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

from mobync_core import (
    Storage,
)
from tests.storage.conftest import Place

DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}


@contextmanager
def engine_at(place: Place) -> Iterator[Engine]:
    """An engine as an application would make it, with SQLAlchemy's own defaults."""
    if place.url == "sqlite://":
        engine = create_engine(place.url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        url = make_url(place.url)
        engine = create_engine(url.set(drivername=DRIVERS.get(url.drivername, url.drivername)))
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def statements_of(storage: Storage) -> Iterator[list[str]]:
    assert isinstance(storage, SQLStorage)
    seen: list[str] = []

    def see(_connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        seen.append(" ".join(statement.split()))

    engine = storage.engine
    event.listen(engine, "before_cursor_execute", see)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", see)
