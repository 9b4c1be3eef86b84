"""The fixtures that give tests their servers. `tests/conftest.py` loads them.

For each backend, such as PostgreSQL, there are three: ``postgresql_server_url``, a server for the whole session on
which tests may make databases; ``postgresql_url``, a database there that only one test has; and ``postgresql_server``,
a `Server` that only one test has: it may kill it and start it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import mariadb, mongodb, postgresql, redis, redis_cluster
from tests.servers.sources import Backend, Server, own_server, server_url


def _fixtures_of(backend: Backend) -> tuple[Any, Any, Any]:
    name = backend.BACKEND.replace("-", "_")

    @pytest.fixture(scope="session", name=f"{name}_server_url")
    def session_url() -> Iterator[str]:
        with server_url(backend) as url:
            yield url

    @pytest.fixture(name=f"{name}_url")
    def url(request: pytest.FixtureRequest) -> Iterator[str]:
        with backend.fresh_database(request.getfixturevalue(f"{name}_server_url")) as url:
            yield url

    @pytest.fixture(name=f"{name}_server")
    def server() -> Iterator[Server]:
        with own_server(backend) as server:
            yield server

    return session_url, url, server


# pytest finds fixtures by the names of a module, and calls them by their own.
_postgresql_server_url, _postgresql_url, _postgresql_server = _fixtures_of(postgresql)
_mariadb_server_url, _mariadb_url, _mariadb_server = _fixtures_of(mariadb)
_redis_server_url, _redis_url, _redis_server = _fixtures_of(redis)
_redis_cluster_server_url, _redis_cluster_url, _redis_cluster_server = _fixtures_of(redis_cluster)
_mongodb_server_url, _mongodb_url, _mongodb_server = _fixtures_of(mongodb)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage that processes may share and only this test has. Nobody has set it up yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path.as_posix()}/shared.db"
    found: str = request.getfixturevalue("postgresql_url")
    return found
