"""Offers ``memory://`` to Mobync."""

from __future__ import annotations

from collections.abc import Iterable

from mobync_core.errors import InvalidURL
from mobync_core.hookspecs import Abilities, Adapter, hookimpl
from mobync_core.storage import Storage
from mobync_core.urls import redact


def open_memory(url: str) -> Storage:
    """Open a new, empty storage. Raises `InvalidURL` if `url` says more than ``memory://``."""
    from mobync_memory.storage import MemoryStorage  # noqa: PLC0415 - discovery imports no more than it needs

    if url.partition("://")[2]:
        raise InvalidURL(f"{redact(url)} cannot be opened: memory:// has no name and no options, nothing is shared")
    return MemoryStorage()


_VOLATILE = Abilities(persistent=False, shared=False)


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [Adapter(name="memory", schemes=("memory",), open=open_memory, abilities=_VOLATILE)]
