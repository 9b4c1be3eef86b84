"""Offers the URLs of SQL databases to Mobync."""

from __future__ import annotations

from collections.abc import Iterable

from mobync_core.hookspecs import Adapter, hookimpl
from mobync_core.storage import Storage


def _open(url: str) -> Storage:
    from mobync_sql.opening import open_sql  # noqa: PLC0415 - discovery must not pay for SQLAlchemy

    return open_sql(url)


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [
        Adapter(name="sqlite", schemes=("sqlite",), open=_open, install='pip install "mobync-core[sqlite]"'),
        Adapter(
            name="postgresql",
            schemes=("postgresql", "postgres"),
            open=_open,
            install='pip install "mobync-core[postgres]"',
        ),
    ]
