"""MariaDB: its data directory, copied while the server is stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import mariadb
from tests.servers.mariadb import MariaDB
from tests.servers.processes import plain_directory
from tests.servers.report import note
from tests.servers.sources import no_server


class CopiedDirectory:
    """A server whose data directory is copied, and put back for the user under whom it runs."""

    idle = False

    def __init__(self, server: MariaDB, data: Path, backup: Path, url: str) -> None:
        self._server = server
        self._data, self._backup = data, backup
        self.url = url

    def back_up(self) -> None:
        self._server.stop()
        shutil.copytree(self._data, self._backup)
        self._server.start()

    def restore(self) -> None:
        self._server.kill()
        owner = self._data.stat()
        shutil.rmtree(self._data)
        shutil.copytree(self._backup, self._data)
        for path in (self._data, *self._data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)
        self._server.start()


@contextmanager
def copied_directory(directory: Path) -> Iterator[CopiedDirectory]:
    """Such a site; ends the test if there is no server."""
    found = mariadb.binaries()
    if found is None:
        no_server("mariadb", mariadb.WAY_OUT)
    with plain_directory("mobync-mariadb-") as place:
        data = place / "data"
        data.mkdir()
        shutil.chown(data, place.stat().st_uid, place.stat().st_gid)
        server = MariaDB(place, *found)
        server.start()
        try:
            note("mariadb", f"{mariadb.version(server.url)}, from a binary of this machine")
            with mariadb.fresh_database(server.url) as url:
                yield CopiedDirectory(server, data, directory / "data", url)
        finally:
            server.stop()
