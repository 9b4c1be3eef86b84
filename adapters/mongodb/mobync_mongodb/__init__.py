"""Storage for Mobync in MongoDB.

`MongoStorage` works on a client or a database that you have; `open_mongodb` opens one by URL. A `Binding` makes a
collection of yours a model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobync_mongodb.binding import Binding
    from mobync_mongodb.captured import CapturedCollection
    from mobync_mongodb.opening import open_mongodb
    from mobync_mongodb.storage import MongoStorage

__all__ = ["Binding", "CapturedCollection", "MongoStorage", "open_mongodb"]

_HOMES = {
    "Binding": "mobync_mongodb.binding",
    "CapturedCollection": "mobync_mongodb.captured",
    "MongoStorage": "mobync_mongodb.storage",
    "open_mongodb": "mobync_mongodb.opening",
}


def __getattr__(name: str) -> Any:
    # Whoever looks for adapters imports this package; pymongo is for those who open one.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
