"""Triggers on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import ClassVar

from sqlalchemy import Connection, text

from mobync_core.errors import SchemaError
from mobync_sql import schema
from mobync_sql.binding import BoundTable
from mobync_sql.triggers.base import Part, Triggers, digest

_OUTBOX_SCHEMA = text(
    "SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass(:name)"
)
_TABLE = text(
    "SELECT nspname, relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
    "WHERE c.oid = to_regclass(concat(quote_ident(:schema) || '.', quote_ident(:name)))"
)
_THERE = text(
    "WITH f AS (SELECT oid, proname FROM pg_proc "
    "WHERE pronamespace = CAST(quote_ident(:schema) AS regnamespace) AND starts_with(proname, :stem)) "
    "SELECT NULL, NULL, proname FROM f UNION ALL SELECT nspname, relname, tgname "
    "FROM f JOIN pg_trigger ON tgfoid = f.oid AND tgparentid = 0 "
    "JOIN pg_class c ON c.oid = tgrelid JOIN pg_namespace n ON n.oid = relnamespace"
)

_LOCK_SECONDS = 1

_OLDEST = (13,)
"""The first version that can make a random number by itself, and tell a partition's trigger from its table's."""


class PostgreSQLTriggers(Triggers):
    """A function in the schema of `mobync_outbox`, and two triggers on the table: for rows, and for TRUNCATE.

    The function has the rights of the role that installs it, since the application's may not write to the outbox.
    """

    now = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    differ = "{} IS DISTINCT FROM {}"
    # From the sequence it would be the session's lastval(), by which applications ask for the id of their new row.
    more_columns: ClassVar[Mapping[str, str]] = {
        "mark": "('x' || right(replace(gen_random_uuid()::text, '-', ''), 15))::bit(60)::bigint"
    }

    def __init__(self, connection: Connection, model: str) -> None:
        super().__init__(connection, model)
        found = connection.execute(_OUTBOX_SCHEMA, {"name": schema.outbox.name}).scalar()
        if found is None:
            raise SchemaError(f"there is no table {schema.outbox.name}: call setup() first")
        self._schema: str = found
        self.outbox = self.quote(found, schema.outbox.name)

    def wanted(self, bound: BoundTable) -> Mapping[Part, str]:
        version = self.connection.dialect.server_version_info or ()
        if version < _OLDEST:
            raise SchemaError(
                f"triggers need PostgreSQL {_OLDEST[0]} at least, this is {version[0]}: bind {self.model} without them"
            )
        asked = {"schema": bound.table.schema, "name": bound.table.name}
        found = self.connection.execute(_TABLE, asked).one_or_none()
        if found is None:
            raise SchemaError(f"there is no table {bound.table.fullname} to install triggers on")
        on = (found.nspname, found.relname)
        table = self.quote(*on)
        body = self._body(bound, table, found.oid)
        function = self.name("mark", body)
        place = self.quote(self._schema, function)
        quotes = f"$mobync_{digest(body)}$"
        parts = {
            Part((), function): (
                f"CREATE FUNCTION {place}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
                f"SET search_path = pg_catalog, pg_temp AS {quotes}{body}{quotes}; "
                f"REVOKE ALL ON FUNCTION {place}() FROM PUBLIC"
            )
        }
        events = {
            "write": "AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW",
            "truncate": "BEFORE TRUNCATE ON {} FOR EACH STATEMENT",
        }
        for event, when in events.items():
            name = self.name(event, body)
            parts[Part(on, name)] = f"CREATE TRIGGER {name} {when.format(table)} EXECUTE FUNCTION {place}()"
        return parts

    def _body(self, bound: BoundTable, table: str, oid: int) -> str:
        old, new, one = (self.identity(bound, row) for row in ("old", "new", "one"))
        # True. By naming the table, a session's plans are made anew when a column gets another type; else they fail.
        named = f"'{oid}'::regclass IS NOT NULL"
        return f"""
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        {self.mark(one, f"FROM {table} AS one")}
    ELSIF TG_OP = 'INSERT' THEN
        {self.mark(new, where=named)}
    ELSIF TG_OP = 'DELETE' THEN
        {self.mark(old, where=named)}
    ELSE
        {self.mark(new, where=named)}
        IF {named} AND {self.moved(old, new)} THEN
            {self.mark(old, where=named)}
        END IF;
    END IF;
    RETURN NULL;
END
"""

    def there(self) -> set[Part]:
        asked = {"schema": self._schema, "stem": self.stem}
        found = self.connection.execute(_THERE, asked)
        return {Part((nspname, relname) if relname else (), name) for nspname, relname, name in found}

    def drop(self, part: Part) -> str:
        if part.on:
            return f"DROP TRIGGER {part.name} ON {self.quote(*part.on)}"
        return f"DROP FUNCTION {self.quote(self._schema, part.name)}()"

    @contextmanager
    def brief_locks(self) -> Iterator[None]:
        # Until the transaction's end. Those who write wait behind one that waits to create a trigger.
        self.run(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        yield
