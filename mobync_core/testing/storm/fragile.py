"""A SQLite connection whose process is killed before its n-th write."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "COMMIT", "CREATE", "PRAGMA USER_VERSION")


class Killed(BaseException):
    """The process is killed here. No `except Exception` is to survive it."""


class Fragile(sqlite3.Connection):
    """Counts its writes, each statement that changes something and each commit, and may die before one."""

    fuse: int | None = None

    @contextmanager
    def dying(self, write: int | None) -> Iterator[None]:
        """Die before the n-th write from now on; None: do not."""
        fuse, self.fuse = self.fuse, write
        try:
            yield
        finally:
            self.fuse = fuse

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        self._count(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        self._count(sql)
        return super().executemany(sql, parameters)

    def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
        self._count("CREATE")
        return super().executescript(sql_script)

    def commit(self) -> None:
        self._count("COMMIT")
        super().commit()

    def _count(self, sql: str) -> None:
        if self.fuse is None or not sql.lstrip().upper().startswith(_WRITES):
            return
        self.fuse -= 1
        if self.fuse <= 0:
            self.fuse = None
            raise Killed
