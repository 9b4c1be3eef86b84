"""An application's own collections, and an engine of Mobync whose models are bound to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from mobync_mongodb import CapturedCollection, MongoStorage
from pymongo import MongoClient
from pymongo.database import Database

from mobync_core import Mobync
from tests.own_collections.documents import create_collections, storage_of


@pytest.fixture
def database(mongodb_url: str) -> Iterator[Database[Any]]:
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        database = client.get_default_database()
        create_collections(database)
        yield database


@pytest.fixture
def mobync(database: Database[Any]) -> Iterator[Mobync]:
    with closing(storage_of(database)) as storage:
        yield Mobync(storage)


@pytest.fixture
def tasks(mobync: Mobync, database: Database[Any]) -> CapturedCollection:
    assert isinstance(mobync.storage, MongoStorage)
    return mobync.storage.collection(database.tasks)
