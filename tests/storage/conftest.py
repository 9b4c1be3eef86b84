"""The storages that the contract's tests run on, each by a URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from mobync_core import Storage, open_storage


@dataclass(frozen=True)
class Place:
    """Where a test's storage is, and what the adapter says of it."""

    url: str
    persistent: bool = True
    shared: bool = True


def _memory(_request: pytest.FixtureRequest) -> Place:
    return Place("memory://", persistent=False, shared=False)


def _sqlite_memory(_request: pytest.FixtureRequest) -> Place:
    return Place("sqlite://", persistent=False, shared=False)


def _sqlite_file(request: pytest.FixtureRequest) -> Place:
    directory: Path = request.getfixturevalue("tmp_path")
    return Place(f"sqlite:///{directory / 'store.db'}")


def _postgresql(request: pytest.FixtureRequest) -> Place:
    return Place(request.getfixturevalue("postgresql_url"))


def _mariadb(request: pytest.FixtureRequest) -> Place:
    return Place(request.getfixturevalue("mariadb_url"))


def _mongodb(request: pytest.FixtureRequest) -> Place:
    return Place(request.getfixturevalue("mongodb_url"))


def _redis(request: pytest.FixtureRequest) -> Place:
    return Place(request.getfixturevalue("redis_url"))


def _redis_cluster(request: pytest.FixtureRequest) -> Place:
    return Place(request.getfixturevalue("redis_cluster_url"))


PLACES: dict[str, Callable[[pytest.FixtureRequest], Place]] = {
    "memory": _memory,
    "sqlite-memory": _sqlite_memory,
    "sqlite-file": _sqlite_file,
    "postgresql": _postgresql,
    "mariadb": _mariadb,
    "mongodb": _mongodb,
    "redis": _redis,
    "redis-cluster": _redis_cluster,
}
SHARED = ("sqlite-file", "postgresql", "mariadb", "mongodb", "redis", "redis-cluster")
SQL = ("sqlite-memory", "sqlite-file", "postgresql", "mariadb")


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Place:
    """An empty place for each test; `pytest.mark.parametrize("place", SHARED, indirect=True)` narrows them."""
    return PLACES[request.param](request)


@pytest.fixture
def storage(place: Place) -> Iterator[Storage]:
    """The storage at `place`, set up."""
    with closing(open_storage(place.url)) as storage:
        storage.setup()
        yield storage
