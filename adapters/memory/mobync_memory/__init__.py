"""Storage for Mobync in the memory of one process."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobync_memory.storage import MemoryStorage

__all__ = ["MemoryStorage"]


def __getattr__(name: str) -> Any:
    # Whoever looks for adapters imports this package; what the storage needs is for those who open one.
    if name != "MemoryStorage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("mobync_memory.storage"), name)
