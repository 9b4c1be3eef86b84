"""The suite as a stranger uses it: a class in a file of tests, run by pytest in a directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mobync_core.testing.verify import verify
from tests.testing.mutants.plugin import ROOT

HEAD = """
import pytest
from mobync_core.testing import HandedIn, StorageSuite
"""
TEN_LINES = """
class TestMine(StorageSuite):
    @pytest.fixture
    def url(self, tmp_path):
        return URL
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Runs pytest on one file of tests; returns its exit status and what it printed."""

    def pytest_on(source: str, *arguments: str, url: str = "memory://") -> tuple[int, str]:
        directory = tmp_path / "theirs"
        directory.mkdir(exist_ok=True)
        (directory / "test_mine.py").write_text(f"{HEAD}\nURL = {url!r}\n{source}")
        path = os.environ.get("PYTHONPATH") or str(ROOT)
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
            cwd=directory,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    return pytest_on


def test_ten_lines_put_a_storage_to_the_test_and_tell_what_was_not_run_and_why(
    run: Callable[..., tuple[int, str]],
) -> None:
    status, said = run(TEN_LINES, "-q", "-k", "removed or processes or handed or password")

    assert status == 0, said
    told = said.partition("promises that were not run")[2]
    assert "TestMine: no other process may open it (its adapter says that it is not shared)\n" in told
    assert "\n    test_setup_may_be_raced_by_processes_and_repeated\n" in told
    assert "TestMine: no fixture `handed_in` gives a storage on a client of the application\n" in told
    assert "\n    test_the_password_of_the_url_is_never_shown\n" in told
    assert "test_a_removed_record_is_gone_and_others_stay" not in told


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("def test_a_tombstone_is_kept_and_told(self): pass", "test_a_tombstone_is_kept_and_told"),
        ("test_a_limit_keeps_the_earliest = None", "test_a_limit_keeps_the_earliest"),
        ("@pytest.fixture\n    def storage(self): pass", "storage"),
        ("@pytest.fixture\n    def abilities(self): pass", "abilities"),
        ("_shared = None", "_shared"),
        ("__test__ = False", "__test__"),
    ],
)
def test_who_overrides_a_promise_or_what_it_stands_on_is_refused_at_collection(
    body: str, named: str, run: Callable[..., tuple[int, str]]
) -> None:
    status, said = run(f"{TEN_LINES}\n    {body}\n", "-q")

    assert status == pytest.ExitCode.INTERRUPTED, said
    assert "1 error during collection" in said
    assert f"TypeError: TestMine {'sets' if named == '__test__' else 'overrides'} {named}" in said


def test_what_a_class_between_overrides_is_refused_too(run: Callable[..., tuple[int, str]]) -> None:
    source = f"class Lax:\n    test_to_erase_nobody_is_no_error = None\n{TEN_LINES}".replace("(Sto", "(Lax, Sto")
    status, said = run(source, "-q")

    assert status == pytest.ExitCode.INTERRUPTED, said
    assert "TestMine overrides test_to_erase_nobody_is_no_error" in said


def test_without_a_url_it_says_what_it_needs(run: Callable[..., tuple[int, str]]) -> None:
    status, said = run("class TestMine(StorageSuite): pass", "-q", "-k", "tombstone")

    assert status == pytest.ExitCode.TESTS_FAILED
    assert "TestMine needs a fixture `url` that returns the URL of the storage" in said


def test_a_failure_says_in_a_line_what_is_wrong(
    run: Callable[..., tuple[int, str]], place: Callable[[str], str]
) -> None:
    status, said = run(TEN_LINES, "-q", "-k", "tombstone_is_kept", url=place("drops-tombstones"))

    assert status == pytest.ExitCode.TESTS_FAILED
    assert "AssertionError: assert what is there == what should be there" in said
    assert re.search(r"^E +the tombstone task 'a' at clock 2 is missing$", said, re.MULTILINE)


def test_a_race_of_the_first_setup_is_found(run: Callable[..., tuple[int, str]], place: Callable[[str], str]) -> None:
    status, said = run(TEN_LINES, "-q", "-k", "raced", url=place("makes-its-tables-twice"))

    assert status == pytest.ExitCode.TESTS_FAILED, said
    assert "AssertionError: a process on the storage failed:" in said
    assert "FileExistsError" in said


HANDED_IN = """
import sqlite3
from mobync_sql import SQLStorage
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

class Closing(SQLStorage):
    def close(self):
        super().close()
        CLOSE

class TestMine(StorageSuite):
    @pytest.fixture
    def url(self):
        return "sqlite://"

    @pytest.fixture
    def handed_in(self, tmp_path):
        client = sqlite3.connect(tmp_path / "a.db", check_same_thread=False)
        engine = create_engine("sqlite://", creator=lambda: client, poolclass=StaticPool)
        yield HandedIn(Closing(engine), lambda: client.execute("SELECT 1").fetchone())
        engine.dispose()
"""


@pytest.mark.parametrize(("close", "status"), [("pass", 0), ("self.engine.dispose()", 1)])
def test_a_storage_that_closes_a_client_of_the_application_is_found(
    close: str, status: int, run: Callable[..., tuple[int, str]]
) -> None:
    ended, said = run(HANDED_IN.replace("CLOSE", close), "-q", "-k", "handed_in")

    assert ended == status, said
    if status:
        assert "the client that was handed in does not work any more: ProgrammingError" in said


UNDECLARED = """
from mobync_core import Adapter, hookimpl

def open(url):
    from mobync_memory import MemoryStorage
    return MemoryStorage()

@hookimpl
def mobync_storage_adapters():
    return [Adapter(name="forgetful", schemes=("forgetful",), open=open)]
"""


def test_who_declares_no_abilities_is_held_to_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "forgetful-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: forgetful\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mobync]\nforgetful = forgetful_adapter\n")
    (tmp_path / "forgetful_adapter.py").write_text(UNDECLARED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")

    why = {
        promise.text: promise.why
        for only in ("opened", "process", "killed")
        for promise in verify("forgetful://", only=only).promises
        if promise.outcome == "broken"
    }
    assert why["opened again it has what was committed"] == {
        "": "clock is 0, not 2\nepoch is '', not '6b1d0d6e'\nchanged: task 'a' at clock 0 is missing\n"
        "changed: the tombstone task 'b' at clock 1 is missing"
    }
    assert "two that are opened on one store see each other" in why
    assert "of four processes on one clock one wins and the losers leave no trace" in why
    assert "no increment of another process is lost" in why
    assert "a writer that is killed loses nothing acknowledged and leaves nothing by half" in why
