"""One process of several on a SQLite database: `python -m tests.synchronizer.worker DATABASE NAME KIND`."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from random import Random
from typing import Any

from mobync_core import FilterType, Mobync, ReadFilter, Synchronizer
from mobync_core.testing.dart import DartDevice

COMPARE = {FilterType.equal: "=", FilterType.majorOrEqual: ">="}


class SQLite(Synchronizer):
    """Rows in a SQLite file, each attempt of a push in one transaction."""

    def __init__(self, database: str) -> None:
        self.connection = sqlite3.connect(database, isolation_level=None, timeout=30)
        self.connection.row_factory = sqlite3.Row

    def transaction(self, owner_id: str) -> AbstractContextManager[None]:
        return self._transaction()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def read(self, where: str, filters: list[ReadFilter]) -> list[dict[str, Any]]:
        conditions = "".join(f" AND {one.field_name} {COMPARE[one.filter_by]} ?" for one in filters)
        rows = self.connection.execute(f"SELECT * FROM {where} WHERE 1{conditions}", [one.data for one in filters])
        return [dict(row) for row in rows]

    def create(self, where: str, data_json: str) -> None:
        data = json.loads(data_json)
        marks = ", ".join("?" * len(data))
        self.connection.execute(f"INSERT INTO {where} ({', '.join(data)}) VALUES ({marks})", list(data.values()))

    def update(self, where: str, data_json: str) -> None:
        data = json.loads(data_json)
        changes = ", ".join(f"{name} = :{name}" for name in data)
        self.connection.execute(f"UPDATE {where} SET {changes} WHERE id = :id", data)

    def delete(self, where: str, data_json: str) -> None:
        self.connection.execute(f"DELETE FROM {where} WHERE id = :id", json.loads(data_json))

    def validate_create(self, owner_id: str, **kwargs: Any) -> bool:
        return bool(kwargs["model"] == "todo")

    validate_update = validate_create
    validate_delete = validate_create


class WithoutTransactions(SQLite):
    """As a class that was written for the original library: each write is a transaction of its own."""

    def transaction(self, owner_id: str) -> AbstractContextManager[None]:
        return nullcontext()


def main(database: str, name: str, kind: str) -> None:
    mobync = Mobync(WithoutTransactions(database) if kind == "without" else SQLite(database))
    device = DartDevice("ann", now=lambda: 1, random=Random(name))

    def sync() -> None:
        for _ in range(100):
            request = json.loads(json.dumps(device.request()))
            try:
                device.receive(mobync.apply(request["logical_clock"], request["diffs"], "ann"))
                return
            except sqlite3.IntegrityError:  # two processes create one row: the device comes again
                continue
        raise AssertionError("the device was never answered")

    for number in range(10):
        device.create("todo", f"{name} {number}", {"x": "new"})
        if not device.create("todo", "shared", {"x": f"{name} {number}"}):
            device.update("todo", "shared", {"x": f"{name} {number}"})
        sync()
        if number % 2 == 0:
            device.delete("todo", f"{name} {number}")
    sync()
    print("done", flush=True)
    sys.stdin.readline()  # until all others are done
    sync()
    print(json.dumps({record: fields["x"] for (_, record), fields in device.rows.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
