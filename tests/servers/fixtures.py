"""The fixtures that give tests their servers. `tests/conftest.py` imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import postgresql
from tests.servers.sources import no_server, url_from_environment

__all__ = ["postgresql_server", "postgresql_server_url", "postgresql_url", "url"]


@pytest.fixture(scope="session")
def _own_postgresql() -> Iterator[postgresql.PostgreSQL]:
    bin = postgresql.binaries()
    if bin is None:
        no_server(postgresql.BACKEND, postgresql.WAY_OUT)
    with postgresql.own_server(bin) as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_server_url(request: pytest.FixtureRequest) -> str:
    """The URL of a server on which tests may make databases: one for the whole session."""
    if url := url_from_environment(postgresql.BACKEND):
        return url
    server: postgresql.PostgreSQL = request.getfixturevalue("_own_postgresql")
    return server.url.render_as_string(hide_password=False)


@pytest.fixture
def postgresql_url(postgresql_server_url: str) -> Iterator[str]:
    """The URL of a database that only this test has."""
    with postgresql.fresh_database(postgresql_server_url) as url:
        yield url


@pytest.fixture
def postgresql_server() -> Iterator[postgresql.PostgreSQL]:
    """A running server that only this test has: it may kill it and start it again."""
    bin = postgresql.binaries()
    if bin is None:
        no_server(postgresql.BACKEND, f"{postgresql.WAY_OUT} (a server given by URL cannot be killed)")
    with postgresql.own_server(bin) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage that processes may share and only this test has. Nobody has set it up yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path.as_posix()}/shared.db"
    found: str = request.getfixturevalue("postgresql_url")
    return found
