"""The sites on which backups are restored, each with its real tools."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from tests.restores import mariadb, mongodb, postgresql, redis
from tests.restores.sites import Site
from tests.restores.sqlite import SQLiteFile

SITES: dict[str, Callable[[Path], AbstractContextManager[Site]]] = {
    "sqlite-in-use": lambda directory: nullcontext(SQLiteFile(directory, idle=False)),
    "sqlite-closed": lambda directory: nullcontext(SQLiteFile(directory, idle=True)),
    "postgresql": postgresql.dumped,
    "mariadb": mariadb.copied_directory,
    "mongodb": mongodb.copied_directory,
    "redis-snapshot": lambda directory: redis.site(redis.Snapshot, directory),
    "redis-lost-seconds": lambda directory: redis.site(redis.LostSeconds, directory),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with SITES[request.param](tmp_path) as site:
        yield site
