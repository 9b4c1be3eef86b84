"""The outbox: what the application wrote into bound tables and Mobync has yet to look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select

from mobync_core.engine import utc_now
from mobync_core.errors import ConflictError
from mobync_core.limits import identifier_fault
from mobync_core.storage import Key
from mobync_sql.schema import outbox

T = TypeVar("T")

_CHUNK = 500
"""The most values of one IN list: every database takes as many, and caches few statements."""

_mark = outbox.c
_FORGET = delete(outbox).where(_mark.owner == bindparam("o"), _mark.mark.in_(bindparam("marks", expanding=True)))
_FORGET_KEYS = delete(outbox).where(
    _mark.owner == bindparam("o"), _mark.model == bindparam("m"), _mark.id.in_(bindparam("ids", expanding=True))
)
_ANY = select(_mark.mark).where(_mark.owner == bindparam("o")).limit(1)
# Locking reads see what was committed since the transaction began, which on MariaDB others need not. PostgreSQL reads
# so anyway, and SQLite has one writer.
_ANY_OF_KEYS = (
    select(_mark.mark)
    .where(_mark.owner == bindparam("o"), _mark.model == bindparam("m"), _mark.id.in_(bindparam("ids", expanding=True)))
    .limit(1)
)


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a sequence into what one statement may hold."""
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def mark(connection: Connection, keys: Iterable[tuple[str, str, str]]) -> None:
    """Say of rows, each given by (owner, model, id), that they may be other than their records."""
    at = utc_now()
    marks = [
        {"owner": owner, "model": model, "id": id, "at": at}
        for owner, model, id in keys
        if identifier_fault(owner) is None and identifier_fault(id) is None  # else it is nobody's, and no record
    ]
    if marks:
        connection.execute(insert(outbox), marks)


def has_marks(connection: Connection, owner: str) -> bool:
    """Say whether there is any mark of the owner."""
    return connection.execute(_ANY, {"o": owner}).first() is not None


def are_marked(connection: Connection, owner: str, model: str, ids: Sequence[str]) -> bool:
    """Say whether one of these rows is marked, by whoever has committed until now."""
    statement = _ANY_OF_KEYS
    if connection.dialect.name in ("mysql", "mariadb"):
        statement = statement.with_for_update(read=True)
    return any(connection.execute(statement, {"o": owner, "m": model, "ids": part}).first() for part in chunks(ids))


def forget(connection: Connection, owner: str, marks: Collection[str]) -> None:
    """Remove these marks. Raises `ConflictError` if another has done so: it may have seen a newer row."""
    numbers = sorted({int(name) for name in marks})
    found = sum(connection.execute(_FORGET, {"o": owner, "marks": part}).rowcount for part in chunks(numbers))
    if found != len(numbers):
        raise ConflictError("another process has folded the same rows in")


def forget_rows(connection: Connection, owner: str, keys: Collection[Key]) -> None:
    """Remove all marks of these rows."""
    by_model: dict[str, list[str]] = {}
    for model, id in keys:
        by_model.setdefault(model, []).append(id)
    for model, ids in by_model.items():
        for part in chunks(ids):
            connection.execute(_FORGET_KEYS, {"o": owner, "m": model, "ids": part})
