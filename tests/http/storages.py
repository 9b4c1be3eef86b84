"""Storages that fail, and such as have a past."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NoReturn

from mobync_core import Snapshot, Storage, StorageUnavailable


class Behind:
    """A storage that is another one, but for what a test makes of it."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)


class Purged(Behind):
    """One where the tombstones up to the clock 5 were purged."""

    def load(
        self,
        owner: str,
        *,
        since: int,
        keys: Collection[tuple[str, str]] = (),
        limit: int | None = None,
    ) -> Snapshot:
        return Snapshot(clock=9, epoch="e", purged=5, changed=())


class OutOfReach(Behind):
    """One that no load reaches."""

    def load(
        self,
        owner: str,
        *,
        since: int,
        keys: Collection[tuple[str, str]] = (),
        limit: int | None = None,
    ) -> NoReturn:
        raise StorageUnavailable("no route to db.internal:5432")
