"""The fixtures that give tests their servers. `tests/conftest.py` imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import mariadb, mongodb, postgresql, redis, redis_cluster
from tests.servers.sources import Server, own_server, server_url

__all__ = [
    "mariadb_server",
    "mariadb_server_url",
    "mariadb_url",
    "mongodb_server",
    "mongodb_server_url",
    "mongodb_url",
    "postgresql_server",
    "postgresql_server_url",
    "postgresql_url",
    "redis_cluster_server",
    "redis_cluster_server_url",
    "redis_cluster_url",
    "redis_server",
    "redis_server_url",
    "redis_url",
    "url",
]


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


@pytest.fixture(scope="session")
def mariadb_server_url() -> Iterator[str]:
    """The URL of a server on which tests may make databases: one for the whole session."""
    with server_url(mariadb) as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb_server_url: str) -> Iterator[str]:
    """The URL of a database that only this test has."""
    with mariadb.fresh_database(mariadb_server_url) as url:
        yield url


@pytest.fixture
def mariadb_server() -> Iterator[Server]:
    """A running server that only this test has: it may kill it and start it again."""
    with own_server(mariadb) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server_url() -> Iterator[str]:
    """The URL of a server on which tests may write: one for the whole session."""
    with server_url(redis) as url:
        yield url


@pytest.fixture
def redis_url(redis_server_url: str) -> Iterator[str]:
    """The URL of a prefix of keys that only this test has."""
    with redis.fresh_database(redis_server_url) as url:
        yield url


@pytest.fixture
def redis_server() -> Iterator[Server]:
    """A running server that only this test has: it may kill it and start it again."""
    with own_server(redis) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster_server_url() -> Iterator[str]:
    """The URL of a server on which tests may write: one for the whole session."""
    with server_url(redis_cluster) as url:
        yield url


@pytest.fixture
def redis_cluster_url(redis_cluster_server_url: str) -> Iterator[str]:
    """The URL of a prefix of keys in a cluster that only this test has."""
    with redis_cluster.fresh_database(redis_cluster_server_url) as url:
        yield url


@pytest.fixture
def redis_cluster_server() -> Iterator[Server]:
    """A running server that only this test has: it may kill it and start it again."""
    with own_server(redis_cluster) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server_url() -> Iterator[str]:
    """As `postgresql_server_url`."""
    with server_url(mongodb) as url:
        yield url


@pytest.fixture
def mongodb_url(mongodb_server_url: str) -> Iterator[str]:
    """The URL of a database that only this test has."""
    with mongodb.fresh_database(mongodb_server_url) as url:
        yield url


@pytest.fixture
def mongodb_server() -> Iterator[Server]:
    """A running server that only this test has: it may kill it and start it again."""
    with own_server(mongodb) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty storage that processes may share and only this test has. Nobody has set it up yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path.as_posix()}/shared.db"
    found: str = request.getfixturevalue("postgresql_url")
    return found
