"""Each extra by its name, in an empty environment: it opens a storage by its URL and devices sync."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mobync_core.plugins import EXTRAS
from tests.packaging.environments import Environment, Environments
from tests.packaging.projects import CORE

PROGRAM = str(Path(__file__).with_name("two_devices.py"))
SECRET = "hunter2"
URL = f"://u:{SECRET}@127.0.0.1/d"

BROUGHT: dict[str, set[str]] = {
    "": set(),
    "memory": {"mobync-memory", "sortedcontainers"},
    "sqlite": {"mobync-sql", "sqlalchemy"},
    "postgres": {"mobync-sql", "sqlalchemy", "psycopg", "psycopg-binary"},
    "mysql": {"mobync-sql", "sqlalchemy", "pymysql", "cryptography"},
    "mongodb": {"mobync-mongodb", "pymongo"},
    "redis": {"mobync-redis", "redis"},
    "client": {"urllib3"},
    "cli": {"click", "rich"},
    "server": {"click", "rich", "starlette", "uvicorn", "pyjwt", "cryptography"},
    "testing": {"click", "rich", "urllib3", "pytest", "hypothesis", "sortedcontainers"},
}
"""What each extra is there to bring: of all that is named here it brings no more."""

STORAGES = {
    "memory_url": "memory",
    "sqlite_url": "sqlite",
    "postgresql_url": "postgres",
    "mariadb_url": "mysql",
    "mongodb_url": "mongodb",
    "redis_url": "redis",
    "redis_cluster_url": "redis",
}
"""The fixtures that give URLs, and the extra that each needs."""

BROUGHT["all"] = {name for extra in STORAGES.values() for name in BROUGHT[extra]}


@pytest.fixture
def memory_url() -> str:
    return "memory://"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path.as_posix()}/app.db"


def test_every_extra_is_tried() -> None:
    assert BROUGHT.keys() - {""} == CORE.extras


@pytest.mark.parametrize("extra", BROUGHT, ids=lambda extra: extra or "none")
def test_an_extra_brings_what_it_is_for_and_no_other(extra: str, environment: Environments) -> None:
    installed = environment(extra).installed()

    assert installed >= {"mobync-core", "pluggy", "msgspec"}
    assert installed & {name for names in BROUGHT.values() for name in names} == BROUGHT[extra]


def test_the_bare_core_needs_little(environment: Environments) -> None:
    assert environment("").installed() == {"mobync-core", "pluggy", "msgspec"}


@pytest.mark.parametrize(
    ("extra", "storage"),
    [*((extra, storage) for storage, extra in STORAGES.items()), *(("all", one) for one in STORAGES)],
)
def test_devices_sync(extra: str, storage: str, environment: Environments, request: pytest.FixtureRequest) -> None:
    place = environment(extra)
    url: str = request.getfixturevalue(storage)

    first = place.answer(PROGRAM, MOBYNC_URL=url)
    second = place.answer(PROGRAM, "read", MOBYNC_URL=url)

    record: dict[str, Any] = {"id": "a", "title": "Füße", "litres": 2}
    assert Path(first["from"]).is_relative_to(place.directory)
    assert first["told"] == [{"id": "a", "litres": 2}]
    assert first["records"] == [record]
    assert second["records"] == ([] if storage == "memory_url" else [record])


def hint(extra: str) -> str:
    return f'pip install "mobync-core[{extra}]"'


def told(place: Environment, url: str) -> str:
    """What a user is told at last whose program cannot open `url`."""
    ended = place.run(PROGRAM, MOBYNC_URL=url)
    assert ended.status == 1
    assert ended.out == ""
    assert SECRET not in ended.err
    return ended.err.splitlines()[-1]


@pytest.mark.parametrize(("scheme", "extra"), EXTRAS.items())
def test_the_bare_core_says_what_to_install(scheme: str, extra: str, environment: Environments) -> None:
    line = told(environment(""), f"{scheme}{URL}")

    assert line == f"mobync_core.errors.UnknownScheme: no installed adapter claims {scheme}://: {hint(extra)}"


@pytest.mark.parametrize(
    ("scheme", "driver", "extra"),
    [
        ("postgresql", "psycopg", "postgres"),
        ("postgres", "psycopg", "postgres"),
        ("mysql", "pymysql", "mysql"),
        ("mariadb", "pymysql", "mysql"),
    ],
)
def test_an_adapter_without_its_driver_says_what_to_install(
    scheme: str, driver: str, extra: str, environment: Environments
) -> None:
    line = told(environment("sqlite"), f"{scheme}{URL}")

    assert line == (
        f"mobync_core.errors.MissingDriver: {scheme}:// needs {driver}, which is not installed: {hint(extra)}"
    )
