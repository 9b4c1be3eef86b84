"""Offers ``mongodb://`` and ``mongodb+srv://`` to Mobync."""

from __future__ import annotations

from collections.abc import Iterable

from mobync_core.hookspecs import Adapter, hookimpl
from mobync_core.storage import Storage


def _open(url: str) -> Storage:
    from mobync_mongodb.opening import open_mongodb  # noqa: PLC0415 - discovery must not pay for pymongo

    return open_mongodb(url)


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [
        Adapter(
            name="mongodb",
            schemes=("mongodb", "mongodb+srv"),
            open=_open,
            install='pip install "mobync-core[mongodb]"',
        )
    ]
