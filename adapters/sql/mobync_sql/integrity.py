"""Refuses references that the database would allow, or would find fault with too late."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, ForeignKeyConstraint, MetaData, Table, literal_column, select

from mobync_core.errors import RecordRejected
from mobync_core.storage import Key
from mobync_sql import outbox
from mobync_sql.bound import BoundTable
from mobync_sql.references import Reference
from mobync_sql.violations import Violation
from mobync_sql.violations.faults import Fault, Kind
from mobync_sql.writes import RowWrite, rejected


def refuse_strangers(connection: Connection, writes: Sequence[RowWrite], references: Collection[Reference]) -> None:
    """Refuse rows that refer to rows of another owner: by them a device could tell which ids there are."""
    reasons: dict[Key, str] = {}
    fields: dict[Key, list[str]] = {}
    for reference in references:
        child, parent = reference.child, reference.parent
        names = {column.column: column.field for column in child.columns.values()}
        field = names.get(reference.column)
        if field is None or not reference.is_whole:
            continue
        written = [write.row_id for write in writes if write.bound is child and field in write.fields]
        other = parent.table.alias()
        holder = child.owner_codec.sql(child.owner)  # byte by byte, whatever the columns' collations
        for part in outbox.chunks(written):
            statement = (
                select(child.id)
                .join(other, reference.column == other.c[reference.referred.key])
                .where(child.id.in_(part), parent.owner_codec.sql(other.c[parent.owner.key]) != holder)
            )
            for row_id in connection.execute(statement).scalars():
                key = (child.model, child.id_codec.to_text(row_id))
                reasons[key] = Fault(Kind.NO_PARENT, (field,)).reason(None)  # as if there were none
                fields.setdefault(key, []).append(field)
    if reasons:
        raise RecordRejected(reasons, fields)


def refuse_orphans(connection: Connection, writes: Sequence[RowWrite]) -> None:
    """Refuse what SQLite would find out at COMMIT alone, when it is too late to say which row it was."""
    if connection.dialect.name != "sqlite":
        return
    failed: dict[RowWrite, Violation] = {}
    for bound in {write.bound for write in writes}:
        keys = [key for key in bound.table.foreign_key_constraints if _is_deferred(key)]
        written = {write.row_id: write for write in writes if write.bound is bound and write.kind != "delete"}
        if keys and written:
            why = Violation(
                Fault(Kind.NO_PARENT).reason(None), tuple(column.name for key in keys for column in key.columns)
            )
            failed |= {written[row_id]: why for row_id in _orphans(connection, bound) if row_id in written}
    for bound in {write.bound for write in writes}:
        gone = {write.row_id: write for write in writes if write.bound is bound and write.kind == "delete"}
        why = Violation(Fault(Kind.REFERRED_TO).reason(None))
        failed |= {gone[row_id]: why for row_id in _still_referred_to(connection, bound, list(gone)) if row_id in gone}
    if failed:
        raise rejected(failed)


def _is_deferred(constraint: ForeignKeyConstraint) -> bool:
    return (constraint.initially or "").upper() == "DEFERRED"


def _orphans(connection: Connection, bound: BoundTable) -> set[object]:
    table = connection.dialect.identifier_preparer.format_table(bound.table)
    rowids = [row[1] for row in connection.exec_driver_sql(f"PRAGMA foreign_key_check({table})")]
    found: set[object] = set()
    for part in outbox.chunks(rowids):
        found |= set(connection.execute(select(bound.id).where(literal_column("rowid").in_(part))).scalars())
    return found


def _still_referred_to(connection: Connection, bound: BoundTable, gone: Sequence[Any]) -> Iterator[Any]:
    """Find the ids to which any table refers by a key that is checked at COMMIT."""
    if not gone:
        return
    quote = connection.dialect.identifier_preparer.quote_identifier
    deferring = "SELECT name FROM sqlite_master WHERE type = 'table' AND upper(sql) LIKE '%INITIALLY DEFERRED%'"
    for table in connection.exec_driver_sql(deferring).scalars().all():
        for key in connection.exec_driver_sql(f"PRAGMA foreign_key_list({quote(table)})").mappings().all():
            if key["table"].casefold() == bound.table.name.casefold() and key["to"] in (None, bound.id.name):
                column = Column(key["from"], bound.id.type)
                child = Table(table, MetaData(), column)
                for part in outbox.chunks(gone):
                    yield from connection.execute(
                        select(column).select_from(child).where(column.in_(part)).distinct()
                    ).scalars()
