"""Offers ``mutant+NAME://`` to Mobync, by the same hook that every adapter implements."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mobync_core import Abilities, Adapter, InvalidURL, Storage, hookimpl, open_storage
from mobync_core.urls import scheme_of
from tests.testing.mutants import MUTANTS, Mutant

ROOT = Path(__file__).parents[3]


def install(directory: Path) -> str:
    """Install this plugin in `directory`, as an installer would; return the PYTHONPATH that finds it there."""
    info = directory / "mutants-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mutants\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mobync]\nmutants = {__name__}\n")
    return f"{directory}:{ROOT}"


def _mutant(url: str) -> type[Mutant]:
    name = scheme_of(url).partition("+")[2]
    if name not in MUTANTS:
        raise InvalidURL(f"there is no mutant {name!r}")
    return MUTANTS[name]


def _open(url: str) -> Storage:
    mutant = _mutant(url)
    if mutant.on == "sqlite":
        return mutant(_on_disk(mutant.on + url[url.index("://") :]), url)
    return mutant(open_storage("memory://" if mutant.on == "memory" else mutant.on + url[url.index("://") :]), url)


def _on_disk(url: str) -> Storage:
    """A SQLite file that is not flushed: no mutant is about the loss of power, and many commits are made."""
    from mobync_sql import SQLStorage  # noqa: PLC0415 - whoever looks for adapters pays for no driver
    from sqlalchemy import create_engine, event  # noqa: PLC0415

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF").close())
    return SQLStorage(engine, owns_engine=True)


def _abilities(url: str) -> Abilities:
    lasting = _mutant(url).on != "memory"
    return Abilities(persistent=lasting, shared=lasting)


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [Adapter(name="mutant", schemes=("mutant",), open=_open, abilities=_abilities)]
