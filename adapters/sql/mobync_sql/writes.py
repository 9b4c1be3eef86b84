"""Writes rows: many by one statement where all are good, each alone where one is not."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from mobync_core.errors import RecordRejected
from mobync_core.storage import Key
from mobync_sql import outbox
from mobync_sql.bound import BoundTable
from mobync_sql.references import Reference, changed_by_delete
from mobync_sql.violations import Violation, violation


class Misfit(Exception):
    """A statement about many rows was refused: each has to be tried alone."""


@dataclass(frozen=True, slots=True, eq=False)
class RowWrite:
    """What is to be done to one row: `kind` is insert, update or delete, `values` are by the columns' keys."""

    kind: str
    bound: BoundTable
    id: str
    row_id: Any
    values: Mapping[str, Any]
    fields: Collection[str]

    @property
    def key(self) -> Key:
        return self.bound.model, self.id


def parents_first(
    connection: Connection, writes: Sequence[RowWrite], references: Collection[Reference]
) -> list[RowWrite]:
    """Sort the writes of tables that refer to themselves: inserts after what they refer to, deletes before it."""
    found = list(writes)
    for reference in references:
        if reference.child is not reference.parent or reference.referred is not reference.parent.id:
            continue
        ours = [write for write in found if write.bound is reference.child]
        ups = {write.row_id: write.values.get(reference.column.key) for write in ours if write.kind == "insert"}
        for part in outbox.chunks([write.row_id for write in ours if write.kind == "delete"]):
            rows = select(reference.parent.id, reference.column).where(reference.parent.id.in_(part))
            ups |= {row[0]: row[1] for row in connection.execute(rows)}
        depths = _depths(ups)
        found.sort(key=lambda write: depths.get(write.row_id, 0) * (-1 if write.kind == "delete" else 1))
    return found


def _depths(ups: Mapping[Any, Any]) -> dict[Any, int]:
    """Say how many others lie above each row, as far as they are known here; in a circle that is any number."""
    depths: dict[Any, int] = {}
    for start in ups:
        path = []
        row = start
        while row in ups and row not in depths:
            depths[row] = 0  # a circle ends here
            path.append(row)
            row = ups[row]
        depth = depths.get(row, -1)
        for below in reversed(path):
            depth += 1
            depths[below] = depth
    return depths


def write_together(connection: Connection, writes: Sequence[RowWrite], models: Sequence[str]) -> None:
    """Do writes by few statements. Rows go into the tables of `models` in this order, and out of them in the other.

    Raises `Misfit` if the database refuses one of them.
    """
    groups: dict[tuple[int, int, tuple[str, ...]], list[RowWrite]] = {}
    for write in writes:
        place = models.index(write.bound.model)
        step = ("insert", "update", "delete").index(write.kind)
        group = (step, -place if write.kind == "delete" else place, tuple(write.values))
        groups.setdefault(group, []).append(write)
    for group in sorted(groups):
        of_group = groups[group]
        try:
            _write_alike(connection, of_group)
        except DBAPIError as error:
            if _violation(error, of_group[0]) is not None:
                raise Misfit from error
            raise
    try:
        _check_at_once(connection)
    except DBAPIError as error:
        if writes and _violation(error, writes[0]) is not None:
            raise Misfit from error
        raise


def _write_alike(connection: Connection, writes: Sequence[RowWrite]) -> None:
    """Do writes of one kind that set the same columns of one table."""
    first, bound = writes[0], writes[0].bound
    if first.kind == "insert":
        connection.execute(insert(bound.table), [dict(write.values) for write in writes])
    elif first.kind == "delete":
        for part in outbox.chunks([write.row_id for write in writes]):
            connection.execute(delete(bound.table).where(bound.id.in_(part)))
    else:
        # The ids' parameter must not have the name of a column: by such names an UPDATE sets columns.
        statement = update(bound.table).where(bound.id == bindparam("mobync_row_id", type_=bound.id.type))
        connection.execute(statement, [{"mobync_row_id": write.row_id, **write.values} for write in writes])


