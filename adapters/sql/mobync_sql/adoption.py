"""Takes over rows that the application wrote when nobody looked: before the binding, or past what catches writes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from mobync_core.adoption import Progress
from mobync_sql import outbox, schema
from mobync_sql.binding import BoundTable
from mobync_sql.registry import rowless

if TYPE_CHECKING:
    from mobync_sql.database import Database

_PAGE = 1000
"""How many rows are marked in one transaction: short ones, since the application is at work."""

_binding = schema.bindings.c


def unmarked(database: Database, tables: Collection[BoundTable]) -> list[BoundTable]:
    """Return the tables whose rows are not all marked yet."""
    left = select(_binding.model).where(_binding.marked.is_not(None))
    models = set(database.read(lambda connection: connection.execute(left).scalars().all()))
    return [bound for bound in tables if bound.model in models]


def mark_rows(database: Database, bound: BoundTable, progress: Progress | None = None) -> None:
    """Mark every row, from where an earlier run was cut off: the engine compares them with the records."""
    total = database.read(
        lambda connection: connection.execute(select(func.count()).select_from(bound.table)).scalar_one()
    )
    done = 0
    while True:
        with database.transaction() as connection:
            # The row is locked: of two processes each takes other pages.
            place = select(_binding.marked).where(_binding.model == bound.model).with_for_update()
            marked = connection.execute(place).scalar()
            if marked is None:
                return
            page = connection.execute(_page_after(bound, marked)).all()
            last = bound.id_codec.to_text(page[-1].row_id) if page else None
            outbox.mark(connection, bound.keys_of(page))
            at = last if len(page) == _PAGE else None
            connection.execute(schema.bindings.update().where(_binding.model == bound.model).values(marked=at))
        done += len(page)
        if progress is not None:
            progress(done, max(total, done))


def rescan(database: Database, bound: BoundTable, progress: Progress | None = None) -> None:
    """Mark every row once more, and every record whose row is gone."""
    with database.transaction() as connection:
        connection.execute(schema.bindings.update().where(_binding.model == bound.model).values(marked=""))
    mark_rows(database, bound, progress)
    gone = database.read(lambda connection: list(rowless(connection, bound)))
    for part in outbox.chunks(gone):
        with database.transaction() as connection:
            outbox.mark(connection, ((owner, bound.model, id) for owner, id in part))


def marked_owners(database: Database) -> list[str]:
    """Return the owners of whom something is marked."""
    owners = select(schema.outbox.c.owner).distinct().order_by(schema.outbox.c.owner)
    return list(database.read(lambda connection: connection.execute(owners).scalars().all()))


def _page_after(bound: BoundTable, marked: str) -> Any:
    statement = bound.rows().order_by(bound.id).limit(_PAGE)
    return statement.where(bound.id > bound.id_codec.to_column(marked)) if marked else statement
