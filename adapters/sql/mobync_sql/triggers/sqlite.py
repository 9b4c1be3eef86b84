"""Triggers on SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import text

from mobync_core.errors import SchemaError
from mobync_sql.binding import BoundTable
from mobync_sql.triggers.base import Part, Triggers

_THERE = text("SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger' AND substr(name, 1, :size) = :stem")
_INDEXES = text('SELECT name FROM pragma_index_list(:name) WHERE "unique"')
_INDEX_COLUMNS = text("SELECT name, coll FROM pragma_index_xinfo(:name) WHERE key")
_PRIMARY_KEY = text("SELECT name FROM pragma_table_info(:name) WHERE pk ORDER BY pk")


class SQLiteTriggers(Triggers):
    """What REPLACE removes fires no trigger unless the session has `recursive_triggers` on: it is marked before.

    Of a unique index on expressions this is not done. Foreign keys' actions do fire triggers.
    """

    now = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
    size = "length(CAST({} AS BLOB))"  # octet_length() came later than what must do
    differ = "{} IS NOT {} COLLATE BINARY"  # a CAST has the collation of its column

    def wanted(self, bound: BoundTable) -> Mapping[Part, str]:
        table = bound.table
        if table.schema not in (None, "main"):
            raise SchemaError(
                f"the table {table.fullname} of {self.model} is in another file than Mobync's tables, into which "
                "SQLite's triggers cannot write: bind it without triggers"
            )
        old, new = self.identity(bound, "old"), self.identity(bound, "new")
        bodies = {
            "AFTER INSERT": self.mark(new),
            "AFTER UPDATE": f"{self.mark(new)} {self.mark(old, where=self.moved(old, new))}",
            "AFTER DELETE": self.mark(old),
        }
        keys = list(self._unique(table.name))
        if keys:
            other = self.identity(bound, "other")
            like_new = " OR ".join(
                "("
                + " AND ".join(f"other.{self.quote(name)} = new.{self.quote(name)}{coll}" for name, coll in key)
                + ")"
                for key in keys
            )
            source = f"FROM {self.quote(table.name)} AS other"
            columns = dict.fromkeys(self.quote(name) for key in keys for name, _ in key)
            bodies["BEFORE INSERT"] = self.mark(other, source, f"({like_new})")
            bodies[f"BEFORE UPDATE OF {', '.join(columns)}"] = self.mark(
                other, source, f"({like_new}) AND {self.differ.format(other.id, old.id)}"
            )
        statements = {}
        for event, body in bodies.items():
            when, what = event.lower().split()[:2]
            name = self.name(f"{when}_{what}", event, body)
            statements[Part((table.name.lower(),), name)] = (
                f"CREATE TRIGGER {name} {event} ON {self.quote(table.name)} FOR EACH ROW BEGIN {body} END"
            )
        return statements

    def _unique(self, table: str) -> Iterator[list[tuple[str, str]]]:
        """Find what no two rows share: the columns of each key, and how each is compared."""
        keys = []
        for (index,) in self.connection.execute(_INDEXES, {"name": table}).all():
            columns = self.connection.execute(_INDEX_COLUMNS, {"name": index}).all()
            if all(column.name is not None for column in columns):
                keys.append([(column.name, f" COLLATE {self.quote(column.coll)}") for column in columns])
        yield from keys
        # A key of one integer is the table's own order, and has no index.
        primary = list(self.connection.execute(_PRIMARY_KEY, {"name": table}).scalars())
        if primary and not any([name for name, _ in key] == primary for key in keys):
            yield [(name, "") for name in primary]

    def there(self) -> set[Part]:
        asked = {"size": len(self.stem), "stem": self.stem}
        return {Part((row.tbl_name.lower(),), row.name) for row in self.connection.execute(_THERE, asked)}

    def drop(self, part: Part) -> str:
        return f"DROP TRIGGER {part.name}"
