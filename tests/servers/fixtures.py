"""The fixtures that give tests their servers. `tests/conftest.py` imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import postgresql
from tests.servers.sources import Server, own_server, server_url

__all__ = ["postgresql_server", "postgresql_server_url", "postgresql_url", "url"]


@pytest.fixture(scope="session")
def postgresql_server_url() -> Iterator[str]:
    """The URL of a server on which tests may make databases: one for the whole session."""
    with server_url(postgresql) as url:
        yield url


@pytest.fixture
def postgresql_url(postgresql_server_url: str) -> Iterator[str]:
    """The URL of a database that only this test has."""
    with postgresql.fresh_database(postgresql_server_url) as url:
        yield url


@pytest.fixture
def postgresql_server() -> Iterator[Server]:
    """A running server that only this test has: it may kill it and start it again."""
    with own_server(postgresql) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage that processes may share and only this test has. Nobody has set it up yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path.as_posix()}/shared.db"
    found: str = request.getfixturevalue("postgresql_url")
    return found
