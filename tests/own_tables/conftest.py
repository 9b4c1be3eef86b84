"""An application's engine, with its tables, on each database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from mobync_sql import Binding, SQLStorage
from sqlalchemy import Engine, create_engine, event, make_url

from mobync_core import Mobync
from tests.own_tables.tables import Base, Project, Task
from tests.storage.engines import DRIVERS

DATABASES = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, as Mobync takes it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'app.db'}"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The application's engine, made as it would make it, and its empty tables."""
    url = make_url(database_url)
    engine = create_engine(url.set(drivername=DRIVERS.get(url.drivername, url.drivername)))
    if url.drivername == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def bindings(*, triggers: bool) -> list[Binding]:
    return [
        Binding(Project, owner="user_id", triggers=triggers),
        Binding(
            Task,
            owner="user_id",
            model="todo",
            fields={"text": "title"},
            hidden=["note"],
            read_only=["approved"],
            triggers=triggers,
        ),
    ]


@pytest.fixture(params=["capture", "triggers"])
def mobync(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Mobync]:
    """An engine of Mobync whose models are bound to the application's tables."""
    with closing(SQLStorage(engine, bind=bindings(triggers=request.param == "triggers"))) as storage:
        yield Mobync(storage)
