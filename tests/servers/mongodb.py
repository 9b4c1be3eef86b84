"""A server that speaks MongoDB's wire protocol and that the tests start: `mongod` from the PATH, or `SecantusDB`."""

from __future__ import annotations

import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.servers.processes import ServerProcess, free_port, plain_directory

BACKEND = "mongodb"
WAY_OUT = "pip install SecantusDB, or put mongod on the PATH"


def binary() -> str | None:
    """The program to start, if there is one."""
    beside = Path(sys.executable).parent / "secantusd-py"
    return shutil.which("mongod") or shutil.which("secantusd-py") or (str(beside) if beside.exists() else None)


class MongoDB(ServerProcess):
    def __init__(self, directory: Path, binary: str) -> None:
        super().__init__(directory)
        self._binary = binary
        self._port = free_port()

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}/?directConnection=true"

    def start(self) -> None:
        data = self._directory / "data"
        data.mkdir(exist_ok=True)
        if Path(self._binary).name == "mongod":
            flags = ["--bind_ip", "127.0.0.1", "--dbpath", str(data), "--setParameter", "enableTestCommands=1"]
        else:  # without --sync-on-commit it loses on SIGKILL what it acknowledged
            flags = ["--host", "127.0.0.1", "--storage-path", str(data), "--sync-on-commit", "--enable-test-commands"]
        self._launch([self._binary, "--port", str(self._port), *flags])

    def _answers(self) -> bool:
        try:
            with MongoClient[dict[str, object]](self.url, serverSelectionTimeoutMS=500) as client:
                client.admin.command("ping")
        except PyMongoError:
            return False
        return True


def is_there() -> bool:
    """Whether this machine has a server's program."""
    return binary() is not None


@contextmanager
def own_server() -> Iterator[MongoDB]:
    """A server that lives as long as the `with`."""
    program = binary()
    if program is None:
        raise FileNotFoundError(WAY_OUT)
    with plain_directory("mobync-mongodb-") as directory:
        server = MongoDB(directory, program)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new database on the server, dropped at the end.

    It is made by the first who writes. A user in the URL is one of `admin`, unless the URL says otherwise.
    """
    name = f"mobync_test_{uuid.uuid4().hex}"
    parts = urlsplit(server_url)
    query = parts.query
    if "@" in parts.netloc and "authSource=" not in query:
        query = f"{query}&authSource=admin".lstrip("&")
    try:
        yield parts._replace(path=f"/{name}", query=query).geturl()
    finally:
        with MongoClient[dict[str, object]](server_url, serverSelectionTimeoutMS=5000) as client:
            client.drop_database(name)


def version(server_url: str) -> str:
    """What the server says it is."""
    with MongoClient[dict[str, Any]](server_url, serverSelectionTimeoutMS=5000) as client:
        info = client.admin.command("buildInfo")
    if "secantusVersion" in info:
        return f"SecantusDB {info['secantusVersion']} (as MongoDB {info['version']})"
    return f"MongoDB {info['version']}"
