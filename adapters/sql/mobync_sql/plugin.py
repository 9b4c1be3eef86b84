"""Offers the URLs of SQL databases to Mobync."""

from __future__ import annotations

from collections.abc import Iterable

from mobync_core.hookspecs import Abilities, Adapter, hookimpl
from mobync_core.storage import Storage


def _open(url: str) -> Storage:
    from mobync_sql.opening import open_sql  # noqa: PLC0415 - discovery must not pay for SQLAlchemy

    return open_sql(url)


def _sqlite_abilities(url: str) -> Abilities:
    from mobync_sql.opening import is_in_memory  # noqa: PLC0415

    on_disk = not is_in_memory(url)
    return Abilities(persistent=on_disk, shared=on_disk)


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [
        Adapter(
            name="sqlite",
            schemes=("sqlite",),
            open=_open,
            install='pip install "mobync-core[sqlite]"',
            abilities=_sqlite_abilities,
        ),
        Adapter(
            name="postgresql",
            schemes=("postgresql", "postgres"),
            open=_open,
            install='pip install "mobync-core[postgres]"',
        ),
        Adapter(
            name="mariadb",
            schemes=("mariadb", "mysql"),
            open=_open,
            install='pip install "mobync-core[mysql]"',
        ),
    ]
