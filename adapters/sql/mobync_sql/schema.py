"""The tables of a storage, and how a database gets them.

An application's tables may lie beside them: all names begin with ``mobync_``. `mobync_schema` holds the version
of the layout, which only ever goes up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    VARBINARY,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Dialect,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    inspect,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable
from sqlalchemy.types import TypeEngine

from mobync_core.errors import SchemaError


class _Bytes(TypeDecorator[str]):
    """Text that is stored as its bytes. Every collation of MariaDB makes one of some texts, if only of "a" and "a "."""

    impl = VARBINARY
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        return None if value is None else value.encode()

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else value.decode()


def identifier(size: int = 255) -> TypeEngine[str]:
    """The type of what is compared byte by byte, which on some databases is not how text is compared.

    `size` is the most bytes of UTF-8, for the databases that must know.
    """
    text = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
    return text.with_variant(_Bytes(size), "mysql", "mariadb")


def body() -> TypeEngine[str]:
    """The type of a text of any length, which must come back as it was."""
    return Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


_MARIADB = {"engine": "InnoDB", "row_format": "DYNAMIC", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
"""Said for each table, since the server's and the database's own defaults may be others."""

_OPTIONS: dict[str, Any] = {
    f"{dialect}_{name}": value for dialect in ("mysql", "mariadb") for name, value in _MARIADB.items()
}

metadata = MetaData()

owners = Table(
    "mobync_owners",
    metadata,
    Column("owner", identifier(), primary_key=True),
    Column("clock", BigInteger, nullable=False),
    Column("epoch", identifier(), nullable=False),
    Column("purged", BigInteger, nullable=False),
    **_OPTIONS,
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
    Column("body", body(), nullable=False),
    Index("mobync_records_by_clock", "owner", "clock"),
    **_OPTIONS,
)

notes = Table(
    "mobync_notes",
    metadata,
    Column("owner", identifier(), primary_key=True),
    Column("kind", identifier(32), primary_key=True),
    Column("key", identifier(1024), primary_key=True),
    Column("body", body(), nullable=False),
    **_OPTIONS,
)

bindings = Table(
    "mobync_bindings",
    metadata,
    Column("model", identifier(), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("marked", identifier()),
    Column("description", body(), nullable=False),
    **_OPTIONS,
)
"""The models whose records are rows of the application's tables.

`generation` is the greatest of the table when a binding is new or changed: by it every process finds out. `marked` is
how far the rows that were there before are marked, by the text of their id; NULL when all are. `description` is what
`BoundTable.description` returns.
"""

outbox = Table(
    "mobync_outbox",
    metadata,
    # Never used twice, or who has read a mark could remove another one in its place.
    Column("mark", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", identifier(), nullable=False),
    Column("model", identifier(), nullable=False),
    Column("id", identifier(), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("mobync_outbox_by_owner", "owner", "model", "id"),
    sqlite_autoincrement=True,
    **_OPTIONS,
)
"""What the application wrote into bound tables, and when (UTC, ms), until it is folded into the records."""

schema = Table("mobync_schema", metadata, Column("version", Integer, primary_key=True, autoincrement=False), **_OPTIONS)


def _creates(*tables: Table) -> Callable[[Connection], None]:
    def step(connection: Connection) -> None:
        for table in tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                index.create(connection, checkfirst=True)  # MySQL has no IF NOT EXISTS for it
        if owners in tables and connection.dialect.name == "postgresql":
            # Every commit updates one row: with room in its page the update leaves the index alone (HOT).
            connection.exec_driver_sql("ALTER TABLE mobync_owners SET (fillfactor = 50)")

    return step


STEPS: tuple[Callable[[Connection], None], ...] = (
    _creates(owners, records, notes, schema),
    _creates(bindings, outbox),
)
"""STEPS[n] takes a database from layout n to layout n + 1; layout 0 has no tables.

Each must be repeatable: on MariaDB and MySQL a step that was cut off leaves what it has done.
"""


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
        # Last, and at no moment without a version: not every database does all of this in one transaction.
        connection.execute(text("INSERT INTO mobync_schema (version) VALUES (:version)"), {"version": len(STEPS)})
        connection.execute(text("DELETE FROM mobync_schema WHERE version < :version"), {"version": len(STEPS)})
