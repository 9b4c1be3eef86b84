"""The triggers by which a database itself marks what anybody writes into a bound table.

A mark in `mobync_outbox` says "look at this row": the row's owner and id, in the transaction of the write. A row that
changes one of them is marked as it was, too. One whose owner is NULL, or no name that a record's can be, is not marked.

Each trigger's name has a digest of what it does. So what is there already is left alone, without any lock, and what is
out of date goes only when what replaces it is there: no write falls between them.
"""

from __future__ import annotations

from sqlalchemy import Connection

from mobync_sql.binding import BoundTable
from mobync_sql.triggers.base import Triggers
from mobync_sql.triggers.mariadb import MariaDBTriggers
from mobync_sql.triggers.postgresql import PostgreSQLTriggers
from mobync_sql.triggers.sqlite import SQLiteTriggers

__all__ = ["are_missing", "install", "remove"]

_TRIGGERS: dict[str, type[Triggers]] = {
    "sqlite": SQLiteTriggers,
    "postgresql": PostgreSQLTriggers,
    "mysql": MariaDBTriggers,
    "mariadb": MariaDBTriggers,
}


def are_missing(connection: Connection, bound: BoundTable) -> bool:
    """Say whether the table lacks a trigger of `bound`: until it has it, writes may go unmarked."""
    return _TRIGGERS[connection.dialect.name](connection, bound.model).are_missing(bound)


def install(connection: Connection, bound: BoundTable) -> None:
    """Have the database mark all writes to the table of `bound`, and remove older triggers of its model.

    `connection` is in a transaction, which on MariaDB and MySQL this commits. When that transaction is committed, none
    is open any more that wrote unmarked.

    A table that others are using is waited for at most 1 s, since those who come later queue behind: then the driver's
    error for a lock is raised, and all may be tried again. Raises `SchemaError` if the database cannot do it.
    """
    _TRIGGERS[connection.dialect.name](connection, bound.model).install(bound)


def remove(connection: Connection, model: BoundTable | str) -> None:
    """Remove all triggers of the model, whatever its table was. Otherwise as `install`."""
    name = model if isinstance(model, str) else model.model
    _TRIGGERS[connection.dialect.name](connection, name).remove()
