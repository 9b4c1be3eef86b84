"""A database that is a few dicts, and what lets Mobync read and write it."""

from __future__ import annotations

import json
import operator
import threading
from typing import Any

from mobync_core import FilterType, ReadFilter, Synchronizer

Row = dict[str, Any]

COMPARE = {
    FilterType.equal: operator.eq,
    FilterType.major: operator.gt,
    FilterType.minor: operator.lt,
    FilterType.majorOrEqual: operator.ge,
    FilterType.minorOrEqual: operator.le,
}


class DataBase:
    """Tables of rows by their ids. May be shared by threads."""

    def __init__(self, *tables: str) -> None:
        self.lock = threading.Lock()
        self.tables: dict[str, dict[str, Row]] = {name: {} for name in tables}

    def as_dict(self) -> dict[str, list[Row]]:
        """Return every table as a list of its rows."""
        with self.lock:
            return {name: [dict(row) for row in table.values()] for name, table in self.tables.items()}


class Implementation(Synchronizer):
    """Reads and writes a `DataBase`, of which the table ``diffs`` is Mobync's."""

    def __init__(self, db: DataBase) -> None:
        self.db = db

    def read(self, where: str, filters: list[ReadFilter]) -> list[Row]:
        with self.db.lock:
            rows = [dict(row) for row in self.db.tables[where].values()]
        for one in filters:
            rows = [row for row in rows if COMPARE[one.filter_by](row[one.field_name], one.data)]
        return rows

    def create(self, where: str, data_json: str) -> None:
        row = json.loads(data_json)
        with self.db.lock:
            if row["id"] in self.db.tables[where]:
                raise ValueError(f"{where} has a row of the id {row['id']!r} already")
            self.db.tables[where][row["id"]] = row

    def update(self, where: str, data_json: str) -> None:
        row = json.loads(data_json)
        with self.db.lock:
            self.db.tables[where][row["id"]].update(row)

    def delete(self, where: str, data_json: str) -> None:
        with self.db.lock:
            del self.db.tables[where][json.loads(data_json)["id"]]

    def validate_create(self, owner_id: str, **kwargs: Any) -> bool:  # noqa: ARG002 - the owner may do anything here
        return kwargs["model"] in self.db.tables

    validate_update = validate_create
    validate_delete = validate_create
