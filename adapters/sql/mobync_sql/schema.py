"""The tables of a storage, and how a database gets them.

An application's tables may lie beside them: all names begin with ``mobync_``. `mobync_schema` holds the version
of the layout, which only ever goes up.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    inspect,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

from mobync_core.errors import SchemaError


def identifier() -> TypeEngine[str]:
    """The type of what is compared byte by byte, which on some databases is not how text is compared."""
    return Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


metadata = MetaData()

owners = Table(
    "mobync_owners",
    metadata,
    Column("owner", identifier(), primary_key=True),
    Column("clock", BigInteger, nullable=False),
    Column("epoch", identifier(), nullable=False),
    Column("purged", BigInteger, nullable=False),
    # Every commit updates one row: with room in its page the update leaves the index alone (HOT).
    postgresql_with={"fillfactor": 50},
)

records = Table(
    "mobync_records",
    metadata,
    Column("owner", identifier(), primary_key=True),
    Column("model", identifier(), primary_key=True),
    Column("id", identifier(), primary_key=True),
    Column("clock", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Index("mobync_records_by_clock", "owner", "clock"),
)

notes = Table(
    "mobync_notes",
    metadata,
    Column("owner", identifier(), primary_key=True),
    Column("kind", identifier(), primary_key=True),
    Column("key", identifier(), primary_key=True),
    Column("body", Text, nullable=False),
)

schema = Table("mobync_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False))


def _layout_1(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))


STEPS: tuple[Callable[[Connection], None], ...] = (_layout_1,)
"""STEPS[n] takes a database from layout n to layout n + 1; layout 0 has no tables."""


def version_of(connection: Connection) -> int:
    """Return the version of the database's layout, 0 if it has none."""
    if not inspect(connection).has_table(schema.name):
        return 0
    return connection.execute(text("SELECT max(version) FROM mobync_schema")).scalar() or 0


def refuse_newer(version: int) -> None:
    """Raise `SchemaError` if a later release made the layout."""
    if version > len(STEPS):
        raise SchemaError(
            f"the database has version {version} of Mobync's tables, this mobync-sql knows version {len(STEPS)} "
            "at most: upgrade mobync-sql, or use another database"
        )


def migrate(connection: Connection) -> None:
    """Bring the database to the newest layout, in the transaction that `connection` is in."""
    version = version_of(connection)
    refuse_newer(version)
    for step in STEPS[version:]:
        step(connection)
    if version < len(STEPS):
        connection.execute(text("DELETE FROM mobync_schema"))
        connection.execute(text("INSERT INTO mobync_schema (version) VALUES (:version)"), {"version": len(STEPS)})
