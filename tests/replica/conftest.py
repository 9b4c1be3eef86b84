"""A server in this process."""

from __future__ import annotations

import pytest

from mobync_core import Storage
from tests.replica.devices import Server


@pytest.fixture
def server(memory: Storage) -> Server:
    return Server(memory)
