"""An application's own tables in SQL, and what lets Mobync read and write them."""

from __future__ import annotations

import json
import operator
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from mobync_core import FilterType, ReadFilter, RecordRejected, Synchronizer

metadata = sa.MetaData()

sa.Table(
    "tasks",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("created_time", sa.Text),
    sa.Column("done", sa.Boolean, nullable=False, server_default=sa.false()),
)
sa.Table("model1", metadata, sa.Column("id", sa.Text, primary_key=True), sa.Column("field1", sa.Text))
sa.Table(
    "diffs",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("logical_clock", sa.BigInteger, nullable=False),
    sa.Column("utc_timestamp", sa.BigInteger, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("json_data", sa.Text, nullable=False),
    sa.Index("diffs_of_owner", "owner", "logical_clock"),
)

COMPARE = {
    FilterType.equal: operator.eq,
    FilterType.major: operator.gt,
    FilterType.minor: operator.lt,
    FilterType.majorOrEqual: operator.ge,
    FilterType.minorOrEqual: operator.le,
}


def connect(url: str) -> sa.Engine:
    """Open a database and create what is missing in it."""
    engine = sa.create_engine(sa.make_url(url.replace("postgresql://", "postgresql+psycopg://", 1)))
    if engine.dialect.name == "sqlite":
        # A transaction that begins by reading could not be sure to be let write.
        sa.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    metadata.create_all(engine)
    return engine


class Implementation(Synchronizer):
    """Reads and writes the tables of `metadata`, each push in one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self._of_thread = threading.local()

    @contextmanager
    def transaction(self, owner_id: str) -> Iterator[None]:
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":  # one push of an owner at a time; SQLite has one writer anyhow
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(owner_id, 0))))
            self._of_thread.connection = connection
            try:
                yield
            finally:
                del self._of_thread.connection

    def read(self, where: str, filters: list[ReadFilter]) -> list[dict[str, Any]]:
        table = metadata.tables[where]
        conditions = [COMPARE[one.filter_by](table.c[one.field_name], one.data) for one in filters]
        rows = self._of_thread.connection.execute(sa.select(table).where(*conditions))
        return [dict(row) for row in rows.mappings()]

    def create(self, where: str, data_json: str) -> None:
        data = json.loads(data_json)
        self._write(where, data, sa.insert(metadata.tables[where]))

    def update(self, where: str, data_json: str) -> None:
        data = json.loads(data_json)
        table = metadata.tables[where]
        self._write(where, data, sa.update(table).where(table.c.id == data["id"]))

    def delete(self, where: str, data_json: str) -> None:
        data = json.loads(data_json)
        table = metadata.tables[where]
        self._of_thread.connection.execute(sa.delete(table).where(table.c.id == data["id"]))

    def validate_create(self, owner_id: str, **kwargs: Any) -> bool:  # noqa: ARG002 - the owner may do anything here
        return kwargs["model"] in metadata.tables

    validate_update = validate_create
    validate_delete = validate_create

    def _write(self, where: str, data: dict[str, Any], statement: sa.Insert | sa.Update) -> None:
        """Write a row. What its table does not take refuses the diff: the device is put right, and nobody is stuck."""
        columns = metadata.tables[where].c
        if unknown := sorted(data.keys() - columns.keys()):
            raise RecordRejected({(where, data["id"]): f"{where} has no column {', '.join(unknown)}"})
        texts = {name for name in data if isinstance(columns[name].type, sa.Text)}  # SQLite would make "5" of a 5
        if other := sorted(name for name in texts if not isinstance(data[name], str | None)):
            raise RecordRejected({(where, data["id"]): f"{where} takes only a text as {', '.join(other)}"})
        try:
            self._of_thread.connection.execute(statement.values(data))
        except (IntegrityError, DataError) as error:
            raise RecordRejected({(where, data["id"]): f"{where} does not take this row"}) from error
        except StatementError as error:
            if isinstance(error.orig, TypeError | ValueError):  # a value of another type than its column
                raise RecordRejected({(where, data["id"]): f"{where} does not take this row"}) from error
            raise
