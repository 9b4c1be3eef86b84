"""An application as the original README describes it: tables in memory, and a class that reads and writes them."""

from __future__ import annotations

import copy
import json
import operator
from typing import Any

from mobync_core import Diff, FilterType, ReadFilter, Synchronizer
from mobync_core.synchronizer.log import Log

Row = dict[str, Any]

COMPARE = {
    FilterType.equal: operator.eq,
    FilterType.major: operator.gt,
    FilterType.minor: operator.lt,
    FilterType.majorOrEqual: operator.ge,
    FilterType.minorOrEqual: operator.le,
}


class Crash(Exception):
    """The application died here, or its database failed."""


class Application(Synchronizer):
    """Keeps its rows in lists. It fails at the write `fails_at`, counted from 0, before it or after it was done."""

    def __init__(self, *tables: str) -> None:
        self.tables: dict[str, list[Row]] = {name: [] for name in (*tables, "diffs")}
        self.writes = 0
        self.fails_at: int | None = None
        self.fails_after = False

    def rows(self, where: str) -> list[Row]:
        return copy.deepcopy(self.tables[where])

    def log(self, owner: str) -> Log:
        """Replay an owner's diffs."""
        return Log(owner, [Diff(**row) for row in self.tables["diffs"] if row["owner"] == owner])

    def read(self, where: str, filters: list[ReadFilter]) -> str:
        rows = self.tables[where]
        for one in filters:
            rows = [row for row in rows if COMPARE[one.filter_by](row[one.field_name], one.data)]
        return json.dumps(rows)

    def create(self, where: str, data_json: str) -> None:
        row = json.loads(data_json)
        assert where == "diffs" or all(row["id"] != one["id"] for one in self.tables[where]), "a row is created twice"
        self._write(lambda: self.tables[where].append(row))

    def update(self, where: str, data_json: str) -> None:
        data = json.loads(data_json)
        (row,) = [row for row in self.tables[where] if row["id"] == data["id"]]
        self._write(lambda: row.update(data))

    def delete(self, where: str, data_json: str) -> None:
        (row,) = [row for row in self.tables[where] if row["id"] == json.loads(data_json)["id"]]
        self._write(lambda: self.tables[where].remove(row))

    def validate_create(self, owner_id: str, **kwargs: Any) -> bool:
        return bool(kwargs["owner"] == owner_id)

    validate_update = validate_create
    validate_delete = validate_create

    def _write(self, write: Any) -> None:
        number, self.writes = self.writes, self.writes + 1
        if number == self.fails_at and not self.fails_after:
            raise Crash
        write()
        if number == self.fails_at:
            raise Crash
