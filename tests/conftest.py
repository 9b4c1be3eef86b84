"""Fixtures that all tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mobync_core import Storage, open_storage

pytest_plugins = ["tests.servers.report", "tests.servers.fixtures", "tests.storage.table"]


@pytest.fixture
def memory() -> Iterator[Storage]:
    """An empty storage in memory."""
    storage = open_storage("memory://")
    storage.setup()
    yield storage
    storage.close()