def write_one_by_one(connection: Connection, writes: Sequence[RowWrite], references: Collection[Reference]) -> None:
    """Do each write alone; what fails is tried again while others succeed, since it may depend on them.

    Deletes come last: before it, a row that is to move elsewhere would go along with what it belonged to. Raises
    `RecordRejected` for what fails in the end.
    """
    _check_at_once(connection)
    deletes = [write for write in writes if write.kind == "delete"]
    failed = _tried(connection, [write for write in writes if write.kind != "delete"])
    while any(why.may_pass for why in failed.values()):
        gone = next((one for one in deletes if _gives_way(connection, one, list(failed), references)), None)
        if gone is None:
            break
        deletes.remove(gone)
        failed = _tried(connection, list(failed))
    failed = failed or _tried(connection, deletes)
    if failed:
        raise rejected(failed)


def rejected(failed: Mapping[RowWrite, Violation]) -> RecordRejected:
    """Return the error that refuses the records of these rows."""
    return RecordRejected(
        {write.key: why.reason for write, why in failed.items()},
        {
            write.key: [column.field for column in write.bound.columns.values() if column.column.name in why.columns]
            for write, why in failed.items()
        },
    )


def _is_in_transaction(connection: Connection) -> bool:
    return bool(getattr(connection.connection.driver_connection, "in_transaction", True))


def _tried(connection: Connection, writes: Sequence[RowWrite]) -> dict[RowWrite, Violation]:
    """Do these writes, in passes, and return those that no pass could do."""
    left = list(writes)
    while True:
        failed: dict[RowWrite, Violation] = {}
        for write in left:
            connection.exec_driver_sql("SAVEPOINT mobync_row")
            try:
                _write_alike(connection, [write])
            except DBAPIError as error:
                why = _violation(error, write)
                if why is None:
                    raise
                if not _is_in_transaction(connection):  # a trigger on SQLite may end it: RAISE(ROLLBACK, ...)
                    raise rejected({write: why}) from error
                connection.exec_driver_sql("ROLLBACK TO SAVEPOINT mobync_row")
                failed[write] = why
            connection.exec_driver_sql("RELEASE SAVEPOINT mobync_row")
        if len(failed) == len(left) or not any(why.may_pass for why in failed.values()):
            return failed
        left = list(failed)


def _gives_way(
    connection: Connection, gone: RowWrite, waiting: Sequence[RowWrite], references: Collection[Reference]
) -> bool:
    """Delete a row before its time, as its name or such may be what others wait for, unless that changes further rows.

    Rows that are about to refer to another one, too, let go of it first.
    """
    connection.exec_driver_sql("SAVEPOINT mobync_delete")
    for reference in references:
        child, column = reference.child, reference.column
        moving = [
            write.row_id
            for write in waiting
            if write.kind == "update" and write.bound is child and column.key in write.values
        ]
        if reference.parent is gone.bound and moving and column.nullable:
            parents = select(reference.referred).where(gone.bound.id == gone.row_id)
            statement = update(child.table).where(child.id.in_(moving), column.in_(parents))
            connection.execute(statement.values({column.key: None}))
    changes = changed_by_delete(connection, gone.bound, [gone.row_id], references)
    done = next(changes, None) is None and not _tried(connection, [gone])
    if not done:
        connection.exec_driver_sql("ROLLBACK TO SAVEPOINT mobync_delete")
    connection.exec_driver_sql("RELEASE SAVEPOINT mobync_delete")
    return done


def _check_at_once(connection: Connection) -> None:
    """Have the database check now, and from now on, what it was told to check at the end, where it can be told."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")


def cause_of(error: DBAPIError) -> BaseException:
    """Return the driver's own error."""
    return error.orig if error.orig is not None else error


def _violation(error: DBAPIError, write: RowWrite) -> Violation | None:
    names = {column.column.name: column.field for column in write.bound.columns.values()}
    return violation(cause_of(error), write.bound.table, names, is_delete=write.kind == "delete")
