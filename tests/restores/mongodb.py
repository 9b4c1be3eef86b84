"""MongoDB, or what speaks its protocol: its data directory, copied while the server is stopped."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import mongodb
from tests.servers.mongodb import MongoDB
from tests.servers.processes import plain_directory
from tests.servers.report import note
from tests.servers.sources import no_server


class CopiedDirectory:
    """A server whose data directory is copied, and put back."""

    idle = False

    def __init__(self, server: MongoDB, data: Path, backup: Path) -> None:
        self._server = server
        self._data, self._backup = data, backup
        self.url = server.url.replace("/?", "/app?")

    def back_up(self) -> None:
        self._server.stop()
        shutil.copytree(self._data, self._backup)
        self._server.start()

    def restore(self) -> None:
        self._server.stop()
        shutil.rmtree(self._data)
        shutil.copytree(self._backup, self._data)
        self._server.start()


@contextmanager
def copied_directory(directory: Path) -> Iterator[CopiedDirectory]:
    """Such a site; ends the test if there is no server."""
    program = mongodb.binary()
    if program is None:
        no_server("mongodb", mongodb.WAY_OUT)
    with plain_directory("mobync-mongodb-") as place:
        server = MongoDB(place, program)
        server.start()
        try:
            note("mongodb", f"{mongodb.version(server.url)}, from a binary of this machine")
            yield CopiedDirectory(server, place / "data", directory / "data")
        finally:
            server.stop()
