"""Offers the URLs of Redis and Valkey to Mobync."""

from __future__ import annotations

from collections.abc import Iterable

from mobync_core.hookspecs import Adapter, hookimpl
from mobync_core.storage import Storage


def _open(url: str) -> Storage:
    from mobync_redis.opening import open_redis  # noqa: PLC0415 - discovery must not pay for the driver

    return open_redis(url)


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [
        Adapter(
            name="redis",
            schemes=("redis", "rediss", "unix"),
            open=_open,
            install='pip install "mobync-core[redis]"',
        )
    ]
