"""A MariaDB server that the tests start, from the PATH."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError

from tests.servers.processes import ServerProcess, as_plain_user, free_port, plain_directory

BACKEND = "mariadb"
WAY_OUT = "install MariaDB's server, on Debian: apt-get install --no-install-recommends mariadb-server-core"
PASSWORD = "s3cr3t-of-the-tests"

_DRIVERS = {"mariadb": "mariadb+pymysql", "mysql": "mysql+pymysql"}

# What `mariadb-install-db` runs; it, too, needs a program of the client's package. Left out are help texts and views.
_SYSTEM_TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")

# A commit is handed to the operating system at once (2), so it survives the death of the process, which is all that a
# test can bring about; it is not flushed to the disk each time (1). With 0 a kill would lose what was committed.
_FAST = (
    "--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=48M",
    "--innodb-doublewrite=0", "--performance-schema=0",
)  # fmt: skip


def binaries() -> tuple[Path, Path] | None:
    """The server's program and the directory with the statements that make its own tables, if they are here."""
    found = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/libexec")
    if found is None:
        return None
    program = Path(found).resolve()
    for name in ("mysql", "mariadb"):
        share = program.parent.parent / "share" / name
        if all((share / file).exists() for file in _SYSTEM_TABLES):
            return program, share
    return None


class MariaDB(ServerProcess):
    def __init__(self, directory: Path, program: Path, share: Path) -> None:
        super().__init__(directory)
        self._command = [str(program), "--no-defaults", f"--datadir={directory / 'data'}"]
        self._port = free_port()
        self._make_system_tables(share)

    @property
    def url(self) -> str:
        url = URL.create("mariadb", "mobync", PASSWORD, "127.0.0.1", self._port, "mysql")
        return url.render_as_string(hide_password=False)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._launch(
            [
                *self._command, f"--port={self._port}", "--bind-address=127.0.0.1", "--skip-name-resolve",
                f"--socket={self._directory / 'socket'}", "--max-connections=200", *_FAST,
            ],
            **as_plain_user(),
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with _connected(self.url):
                return True
        except OperationalError:
            return False

    def _make_system_tables(self, share: Path) -> None:
        statements = [
            # one statement a line
            "CREATE DATABASE mysql;",
            "USE mysql;",
            "SET @auth_root_socket = NULL;",
            *((share / file).read_text() for file in _SYSTEM_TABLES),
            "DELETE FROM global_priv WHERE User IN ('', 'root');",  # who would need no password
            "FLUSH PRIVILEGES;",
            f"CREATE USER mobync IDENTIFIED BY '{PASSWORD}';",
            "GRANT ALL ON *.* TO mobync WITH GRANT OPTION;",
        ]
        done = subprocess.run(
            [*self._command, "--bootstrap", *_FAST], input="\n".join(statements),
            capture_output=True, text=True, check=False, cwd=self._directory, **as_plain_user(),
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"mariadbd --bootstrap ended with {done.returncode}:\n{done.stdout}{done.stderr}")


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parsed = make_url(url)
    driver = _DRIVERS.get(parsed.drivername, parsed.drivername)
    engine = create_engine(parsed.set(drivername=driver), connect_args={"connect_timeout": 2, "read_timeout": 20})
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def is_there() -> bool:
    """Whether this machine has MariaDB's server."""
    return binaries() is not None


@contextmanager
def own_server() -> Iterator[MariaDB]:
    """A server that lives as long as the `with`."""
    found = binaries()
    if found is None:
        raise FileNotFoundError(WAY_OUT)
    with plain_directory("mobync-mariadb-") as directory:
        (directory / "data").mkdir()
        shutil.chown(directory / "data", directory.stat().st_uid, directory.stat().st_gid)
        server = MariaDB(directory, *found)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a new database on the server, dropped at the end."""
    name = f"mobync_test_{uuid.uuid4().hex}"
    with _connected(server_url) as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with _connected(server_url) as connection:
            connection.execute(text(f"DROP DATABASE {name}"))


def version(server_url: str) -> str:
    """What the server says it is."""
    with _connected(server_url) as connection:
        return f"MariaDB {connection.execute(text('SELECT VERSION()')).scalar_one()}"
