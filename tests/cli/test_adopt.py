"""``mobync adopt``, on a table of an application that knows nothing of Mobync."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from mobync_core import Mobync
from tests.cli.commands import COMMAND, mobync

ROWS = 20_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with 20,000 tasks of ten users."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL, title TEXT NOT NULL, "
            "secret TEXT, approved BOOLEAN NOT NULL DEFAULT 0)"
        )
        rows = ((number, number % 10, f"task {number}", "s") for number in range(ROWS))
        database.executemany("INSERT INTO tasks (id, user_id, title, secret) VALUES (?, ?, ?, ?)", rows)
        database.commit()
    return path


ADOPT = ("tasks", "--owner-column", "user_id", "--model", "todo", "--hide", "secret", "--read-only", "approved")


def records(path: Path, owner: str) -> dict[str, dict[str, object]]:
    with Mobync(f"sqlite:///{path}") as engine:
        return {str(record.pop("id")): record for record in engine.records(owner, "todo")}


def test_rows_become_records_and_later_ones_too(path: Path) -> None:
    ended = mobync("adopt", f"sqlite:///{path}", *ADOPT, "--field", "text=title", COLUMNS="140")
    assert (ended.status, ended.err) == (0, "")
    assert "text (title), approved read-only" in ended.out
    assert "triggers" in ended.out
    assert len(records(path, "3")) == ROWS // 10
    assert records(path, "3")["13"] == {"text": "task 13", "approved": False}
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM mobync_outbox").fetchone() == (0,)
        database.execute("UPDATE tasks SET title = 'raw' WHERE id = 13")
        database.execute("DELETE FROM tasks WHERE id = 23")
        database.commit()
    assert records(path, "3")["13"] == {"text": "raw", "approved": False}
    assert "23" not in records(path, "3")


def test_it_lists_what_is_bound(path: Path) -> None:
    assert "no model is bound" in mobync("adopt", f"sqlite:///{path}").out
    mobync("adopt", f"sqlite:///{path}", *ADOPT)
    told = mobync("adopt", f"sqlite:///{path}", COLUMNS="140").out
    assert "todo" in told
    assert "secret" not in told


def test_killed_in_the_middle_it_goes_on_where_it_was(path: Path) -> None:
    with subprocess.Popen([*COMMAND, "adopt", f"sqlite:///{path}", *ADOPT], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while _marked(path) < 2000 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert mobync("adopt", f"sqlite:///{path}", *ADOPT).status == 0
    assert sum(len(records(path, str(owner))) for owner in range(10)) == ROWS


def test_without_triggers_a_rescan_finds_what_is_new(path: Path) -> None:
    mobync("adopt", f"sqlite:///{path}", *ADOPT, "--no-triggers")
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE tasks SET title = 'raw' WHERE id = 13")
        database.execute("DELETE FROM tasks WHERE id = 24")
        database.commit()
    assert records(path, "3")["13"]["title"] == "task 13"
    ended = mobync("adopt", f"sqlite:///{path}", "--rescan")
    assert (ended.status, ended.err) == (0, "")
    assert records(path, "3")["13"]["title"] == "raw"
    assert "24" not in records(path, "4")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("taks", "--owner-column", "user_id"), "did you mean tasks?"),
        (("tasks",), "--owner-column"),
        (("tasks", "--owner-column", "userid"), "did you mean 'user_id'"),
        (("tasks", "--owner-column", "user_id", "--hide", "secrets"), "did you mean 'secret'"),
        (("tasks", "--owner-column", "user_id", "--field", "x"), "NAME=COLUMN"),
        (("--rescan",), "no table is bound"),
        (("tasks", "--rescan"), "--model"),
    ],
)
def test_wrong_words_are_told(path: Path, arguments: tuple[str, ...], told: str) -> None:
    ended = mobync("adopt", f"sqlite:///{path}", *arguments)
    assert ended.status != 0
    assert told in " ".join(ended.err.split())
    assert "Traceback" not in ended.err


def test_a_storage_without_tables_says_so() -> None:
    ended = mobync("adopt", "memory://", "tasks", "--owner-column", "user_id")
    assert ended.status == 1
    assert "memory://" in ended.err


def _marked(path: Path) -> int:
    with closing(sqlite3.connect(path)) as database:
        try:
            found: tuple[int] = database.execute("SELECT count(*) FROM mobync_outbox").fetchone()
        except sqlite3.OperationalError:  # not there yet
            return 0
    return found[0]
