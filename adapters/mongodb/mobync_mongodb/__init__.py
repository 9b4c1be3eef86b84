"""Storage for Mobync in MongoDB.

`MongoStorage` works on a client or a database that you have; `open_mongodb` opens one by URL.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobync_mongodb.opening import open_mongodb
    from mobync_mongodb.storage import MongoStorage

__all__ = ["MongoStorage", "open_mongodb"]

_HOMES = {"MongoStorage": "mobync_mongodb.storage", "open_mongodb": "mobync_mongodb.opening"}


def __getattr__(name: str) -> Any:
    # Whoever looks for adapters imports this package; pymongo is for those who open one.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
