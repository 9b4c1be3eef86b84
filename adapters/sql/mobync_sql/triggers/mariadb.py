"""Triggers on MariaDB and MySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import Connection, text

from mobync_sql import schema
from mobync_sql.binding import BoundTable
from mobync_sql.triggers.base import Identity, Part, Triggers, digest
from mobync_sql.triggers.mariadb_cascades import (
    Cascade,
    Fate,
    Reference,
    TableName,
    references_to_be_followed,
)

_THERE = text(
    "SELECT trigger_schema, event_object_table, trigger_name FROM information_schema.triggers "
    "WHERE LEFT(trigger_name, :size) IN (:stem, :abroad)"
)

_LOCK_SECONDS = 1

_MODE = "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"


class MariaDBTriggers(Triggers):
    """What foreign keys' actions do to rows is marked by triggers on the tables that are referred to.

    A trigger has the rights, and the `sql_mode`, of who created it. It names no database where it means its own: a copy
    of the database under another name has marks of its own.
    """

    # Of the statement's beginning. UNIX_TIMESTAMP() would read local time, of which an hour in autumn comes twice.
    now = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000"
    differ = "NOT ({} <=> {})"

    def __init__(self, connection: Connection, model: str) -> None:
        super().__init__(connection, model)
        database, folds = connection.exec_driver_sql("SELECT DATABASE(), @@lower_case_table_names").one()
        self._folds = bool(folds)
        self._database = self._table(database, "").database
        self._abroad = f"mobync_{digest(self._database, model)}_"

    def wanted(self, bound: BoundTable) -> dict[Part, str]:
        table = self._table(bound.table.schema or self._database, bound.table.name)
        old, new = self.identity(bound, "old"), self.identity(bound, "new")
        mark = partial(self._mark_row, self._named_from(table, self._database, schema.outbox.name))
        parts: dict[Part, str] = {}
        for event, body in {
            "AFTER INSERT": mark(new),
            "AFTER UPDATE": f"{mark(new)} {mark(old, self.moved(old, new))}",
            "AFTER DELETE": mark(old),
        }.items():
            parts |= self._trigger(table, event, body)
        references = references_to_be_followed(self.connection, table)
        for parent in dict.fromkeys(reference.parent for reference in references):
            parts |= self._on_parent(bound, table, parent, references)
        return parts

    def _mark_row(self, outbox: str, row: Identity, where: str = "") -> str:
        # A third faster than a SELECT with these conditions.
        columns = self.columns(row)
        values = f"({', '.join(columns)}) VALUES ({', '.join(columns.values())})"
        return f"IF {self.conditions(row, where)} THEN INSERT INTO {outbox} {values}; END IF;"

    def _on_parent(
        self, bound: BoundTable, table: TableName, parent: TableName, references: list[Reference]
    ) -> dict[Part, str]:
        """The triggers on a table whose foreign keys' actions come to rows of the bound one."""
        referred = {
            name.lower() for reference in references if reference.parent == parent for name in reference.referred
        }
        deleted, updated = Fate(parent, None), Fate(parent, frozenset(referred))
        names = {bound.owner.name.lower(), bound.id.name.lower()}

        def renames(fate: Fate) -> bool:
            return fate.changed is not None and bool(names & fate.changed)

        # Which rows it comes to is known before; which owner or id they get, after.
        parts = self._follow(bound, "BEFORE DELETE", "old", Cascade(references, deleted, table))
        parts |= self._follow(bound, "BEFORE UPDATE", "old", Cascade(references, updated, table))
        renamed = Cascade(references, updated, table, renames, actions=["CASCADE"])
        return parts | self._follow(bound, "AFTER UPDATE", "new", renamed)

    def _follow(self, bound: BoundTable, event: str, row: str, cascade: Cascade) -> dict[Part, str]:
        if not cascade.targets:
            return {}
        named = partial(self._named_from, cascade.start)
        columns = list(dict.fromkeys([bound.owner.name, bound.id.name]))
        queries, source = cascade.query(row, columns, self.quote, named)
        body = self.mark(
            self.identity(bound, "found"),
            f"FROM {source} AS found",
            queries=queries,
            into=named(self._database, schema.outbox.name),
        )
        if event.endswith("UPDATE"):
            same = " AND ".join(
                f"CAST(old.{name} AS BINARY) <=> CAST(new.{name} AS BINARY)"
                for name in map(self.quote, cascade.referred())
            )
            body = f"IF NOT ({same}) THEN {body} END IF;"
        return self._trigger(cascade.start, event, body)

    def _trigger(self, table: TableName, event: str, body: str) -> dict[Part, str]:
        name = self.name(event.lower().replace(" ", "_"), *table, event, body)
        if table.database != self._database:
            name = name.replace(self.stem, self._abroad)
        return {
            Part(table, name): (
                f"CREATE TRIGGER {self.quote(table.database, name)} {event} ON {self.quote(*table)} "
                f"FOR EACH ROW BEGIN {body} END"
            )
        }

    def _table(self, database: str, name: str) -> TableName:
        return TableName(database.lower(), name.lower()) if self._folds else TableName(database, name)

    def _named_from(self, table: TableName, database: str, name: str) -> str:
        """Return a table's name as a trigger on another `table` may say it."""
        return self.quote(name) if table.database == database else self.quote(database, name)

    def there(self) -> set[Part]:
        asked = {"size": len(self.stem), "stem": self.stem, "abroad": self._abroad}
        found = [
            (self._table(database, table), name) for database, table, name in self.connection.execute(_THERE, asked)
        ]
        # In another database, what has only the model in its name is of the Mobync there.
        return {
            Part(table, name)
            for table, name in found
            if name.startswith(self.stem if table.database == self._database else self._abroad)
        }

    def drop(self, part: Part) -> str:
        return f"DROP TRIGGER {self.quote(part.on[0], part.name)}"

    @contextmanager
    def brief_locks(self) -> Iterator[None]:
        session = self.connection.exec_driver_sql("SELECT @@lock_wait_timeout, @@sql_mode").one()
        quotes = ",ANSI_QUOTES" if self.quote("") == '""' else ""
        self.run(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}, sql_mode = '{_MODE}{quotes}'")
        try:
            yield
        finally:
            if not self.connection.invalidated:
                self.run("SET SESSION lock_wait_timeout = {}, sql_mode = '{}'".format(*session))
