"""Storage for Mobync in Redis or Valkey, on one server or a cluster."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobync_redis.opening import open_redis
    from mobync_redis.storage import RedisStorage

__all__ = ["RedisStorage", "open_redis"]

_HOMES = {"RedisStorage": "mobync_redis.storage", "open_redis": "mobync_redis.opening"}


def __getattr__(name: str) -> Any:
    # Whoever looks for adapters imports this package; the driver is for those who open a storage.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
