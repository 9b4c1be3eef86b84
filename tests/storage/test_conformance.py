"""Our own adapters under the suite that every adapter is to pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mobync_mongodb import MongoStorage
from mobync_redis import RedisStorage
from mobync_sql import SQLStorage
from pymongo import MongoClient
from redis import Redis
from sqlalchemy import create_engine, text

from mobync_core.testing import HandedIn, StorageSuite


def sql_engine(url: str) -> Iterator[HandedIn]:
    """A storage on an engine as an application would make it, and a query on that."""
    engine = create_engine(url)

    def works() -> object:
        with engine.connect() as connection:
            return connection.execute(text("SELECT 1")).scalar() == 1

    yield HandedIn(SQLStorage(engine), works)
    engine.dispose()


class TestMemory(StorageSuite):
    @pytest.fixture
    def url(self) -> str:
        return "memory://"


class TestSQLiteInMemory(StorageSuite):
    @pytest.fixture
    def url(self) -> str:
        return "sqlite://"


class TestSQLite(StorageSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path.as_posix()}/store.db"

    @pytest.fixture
    def handed_in(self, url: str) -> Iterator[HandedIn]:
        yield from sql_engine(url)


class TestPostgreSQL(StorageSuite):
    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url

    @pytest.fixture
    def handed_in(self, url: str) -> Iterator[HandedIn]:
        yield from sql_engine(url.replace("postgresql:", "postgresql+psycopg:"))


class TestMariaDB(StorageSuite):
    @pytest.fixture
    def url(self, mariadb_url: str) -> str:
        return mariadb_url

    @pytest.fixture
    def handed_in(self, url: str) -> Iterator[HandedIn]:
        yield from sql_engine(url.replace("mariadb:", "mariadb+pymysql:"))


class TestRedis(StorageSuite):
    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url

    @pytest.fixture
    def handed_in(self, url: str) -> Iterator[HandedIn]:
        with Redis.from_url(url.partition("?")[0]) as client:
            yield HandedIn(RedisStorage(client, prefix="handed-in"), client.ping)


class TestRedisCluster(StorageSuite):
    @pytest.fixture
    def url(self, redis_cluster_url: str) -> str:
        return redis_cluster_url


class TestMongoDB(StorageSuite):
    @pytest.fixture
    def url(self, mongodb_url: str) -> str:
        # The driver tries again for as long as it may: 20 s, in each of the promises about servers that fail.
        return f"{mongodb_url}{'&' if '?' in mongodb_url else '?'}timeoutMS=10000"

    @pytest.fixture
    def handed_in(self, url: str) -> Iterator[HandedIn]:
        with MongoClient[dict[str, Any]](url) as client:
            yield HandedIn(MongoStorage(client.get_default_database()), lambda: client.admin.command("ping"))
