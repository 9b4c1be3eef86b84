"""What the triggers of all databases have in common: their names, and the statement that marks."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, Connection

from mobync_core.limits import IDENTIFIER_BYTES
from mobync_sql import schema
from mobync_sql.binding import BoundTable


class Part(NamedTuple):
    """A trigger, or a function of triggers: the table that it is on, after its schema, and its own name."""

    on: tuple[str, ...]
    name: str


class Identity(NamedTuple):
    """The SQL of a row's owner and id, as the texts that Mobync knows them by."""

    owner: str
    id: str


class Triggers(ABC):
    """The triggers of one model in the database of `connection`. See `mobync_sql.triggers.install`."""

    now: ClassVar[str]
    """The SQL of the time, UTC in ms."""

    size: ClassVar[str] = "OCTET_LENGTH({})"
    """The SQL of how many bytes a text has."""

    differ: ClassVar[str]
    """The SQL of whether two texts, of which either may be NULL, are not the same."""

    more_columns: ClassVar[Mapping[str, str]] = {}
    """Further columns of a mark, and their SQL."""

    def __init__(self, connection: Connection, model: str) -> None:
        self.connection = connection
        self.model = model
        self.stem = f"mobync_{digest(model)}_"
        self.outbox = schema.outbox.name

    def are_missing(self, bound: BoundTable) -> bool:
        return not self.wanted(bound).keys() <= self.there()

    def install(self, bound: BoundTable) -> None:
        wanted, there = self.wanted(bound), self.there()
        missing = [part for part in wanted if part not in there]
        surplus = there - wanted.keys()
        names = {part.name for part in missing}
        in_the_way = {part for part in surplus if part.name in names}  # on a table that was renamed
        if missing or surplus:
            with self.brief_locks():
                self._drop(in_the_way)
                for part in missing:
                    self.run(wanted[part])
                self._drop(surplus - in_the_way)

    def remove(self) -> None:
        if there := self.there():
            with self.brief_locks():
                self._drop(there)

    @abstractmethod
    def wanted(self, bound: BoundTable) -> Mapping[Part, str]:
        """Return the statements that create all parts, in their order."""

    @abstractmethod
    def there(self) -> set[Part]:
        """Return the parts that the database has of this model."""

    @abstractmethod
    def drop(self, part: Part) -> str:
        """Return the statement that drops a part."""

    def brief_locks(self) -> AbstractContextManager[None]:
        """Wait but briefly for the locks of what is done meanwhile."""
        return nullcontext()

    def _drop(self, parts: Collection[Part]) -> None:
        # Functions, which are on no table, come last: triggers need them.
        for part in sorted(parts, reverse=True):
            self.run(self.drop(part))

    def run(self, statement: str) -> None:
        # Without parameters, a % is a % to every driver.
        self.connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def name(self, event: str, *content: str) -> str:
        """Return the name of what does `content` at `event`."""
        return f"{self.stem}{event}_{digest(*content)}"

    def quote(self, *names: str) -> str:
        """Return a name, after that of its schema if there are two."""
        mark = self.connection.dialect.identifier_preparer.initial_quote
        return ".".join(mark + name.replace(mark, mark * 2) + mark for name in names)

    def identity(self, bound: BoundTable, row: str) -> Identity:
        """Return what names a row of the bound table that the SQL knows as `row`, such as ``new``."""
        alias = bound.table.alias(row)
        owner, id = alias.c[bound.owner.key], alias.c[bound.id.key]
        return Identity(self._sql(bound.owner_codec.sql(owner)), self._sql(bound.id_codec.sql(id)))

    def _sql(self, expression: ColumnElement[Any]) -> str:
        dialect = self.connection.dialect
        text = str(expression.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        return text.replace("%%", "%") if dialect.paramstyle in ("format", "pyformat") else text

    def mark(self, row: Identity, source: str = "", where: str = "", *, queries: str = "", into: str = "") -> str:
        """Return the statement that marks the rows of `source` (``FROM …``), or one row, which fulfil `where`.

        `queries` (``WITH …``) are what `source` may be of, `into` is the outbox.
        """
        columns = self.columns(row)
        return (
            f"INSERT INTO {into or self.outbox} ({', '.join(columns)}) {queries} SELECT {', '.join(columns.values())} "
            f"{source} WHERE {self.conditions(row, where)};"
        )

    def columns(self, row: Identity) -> dict[str, str]:
        """Return the columns of a row's mark, and their SQL."""
        # A model's name has no characters that would need more; see `mobync_core.limits.Limits`.
        return {"owner": row.owner, "model": f"'{self.model}'", "id": row.id, "at": self.now, **self.more_columns}

    def conditions(self, row: Identity, where: str = "") -> str:
        """Return the SQL of whether to mark a row, if it fulfils `where`."""
        # What no record can be named must not fail the application's write, as where a column has no room for it.
        sizes = [f"{self.size.format(text)} BETWEEN 1 AND {IDENTIFIER_BYTES}" for text in row]
        return " AND ".join([*sizes, where] if where else sizes)

    def moved(self, old: Identity, new: Identity) -> str:
        """Return the SQL of whether a row came to another owner, or got another id."""
        return "(" + " OR ".join(self.differ.format(*pair) for pair in zip(old, new, strict=True)) + ")"


def digest(*texts: str) -> str:
    """Return a short name for texts, of letters and digits that need no quotes in SQL."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
