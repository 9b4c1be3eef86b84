"""What foreign keys do to rows on MariaDB and MySQL, where their actions fire no triggers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, inspect

Quote = Callable[..., str]
"""Returns a name in quotes, or a table's with its database where the trigger would not find it."""


class TableName(NamedTuple):
    database: str
    name: str


@dataclass(frozen=True)
class Reference:
    """A foreign key that changes rows of `child`: `columns` refer to the columns `referred` of `parent`."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    referred: tuple[str, ...]
    on_delete: str
    on_update: str


class Fate(NamedTuple):
    """What comes to rows of a table: some columns change, in lower case, or they are deleted (None)."""

    table: TableName
    changed: frozenset[str] | None


class Link(NamedTuple):
    """How a reference leads from one fate to another. They are numbered; 0 is that of the written row itself."""

    parent: int
    child: int
    reference: Reference


def references_to_be_followed(connection: Connection, table: TableName) -> list[Reference]:
    """Read the foreign keys by which writes to other tables change rows of `table`, over any number of tables."""
    inspector = inspect(connection)
    found: list[Reference] = []
    seen, left = {table}, [table]
    while left:
        child = left.pop()
        for key in inspector.get_foreign_keys(child.name, schema=child.database):
            actions = [key["options"].get(name, "").upper() for name in ("ondelete", "onupdate")]
            if not {"CASCADE", "SET NULL"} & set(actions):
                continue
            parent = TableName(key["referred_schema"] or child.database, key["referred_table"])
            columns, referred = tuple(key["constrained_columns"]), tuple(key["referred_columns"])
            found.append(Reference(child, columns, parent, referred, *actions))
            if parent not in seen:
                seen.add(parent)
                left.append(parent)
    return found


class Cascade:
    """What comes to rows of the table `target` when rows of another have the fate `begins`.

    Only by these `actions` of references, and only fates that are `wanted`. `targets` are their numbers.
    """

    def __init__(
        self,
        references: Collection[Reference],
        begins: Fate,
        target: TableName,
        wanted: Callable[[Fate], bool] = lambda _: True,
        actions: Collection[str] = ("CASCADE", "SET NULL"),
    ) -> None:
        fates = [begins]
        numbers: dict[Fate, int] = {}  # without the first: to be reached once more is another fate
        links = []
        for number, fate in enumerate(fates):  # it grows meanwhile
            for reference in references:
                child = _next(fate, reference, actions)
                if child is None:
                    continue
                if child not in numbers:
                    numbers[child] = len(fates)
                    fates.append(child)
                links.append(Link(number, numbers[child], reference))
        self._fates = fates
        self.start = begins.table
        self.targets = [number for fate, number in numbers.items() if fate.table == target and wanted(fate)]
        useful = _leading_to(self.targets, links)
        self._links = [link for link in links if link.child in useful]

    def referred(self) -> list[str]:
        """Return the columns of the written row that matter."""
        return list(dict.fromkeys(name for link in self._links if link.parent == 0 for name in link.reference.referred))

    def query(self, row: str, columns: Sequence[str], quote: Quote, table: Quote) -> tuple[str, str]:
        """Return ``WITH …``, and the source of these `columns` of the rows that it comes to.

        From the written row, known as `row`. What is read is locked, hence as it is committed.
        """
        needed = {(link.parent, name) for link in self._links for name in link.reference.referred}
        needed |= {(number, name) for number in self.targets for name in columns}
        # One query finds the rows of all tables, each row in the columns that are of its table.
        cells = sorted({(self._fates[number].table, name) for number, name in needed if number})
        tables = sorted({of for of, _ in cells})
        typed = [f"t{tables.index(of)}.{quote(name)} AS c{number}" for number, (of, name) in enumerate(cells)]
        joined = " ".join(f"LEFT JOIN {table(*of)} AS t{number} ON FALSE" for number, of in enumerate(tables))
        arms = [f"SELECT 0 AS fate, {', '.join(typed)} FROM (SELECT 0) AS nothing {joined} WHERE FALSE"]
        for link in self._links:  # first those from the row itself, which are not recursive
            child = self._fates[link.child].table
            parent = self._fates[link.parent].table
            found = [f"c.{quote(name)}" if of == child else "NULL" for of, name in cells]
            source, where = f"{table(*child)} AS c", []
            if link.parent:
                source, where = f"mobync_found AS p STRAIGHT_JOIN {source}", [f"p.fate = {link.parent}"]
            for column, name in zip(link.reference.columns, link.reference.referred, strict=True):
                referred = f"p.c{cells.index((parent, name))}" if link.parent else f"{row}.{quote(name)}"
                where.append(f"c.{quote(column)} = {referred}")
            arms.append(f"SELECT {link.child}, {', '.join(found)} FROM {source} WHERE {' AND '.join(where)}")
        target = self._fates[self.targets[0]].table
        selected = ", ".join(f"c{cells.index((target, name))} AS {quote(name)}" for name in columns)
        numbers = ", ".join(map(str, self.targets))
        return (
            f"WITH RECURSIVE mobync_found AS ({' UNION '.join(arms)})",
            f"(SELECT {selected} FROM mobync_found WHERE fate IN ({numbers}))",
        )


def _next(fate: Fate, reference: Reference, actions: Collection[str]) -> Fate | None:
    """Return what comes to the rows that refer to those of `fate`; None if nothing does."""
    if fate.table != reference.parent:
        return None
    changed = frozenset(column.lower() for column in reference.columns)
    if fate.changed is None:
        if reference.on_delete not in actions:
            return None
        return Fate(reference.child, None if reference.on_delete == "CASCADE" else changed)
    moved = fate.changed & {column.lower() for column in reference.referred}
    return Fate(reference.child, changed) if moved and reference.on_update in actions else None


def _leading_to(targets: Collection[int], links: Collection[Link]) -> set[int]:
    useful: set[int] = set()
    left = list(targets)
    while left:
        number = left.pop()
        if number not in useful:
            useful.add(number)
            left += [link.parent for link in links if link.child == number]
    return useful
