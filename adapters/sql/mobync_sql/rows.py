"""Reads and writes the rows of the application's tables that models are bound to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from mobync_core.errors import ConflictError, RecordRejected, SchemaError
from mobync_core.fold import same
from mobync_core.records import Body, entry_of
from mobync_core.storage import Key, Outside, Record
from mobync_sql import outbox
from mobync_sql.bound import BoundTable
from mobync_sql.dialects.base import LoadedRow
from mobync_sql.integrity import refuse_orphans, refuse_strangers
from mobync_sql.references import changed_by_delete, in_order, references
from mobync_sql.violations import violation
from mobync_sql.writes import Misfit, RowWrite, cause_of, parents_first, write_one_by_one, write_together


class _Unfit(Exception):
    """A record that is no row of its table: the `reason`, and the `field` at fault if it is one."""

    def __init__(self, reason: str, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


class Vanished(Exception):
    """Rows are gone, and nobody said so: `keys` are (owner, model, id)."""

    def __init__(self, keys: Sequence[tuple[str, str, str]]) -> None:
        super().__init__("rows of the application's tables are gone")
        self.keys = keys


class Rows:
    """The rows of all bound tables of a database. `broken` are models whose tables are not as they were bound."""

    def __init__(self, tables: Collection[BoundTable], broken: Mapping[str, SchemaError] | None = None) -> None:
        self._broken = broken or {}
        # Rows are inserted in this order, and deleted in the other.
        self.tables = {bound.model: bound for bound in in_order(tables)}
        self._references = references(tables)

    def fault(self, owner: str, model: str, fields: Mapping[str, Any]) -> str | None:
        """Say why no row of the model can have these fields; None if one can, or it has no table.

        Raises `SchemaError` if its table is not as it was bound: to refuse the diffs would be to lose them.
        """
        self._refuse_broken(model)
        bound = self.tables.get(model)
        if bound is None:
            return None
        try:
            bound.owner_codec.to_column(owner)
        except ValueError as error:
            return f"the owner {error}"
        try:
            for name, value in fields.items():
                _value(bound, name, value)
        except _Unfit as unfit:
            return unfit.reason
        return None

    def _refuse_broken(self, model: str) -> None:
        if model in self._broken:
            raise SchemaError(str(self._broken[model]))

    def read_only(self, model: str) -> Collection[str]:
        """Name the fields of the model that devices may not write."""
        bound = self.tables.get(model)
        return () if bound is None else [name for name, column in bound.columns.items() if column.read_only]

    def outside(self, connection: Connection, owner: str, marks: Sequence[LoadedRow]) -> list[Outside]:
        """Read the rows that the application marked. The marks must have been read before."""
        marked: dict[str, dict[str, list[LoadedRow]]] = {}
        for row in marks:
            _tag, model, id, *_ = row
            if model in self.tables:
                marked.setdefault(model, {}).setdefault(id, []).append(row)
        found = []
        for model, by_id in marked.items():
            rows = self.read(connection, owner, model, list(by_id))
            for id, of_row in by_id.items():
                at = max(changed_at for *_, changed_at, _body in of_row)
                found.append(Outside(model, id, at, rows.get(id), [str(number) for _, _, _, number, *_ in of_row]))
        return found

    def read(self, connection: Connection, owner: str, model: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the fields of the owner's rows of these ids, without nulls."""
        bound = self.tables[model]
        found: dict[str, dict[str, Any]] = {}
        for part in outbox.chunks(_row_ids(bound, ids)):
            for row_id, holder, *values in self._select(connection, bound, part):
                if holder is not None and bound.owner_codec.to_text(holder) == owner:
                    found[bound.id_codec.to_text(row_id)] = _fields(bound, values)
        return found

    def _select(self, connection: Connection, bound: BoundTable, row_ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Read rows of any owner: a database that is asked for one may go through all that he has."""
        columns = [column.column for column in bound.columns.values()]
        try:
            statement = select(bound.id, bound.owner, *columns).where(bound.id.in_(row_ids))
            yield from connection.execute(statement).all()
        except (LookupError, ValueError) as error:
            # A value that is none of its column's type, as SQLite allows: only its own row is to suffer.
            if len(row_ids) == 1:
                owner = select(bound.owner).where(bound.id == row_ids[0])
                yield (row_ids[0], connection.execute(owner).scalar(), *(error for _ in columns))
                return
            for row_id in row_ids:
                yield from self._select(connection, bound, [row_id])

    def write(
        self, connection: Connection, owner: str, records: Sequence[Record], since: int, *, one_by_one: bool
    ) -> bool:
        """Make the rows what the records are that changed at `since` or later, in the transaction of `connection`.

        Returns True if there is something outside then: what the database made of a row, or did to others. Raises
        `RecordRejected` for rows that the database does not take, `Misfit` unless told to find out which,
        `ConflictError` if the application wrote one of them, and `Vanished`.
        """
        by_model: dict[str, list[tuple[Record, Body]]] = {model: [] for model in self.tables}
        for record in records:
            self._refuse_broken(record.model)
            # An older tombstone is put for what the engine keeps beside: a row that is there is another's.
            if record.model in by_model and record.clock >= since:
                by_model[record.model].append((record, entry_of(record).body))
        touched = {model: of_model for model, of_model in by_model.items() if of_model}
        if not touched:
            return False
        writes: list[RowWrite] = []
        refused: dict[Key, _Unfit] = {}
        for model, of_model in touched.items():
            writes += self._plan(connection, owner, self.tables[model], of_model, refused, one_by_one=one_by_one)
        if refused:
            raise RecordRejected(
                {key: unfit.reason for key, unfit in refused.items()},
                {key: [unfit.field] for key, unfit in refused.items()},
            )
        self._mark_cascades(connection, writes)
        writes = parents_first(connection, writes, self._references)
        if one_by_one:
            write_one_by_one(connection, writes, self._references)
        else:
            write_together(connection, writes, list(self.tables))
        refuse_orphans(connection, writes)
        refuse_strangers(connection, writes, self._references)
        outbox.forget_rows(connection, owner, [write.key for write in writes if write.bound.triggers])
        for model, of_model in touched.items():
            outbox.mark(connection, self._corrected(connection, owner, model, of_model))
        return outbox.has_marks(connection, owner)

    def _plan(
        self,
        connection: Connection,
        owner: str,
        bound: BoundTable,
        records: Sequence[tuple[Record, Body]],
        refused: dict[Key, _Unfit],
        *,
        one_by_one: bool,
    ) -> Iterator[RowWrite]:
        """Compare records with the rows that are there, which are locked, and see that nobody else has written them."""
        row_ids = dict(_writable_ids(connection, bound, records, refused))
        owners = self._locked(connection, bound, row_ids, refused, one_by_one=one_by_one)
        if outbox.are_marked(connection, owner, bound.model, list(row_ids)):
            raise ConflictError("the application wrote these rows since they were read")
        vanished = []
        for record, body in records:
            if record.key in refused:
                continue
            holder = owners.get(record.id, "")
            if not record.deleted and body.created != record.clock and holder != owner:
                vanished.append((owner, *record.key))
            elif not record.deleted and (holder not in ("", owner) or (bound.owner is bound.id and record.id != owner)):
                refused[record.key] = _Unfit("this id is taken")
            else:
                try:
                    write = _write_of(bound, record, body, owner, row_ids[record.id], is_there=holder == owner)
                except _Unfit as unfit:
                    refused[record.key] = unfit
                else:
                    if write is not None:
                        yield write
        if vanished:
            raise Vanished(vanished)

    def _locked(
        self,
        connection: Connection,
        bound: BoundTable,
        row_ids: Mapping[str, Any],
        refused: dict[Key, _Unfit],
        *,
        one_by_one: bool,
    ) -> dict[str, str | None]:
        """Lock as `_lock` does, and refuse ids that the column cannot even be compared with."""
        if one_by_one:  # here, as with a savepoint go the locks that were taken after it
            connection.exec_driver_sql("SAVEPOINT mobync_lock")
        try:
            return self._lock(connection, bound, list(row_ids.values()))
        except DBAPIError as error:
            if violation(cause_of(error), bound.table) is None:
                raise
            if not one_by_one:
                raise Misfit from error
        owners: dict[str, str | None] = {}
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT mobync_lock")
        for id, row_id in row_ids.items():
            connection.exec_driver_sql("SAVEPOINT mobync_row")
            try:
                owners |= self._lock(connection, bound, [row_id])
            except DBAPIError as error:
                why = violation(cause_of(error), bound.table)
                if why is None:
                    raise
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT mobync_row")
                refused[bound.model, id] = _Unfit("this id is none that the table can have")
            connection.exec_driver_sql("RELEASE SAVEPOINT mobync_row")
        return owners

    def _lock(self, connection: Connection, bound: BoundTable, row_ids: Sequence[Any]) -> dict[str, str | None]:
        """Lock the rows of these ids, and return the owner of each."""
        owners: dict[str, str | None] = {}
        for part in outbox.chunks(row_ids):
            statement = bound.rows().where(bound.id.in_(part)).order_by(bound.id).with_for_update()
            for row in connection.execute(statement):
                holder = None if row.row_owner is None else bound.owner_codec.to_text(row.row_owner)
                owners[bound.id_codec.to_text(row.row_id)] = holder
        return owners

    def _mark_cascades(self, connection: Connection, writes: Sequence[RowWrite]) -> None:
        """Mark what the database is going to do to rows of tables whose triggers do not."""
        silent = [bound for bound in self.tables.values() if not bound.triggers]
        if not silent:
            return
        for bound in self.tables.values():
            gone = [write.row_id for write in writes if write.kind == "delete" and write.bound is bound]
            if gone:
                outbox.mark(connection, changed_by_delete(connection, bound, gone, self._references))

    def _corrected(
        self, connection: Connection, owner: str, model: str, records: Sequence[tuple[Record, Body]]
    ) -> Iterator[tuple[str, str, str]]:
        """Find the rows that the database made other than they were written: by defaults, rounding or triggers."""
        rows = self.read(connection, owner, model, [record.id for record, _ in records])
        for record, body in records:
            fields = {name: register.value for name, register in body.fields.items() if register.value is not None}
            if not same(None if record.deleted else fields, rows.get(record.id)):
                yield owner, model, record.id


def _writable_ids(
    connection: Connection, bound: BoundTable, records: Sequence[tuple[Record, Body]], refused: dict[Key, _Unfit]
) -> Iterator[tuple[str, Any]]:
    """Return the records' ids as the column has them, and refuse those that it cannot have."""
    for record, _ in records:
        try:
            row_id = bound.id_codec.to_column(record.id)
        except ValueError as error:
            refused[record.key] = _Unfit(f"the id {error}")
            continue
        if row_id == 0 and connection.dialect.name in ("mysql", "mariadb"):  # which would make another one of it
            refused[record.key] = _Unfit("the id must not be 0")
            continue
        yield record.id, row_id


def _write_of(
    bound: BoundTable, record: Record, body: Body, owner: str, row_id: Any, *, is_there: bool
) -> RowWrite | None:
    """Return what makes a row what the record is; None if it is so already. Raises `_Unfit`."""
    if record.deleted:
        return RowWrite("delete", bound, record.id, row_id, {}, ()) if is_there else None
    begins = body.created == record.clock
    fields = [name for name, register in body.fields.items() if begins or register.clock == record.clock]
    values = dict(_value(bound, name, body.fields[name].value) for name in fields)
    if not is_there:
        try:
            owner_value = bound.owner_codec.to_column(owner)
        except ValueError as error:
            raise _Unfit(f"the owner {error}") from None
        values |= {bound.owner.key: owner_value, bound.id.key: row_id}
        return RowWrite("insert", bound, record.id, row_id, values, fields)
    if begins:  # it takes the place of a row that is there still
        values = {
            column.column.key: column.codec.null
            for column in bound.columns.values()
            if column.column.nullable and column.column.computed is None
        } | values
    return RowWrite("update", bound, record.id, row_id, values, fields) if values else None


def _value(bound: BoundTable, name: str, value: Any) -> tuple[str, Any]:
    """Return the key of a field's column and what it is to hold. Raises `_Unfit`.

    The engine has asked before, but of the bindings that were known then.
    """
    column = bound.columns.get(name)
    if column is None:
        raise _Unfit(f"{bound.model} has no field {name!r}", name)
    try:
        return column.column.key, column.codec.null if value is None else column.codec.to_column(value)
    except ValueError as error:
        raise _Unfit(f"{name!r} {error}", name) from None


def _row_ids(bound: BoundTable, ids: Sequence[str]) -> list[Any]:
    found = []
    for id in ids:
        try:
            found.append(bound.id_codec.to_column(id))
        except ValueError:
            continue  # no row can have it
    return found


def _fields(bound: BoundTable, values: Sequence[Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for column, value in zip(bound.columns.values(), values, strict=True):
        if value is None:
            continue
        try:
            fields[column.field] = column.codec.to_json(value)
        except (TypeError, ValueError):
            fields[column.field] = value  # which is no JSON: the engine says so, and keeps the row from the devices
    return fields
