"""Taking over tables that an application has: what a storage can do for that, beside `mobync_core.OwnTables`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

Progress: TypeAlias = Callable[[int, int], None]
"""Is told, again and again, how many rows are done, and of how many, about."""


@dataclass(frozen=True, slots=True)
class BoundModel:
    """A model whose records are rows of `table`.

    `fields` are what devices see of it: name of the field to name of the column; `read_only` those that they may not
    write. `caught` says how writes of the application are noticed, in words for people.
    """

    model: str
    table: str
    owner: str
    id: str
    fields: Mapping[str, str]
    read_only: Collection[str]
    caught: str


@runtime_checkable
class Adoption(Protocol):
    """A storage that can bind models to tables by their names, while the application is at work."""

    def adopt(
        self,
        table: str,
        *,
        owner: str,
        model: str = "",
        id: str = "",
        fields: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
        read_only: Collection[str] = (),
        triggers: bool = True,
        progress: Progress | None = None,
    ) -> BoundModel:
        """Bind a model to `table`, and mark the rows that are there, to be folded into the records of their owners.

        `owner` and `id` name its columns, as do `hidden`, `read_only` and the values of `fields`. With `triggers` all
        later writes are caught. Safe to repeat, also to change what is hidden; what was cut off goes on where it was.
        Raises `SchemaError` if it cannot be done, `ValueError` or `TypeError` for names that are none.
        """

    def rescan(self, model: str, progress: Progress | None = None) -> None:
        """Mark all rows of a model, and the records whose rows are gone. Raises `SchemaError` if it is not bound."""

    def marked_owners(self) -> Collection[str]:
        """Return the owners of whom rows are marked: `Mobync.fold` folds them in, and so does their next sync."""

    def bound_models(self) -> Sequence[BoundModel]:
        """Return what is bound."""
