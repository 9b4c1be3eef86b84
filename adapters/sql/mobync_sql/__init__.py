"""Storage for Mobync in SQL databases, through SQLAlchemy.

`SQLStorage` works on an engine that you have; `open_sql` opens one by URL. A `Binding` makes a table of yours a model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobync_sql.binding import Binding
    from mobync_sql.capture import CannotCapture, capture_writes
    from mobync_sql.opening import open_sql
    from mobync_sql.storage import SQLStorage

__all__ = ["Binding", "CannotCapture", "SQLStorage", "capture_writes", "open_sql"]

_HOMES = {
    "Binding": "mobync_sql.binding",
    "CannotCapture": "mobync_sql.capture",
    "capture_writes": "mobync_sql.capture",
    "SQLStorage": "mobync_sql.storage",
    "open_sql": "mobync_sql.opening",
}


def __getattr__(name: str) -> Any:
    # Whoever looks for adapters imports this package; SQLAlchemy is for those who open one.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
