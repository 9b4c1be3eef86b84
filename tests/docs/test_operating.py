"""What ``docs/operating.md`` shows is run: the commands with SQLite's and PostgreSQL's own tools, and the Python."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from sqlalchemy.engine import make_url

from mobync_core import Mobync
from tests.servers import postgresql
from tests.servers.sources import no_server, own_server

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
OLD = 1_600_000_000_000  # ms, in 2020


def blocks(kind: str) -> list[str]:
    return [token.content for token in MarkdownIt().parse(PAGE) if token.type == "fence" and token.info == kind]


def commands(text: str) -> list[str]:
    """The commands of the one block that holds `text`."""
    (block,) = [block for block in blocks("console") if text in block]
    return [line.removeprefix("$ ") for line in block.splitlines()]


def in_table(storage: str) -> str:
    """The first command of the row of a storage."""
    found = re.search(rf"^\| {storage} \| `([^`]+)`", PAGE, re.MULTILINE)
    assert found is not None
    return found[1]


def run(command: str, where: Path, **variables: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), variables.pop("PATH", ""), os.environ["PATH"]])
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MOBYNC_", "PG"))}
    done = subprocess.run(
        command,
        shell=True,
        check=False,
        cwd=where,
        env={**own, **variables, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def write(url: str, record: str) -> str:
    """Have the application write, and return ann's epoch."""
    with Mobync(url, now=lambda: OLD) as mobync:
        mobync.create("ann", "todo", {"id": record})
        return mobync.storage.load("ann", since=0).epoch


def held(url: str) -> tuple[list[str], str]:
    """The records of ann that are alive, and her epoch."""
    with Mobync(url) as mobync:
        return [record["id"] for record in mobync.records("ann", "todo")], mobync.storage.load("ann", since=0).epoch


def test_a_backup_of_sqlite_is_restored_as_the_page_says(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/app.db"
    epoch = write(url, "before")
    backup = in_table("SQLite")
    if shutil.which("sqlite3"):
        run(backup, tmp_path)
    else:
        said = re.fullmatch(r"sqlite3 (\S+) \"(.+)\"", backup)
        assert said is not None
        with closing(sqlite3.connect(tmp_path / said[1])) as database:
            database.execute(said[2].replace("'backup.db'", f"'{tmp_path}/backup.db'"))
    write(url, "after")

    told = [run(command, tmp_path, MOBYNC_URL=url) for command in commands("cp backup.db")]

    assert "1 owner has another epoch" in told[-1]
    assert held(url)[0] == ["before"]
    assert held(url)[1] != epoch


def test_a_backup_of_postgresql_is_restored_as_the_page_says(tmp_path: Path) -> None:
    tools = postgresql.binaries()
    if tools is None or not (tools / "createdb").exists():
        tools = None
        if not shutil.which("createdb"):
            no_server("postgresql", "put PostgreSQL's createdb, pg_dump and pg_restore on the PATH")
    restore = commands("pg_restore")

    def variables(server_url: str) -> dict[str, str]:
        url = make_url(server_url)
        return {
            "PATH": str(tools or ""),
            "PGHOST": str(url.host),
            "PGPORT": str(url.port),
            "PGUSER": str(url.username),
            "PGPASSWORD": str(url.password),
            "MOBYNC_URL": url.set(database="app").render_as_string(hide_password=False),
        }

    with own_server(postgresql) as old, own_server(postgresql) as fresh:
        live, restored = variables(old.url), variables(fresh.url)
        run(restore[0], tmp_path, **live)
        epoch = write(live["MOBYNC_URL"], "before")
        run(in_table("PostgreSQL"), tmp_path, **live)
        write(live["MOBYNC_URL"], "after")
        old.kill()

        told = [run(command, tmp_path, **restored) for command in restore]

        assert "1 owner has another epoch" in told[-1]
        assert held(restored["MOBYNC_URL"])[0] == ["before"]
        assert held(restored["MOBYNC_URL"])[1] != epoch


@pytest.fixture
def deleted(tmp_path: Path) -> str:
    """The URL of an app.db with a record that was deleted years ago."""
    url = f"sqlite:///{tmp_path}/app.db"
    write(url, "gone")
    with Mobync(url, now=lambda: OLD) as mobync:
        mobync.delete("ann", "todo", "gone")
    return url


def test_what_was_deleted_is_purged_as_the_page_says(deleted: str, tmp_path: Path) -> None:
    would, did = (run(command, tmp_path, MOBYNC_URL=deleted) for command in commands("mobync purge"))

    assert "would purge 1 tombstone of 1 owner, the newest of 2020-09-13" in would
    assert "purged 1 tombstone of 1 owner, the newest of 2020-09-13" in did


def test_the_crontab_purges_and_its_command_holds_no_url(deleted: str, tmp_path: Path) -> None:
    (crontab,) = blocks("text")
    variable, line = crontab.splitlines()
    name, value = variable.replace("…", deleted).split("=", 1)
    command = line.split(None, 5)[5]

    assert "URL" not in command
    assert "purged 1 tombstone of 1 owner" in run(command, tmp_path, **{name: value})


@pytest.mark.usefixtures("deleted")
def test_the_python_runs(tmp_path: Path) -> None:
    (program,) = blocks("python")
    check = "assert (purged.tombstones, owners) == (1, 1)"
    (tmp_path / "upkeep.py").write_text(f"{program}{check}\n", encoding="utf-8")

    assert run(f"{sys.executable} -W error upkeep.py", tmp_path) == "1 tombstones of 1 owners\n"


def test_every_command_of_the_page_is_run_by_one_of_these_tests() -> None:
    assert len(blocks("console")) == 3
