"""SQLite: a copy made through SQLite while the file is in use, and a plain copy of a file that nobody has open."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path


class SQLiteFile:
    """A file in `directory`, copied while nobody has it open, if it is to be `idle`, or through SQLite."""

    def __init__(self, directory: Path, *, idle: bool) -> None:
        self._file = directory / "app.db"
        self._backup = directory / "backup.db"
        self.idle = idle

    @property
    def url(self) -> str:
        return f"sqlite:///{self._file.as_posix()}"

    def back_up(self) -> None:
        if not self.idle:
            with closing(sqlite3.connect(self._file)) as live, closing(sqlite3.connect(self._backup)) as copy:
                live.backup(copy)
            return
        assert not self._beside(), "somebody has the file open, or died with it: what it lacks is in its WAL"
        shutil.copy(self._file, self._backup)

    def restore(self) -> None:
        # Else SQLite would take the WAL of the file that is gone for that of the backup.
        for file in self._beside():
            file.unlink()
        shutil.copy(self._backup, self._file)

    def _beside(self) -> list[Path]:
        names = [self._file.with_name(self._file.name + end) for end in ("-wal", "-shm", "-journal")]
        return [file for file in names if file.exists()]
