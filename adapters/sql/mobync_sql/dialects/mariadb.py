"""MariaDB and MySQL, through PyMySQL."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Table, text

from mobync_core.checks import check_commit
from mobync_core.errors import ConflictError, SchemaError, StorageError, StorageUnavailable
from mobync_core.storage import Commit, Key, Note, Record
from mobync_sql.dialects.base import CHANGED, GENERATION, MARK, MARKS, NAMED, OWNER, Dialect, LoadedRow

_COLUMNS = "model, id, clock, deleted, changed_at, body"

_ALL = 2**63 - 1  # LIMIT may not be NULL

_LOAD = f"""
SELECT {OWNER}, epoch, '', clock, 0, purged, '' FROM mobync_owners WHERE owner = %(owner)s
UNION ALL
SELECT {GENERATION}, '', '', COALESCE(MAX(generation), 0), 0, 0, '' FROM mobync_bindings
UNION ALL
(
    SELECT {CHANGED}, {_COLUMNS} FROM mobync_records WHERE owner = %(owner)s AND clock >= %(since)s
    ORDER BY clock LIMIT %(limit)s
)
"""


def _pairs(first: str, first_size: int, second: str, second_size: int) -> str:
    """The table of the pairs of names in the parameter `pairs`, which `_hex` makes.

    In hexadecimal, no collation and no rule of JSON has a say in what a name is.
    """
    return (
        "JSON_TABLE(%(pairs)s, '$[*]' COLUMNS ("
        f"{first} VARCHAR({2 * first_size}) CHARACTER SET ascii PATH '$[0]', "
        f"{second} VARCHAR({2 * second_size}) CHARACTER SET ascii PATH '$[1]')) AS k"
    )


def _hex(pairs: Collection[tuple[str, str]]) -> str:
    return json.dumps([(first.encode().hex(), second.encode().hex()) for first, second in pairs])


# STRAIGHT_JOIN looks each key up by the primary key, never the keys up for each record.
_NAMED = (
    f"{_pairs('model', 255, 'id', 255)} STRAIGHT_JOIN mobync_records r "
    "ON r.owner = %(owner)s AND r.model = UNHEX(k.model) AND r.id = UNHEX(k.id)"
)
_NAMED_NOTES = (
    f"{_pairs('kind', 32, 'name', 1024)} STRAIGHT_JOIN mobync_notes n "
    "ON n.owner = %(owner)s AND n.kind = UNHEX(k.kind) AND n.`key` = UNHEX(k.name)"
)

_LOAD_NAMED = f"""{_LOAD}
UNION ALL
SELECT {NAMED}, r.model, r.id, r.clock, r.deleted, r.changed_at, r.body FROM {_NAMED}
"""

_MARKS = f"""
UNION ALL
(
    SELECT {MARK}, model, id, mark, 0, at, '' FROM mobync_outbox WHERE owner = %(owner)s
    ORDER BY owner, model, id LIMIT {MARKS}
)
"""

_SCHEMA_SECONDS = 10
"""How long to wait for another process that migrates."""

# Of the server, not of a database, hence with its name; at most 64 characters.
_SCHEMA_LOCK = "LEFT(CONCAT('mobync/', DATABASE()), 64)"

_ENGINE = text(
    "SELECT engine FROM information_schema.tables "
    "WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name"
)

_OLDEST = {"MariaDB": (10, 6, 0), "MySQL": (8, 0, 4)}
"""The first versions that have JSON_TABLE."""

_LEAST_PACKET = 4 * 2**20
"""What a record of 1 MiB needs in the worst case is half of it: each of its characters escaped."""

_DUPLICATE = 1062
_CONFLICTS = {
    1020,  # the row has changed since it was read
    1205,  # a lock was waited for too long: the transaction goes on, unless it is rolled back
    1213,  # deadlock, and on a cluster another node's commit
    1412,  # the table was changed since the transaction began
}
_OUT_OF_REACH = {
    *(1021, 1026, 1030, 1114, 1878),  # the disk, or the table's space on it, is full or fails
    *(1037, 1038, 1041, 1206, 1637),  # out of memory, or of room for locks and transactions
    *(1040, 1203, 1226),  # too many connections
    *(1042, 1043, 1044, 1045, 1049, 1129, 1130),  # not let in, or not into this database
    *(1047, 1053, 1152, 1158, 1159, 1160, 1161, 1184),  # not ready, shutting down, connection broken
    *(1290, 1792, 1836),  # read-only: a replica
    *(1317, 1927, 1969, 3024, 3169, 4031),  # ended by an administrator, or took too long
}
_OF_THE_DRIVER = range(2000, 3000)
"""The server was not reached, or is lost."""


class MariaDB(Dialect):
    """Many rows go as INSERTs of many rows each, which PyMySQL makes of `executemany`.

    It splits them at 1 MB, so that a commit may be greater than the server's `max_allowed_packet`. MySQL's newer
    name for the row that was to be inserted (``AS new``) is not MariaDB's: ``VALUES()`` is known to both.
    """

    begin = "BEGIN"
    # "IGNORE" would also let pass what the columns cannot hold; a duplicate is told by its error.
    insert_owner = text(
        "INSERT INTO mobync_owners (owner, clock, epoch, purged) VALUES (:owner, :clock, :epoch, :purged)"
    )

    _put = (
        f"INSERT INTO mobync_records (owner, {_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE "
        "clock = VALUES(clock), deleted = VALUES(deleted), changed_at = VALUES(changed_at), body = VALUES(body)"
    )
    _write_notes = (
        "INSERT INTO mobync_notes (owner, kind, `key`, body) VALUES (%s, %s, %s, %s) "
        "ON DUPLICATE KEY UPDATE body = VALUES(body)"
    )

    def start(self, connection: Connection) -> None:
        if self.lent:
            # As in sessions of our own: gaps between rows, and waits of a minute, would be at others' expense.
            connection.exec_driver_sql(
                "SET @mobync_wait = @@SESSION.innodb_lock_wait_timeout, SESSION innodb_lock_wait_timeout = 1"
            )
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        super().start(connection)

    def finish(self, connection: Connection) -> None:
        if self.lent:
            connection.exec_driver_sql("SET SESSION innodb_lock_wait_timeout = @mobync_wait")

    def unfit(self, connection: Connection) -> str:
        row = connection.exec_driver_sql("SELECT VERSION(), @@character_set_client, @@max_allowed_packet").one()
        version, charset, packet = row
        product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
        oldest = _OLDEST[product]
        if tuple(int(number) for number in re.findall(r"\d+", version)[:3]) < oldest:
            return f"it is {product} {version}, at least {'.'.join(map(str, oldest))} is needed"
        if charset != "utf8mb4":
            return f"the connection's character set is {charset}: connect with charset=utf8mb4"
        if packet < _LEAST_PACKET:
            return f"the server's max_allowed_packet is {packet}: set it to {_LEAST_PACKET} at least"
        return ""

    def check(self, owner: str, commit: Commit) -> None:
        # An application's own engine may have a lax sql_mode, by which what is too long is cut off.
        check_commit(owner, commit)

    def unfit_for_rows(self, connection: Connection, table: Table) -> str:
        engine = connection.execute(_ENGINE, {"schema": table.schema, "name": table.name}).scalar()
        return "" if engine == "InnoDB" else f"its engine is {engine}, which has no transactions: make it InnoDB"

    def lock_writers(self, connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")  # what made triggers before has ended the transaction
        connection.exec_driver_sql("SELECT COUNT(*) FROM mobync_owners LOCK IN SHARE MODE").scalar()

    @contextmanager
    def schema_lock(self, connection: Connection) -> Iterator[None]:
        # Each CREATE TABLE commits, so the transaction's own locks would not do.
        if connection.exec_driver_sql(f"SELECT GET_LOCK({_SCHEMA_LOCK}, {_SCHEMA_SECONDS})").scalar() != 1:
            raise StorageUnavailable(f"another process has been setting the tables up for {_SCHEMA_SECONDS} s")
        try:
            yield
        finally:
            if not connection.invalidated:  # with the connection goes the lock
                connection.exec_driver_sql(f"DO RELEASE_LOCK({_SCHEMA_LOCK})")

    def load(
        self, connection: Connection, owner: str, since: int, keys: Collection[Key], limit: int | None, *, marks: bool
    ) -> Sequence[LoadedRow]:
        parameters: dict[str, Any] = {"owner": owner, "since": since, "limit": _ALL if limit is None else limit}
        statement = _LOAD
        if keys:
            statement = _LOAD_NAMED
            parameters["pairs"] = _hex(set(keys))
        if marks:
            statement += _MARKS
        rows = connection.exec_driver_sql(statement, parameters).fetchall()
        return [(tag, model.decode(), id.decode(), *rest) for tag, model, id, *rest in rows]

    def put(self, connection: Connection, owner: str, records: Sequence[Record]) -> None:
        connection.exec_driver_sql(
            self._put, [(owner, r.model, r.id, r.clock, r.deleted, r.changed_at, r.body) for r in records]
        )

    def remove(self, connection: Connection, owner: str, keys: Sequence[Key]) -> None:
        connection.exec_driver_sql(f"DELETE r FROM {_NAMED}", {"owner": owner, "pairs": _hex(keys)})

    def write_notes(self, connection: Connection, owner: str, notes: Sequence[Note]) -> None:
        connection.exec_driver_sql(self._write_notes, [(owner, note.kind, note.key, note.body) for note in notes])

    def forget(self, connection: Connection, owner: str, keys: Sequence[tuple[str, str]]) -> None:
        connection.exec_driver_sql(f"DELETE n FROM {_NAMED_NOTES}", {"owner": owner, "pairs": _hex(keys)})

    def fault(self, error: BaseException) -> tuple[type[StorageError], str]:
        code, *rest = error.args or (0,)  # 0: used after it was lost
        message = f"{' '.join(map(str, rest))} ({code})"
        if code == _DUPLICATE:  # no other row is ever inserted without a word on what to do if it is there
            return ConflictError, f"the owner is there already ({code})"
        if code in _CONFLICTS:
            return ConflictError, message
        if code in _OUT_OF_REACH or code == 0 or code in _OF_THE_DRIVER:
            return StorageUnavailable, message
        if code == 1146:  # no such table
            return SchemaError, f"{message}: call setup() first"
        return StorageError, message
