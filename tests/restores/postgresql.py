"""PostgreSQL: what `pg_dump` wrote of a server at work, restored by `pg_restore` into a fresh cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.servers import postgresql
from tests.servers.sources import no_server, own_server


class Dumped:
    """A database on a cluster of its own; a restore makes another cluster, and ends the first by SIGKILL."""

    idle = False

    def __init__(self, directory: Path, dump: str, restore: str, stack: ExitStack) -> None:
        self._file = directory / "app.dump"
        self._dump, self._restore = dump, restore
        self._stack = stack
        self._server = stack.enter_context(own_server(postgresql))
        self.url = stack.enter_context(postgresql.fresh_database(self._server.url))

    def back_up(self) -> None:
        self._run(self._dump, "--format=custom", f"--file={self._file}")

    def restore(self) -> None:
        fresh = self._stack.enter_context(own_server(postgresql))
        self.url = self._stack.enter_context(postgresql.fresh_database(fresh.url))
        self._run(self._restore, "--exit-on-error", "--no-owner", str(self._file))

    def _run(self, program: str, *arguments: str) -> None:
        url = make_url(self.url)
        plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        done = subprocess.run(
            [program, f"--dbname={url.database}", *arguments],
            env={
                **plain,
                "PGHOST": url.host or "",
                "PGPORT": str(url.port),
                "PGUSER": url.username or "",
                "PGPASSWORD": str(url.password),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


@contextmanager
def dumped(directory: Path) -> Iterator[Dumped]:
    """Such a site; ends the test if the tools are missing."""
    with ExitStack() as stack:
        yield Dumped(directory, _tool("pg_dump"), _tool("pg_restore"), stack)


def _tool(name: str) -> str:
    # Those of the server's own version first: an older pg_dump refuses a newer server.
    beside = postgresql.binaries()
    if beside is not None and (beside / name).exists():
        return str(beside / name)
    return shutil.which(name) or no_server("postgresql", f"put PostgreSQL's {name} on the PATH")
