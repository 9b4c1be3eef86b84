"""``mobync verify``, as a process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from mobync_core import Note, open_storage
from mobync_core.testing.examples import everything, put, record
from tests.cli.commands import COMMAND, mobync
from tests.servers.processes import free_port
from tests.testing.mutants.plugin import install


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path.as_posix()}/store.db"


def without(directory: Path, *modules: str) -> str:
    """A PYTHONPATH on which these modules cannot be imported."""
    blocked = "\n".join(f"sys.modules[{name!r}] = None" for name in modules)
    (directory / "sitecustomize.py").write_text(f"import sys\n{blocked}\n")
    return str(directory)


def test_a_good_storage_is_told_promise_by_promise(url: str) -> None:
    ended = mobync("verify", url, "--only", "commit", COLUMNS="120")

    assert (ended.status, ended.err) == (0, "")
    lines = [line.rstrip() for line in ended.out.splitlines()]
    assert "   Commits are whole" in lines
    assert any(re.fullmatch(r"✓  a commit that fails midway leaves no trace +3  \d+\.\d", line) for line in lines)
    assert "   not run: the URL names no server" in lines
    assert re.fullmatch(r"sqlite \(mobync-sql \S+\) at sqlite:///.*/store\.db", lines[-2])
    assert re.fullmatch(r"promises: \d\d kept, 0 broken, 1 not run, in \d+ s", lines[-1])


def test_json_is_all_that_is_printed(url: str) -> None:
    ended = mobync("verify", url, "--json", "--only", "password")

    assert (ended.status, ended.err) == (1, "")  # none of them could be run
    told = json.loads(ended.out)
    assert (told["url"], told["adapter"]) == (url, "sqlite")
    assert (told["kept"], told["broken"], told["not_run"]) == (0, 0, 3)
    assert told["promises"][0] == {
        "subject": "Passwords stay secret",
        "text": "the password of the url is never shown",
        "cases": 1,
        "outcome": "not run",
        "seconds": told["promises"][0]["seconds"],
        "why": {"": "the URL has no password"},
    }


@pytest.mark.parametrize("only", ["a limit", "test_a_limit", "A Limit"])
def test_only_some_promises_are_run(only: str) -> None:
    ended = mobync("verify", "memory://", "--json", "--only", only)

    assert ended.status == 0
    promises = json.loads(ended.out)["promises"]
    assert [promise["text"] for promise in promises] == ["a limit keeps the earliest", "a limit takes the first"]


@pytest.mark.parametrize("only", ["no such thing", ") and (", "TestStorage"])
def test_to_run_none_is_an_error(only: str) -> None:
    ended = mobync("verify", "memory://", "--only", only)

    assert (ended.status, ended.out) == (1, "")
    assert ended.err == f"Error: no promise's text holds {only!r}; without --only all are run, and named\n"


def test_a_broken_storage_is_told_with_the_smallest_history(tmp_path: Path) -> None:
    ended = mobync(
        "verify", "mutant+starts-after-since://", "--only", "syncs", "--histories", "200", PYTHONPATH=install(tmp_path)
    )

    assert (ended.status, ended.err) == (1, "")
    told = ended.out.partition("\n✗ random syncs end as they do on a model of a storage\n")[2]
    what, _, history = told.partition("  after this history:\n")
    assert "at clock 0 is missing\n" in what
    steps, _, summary = history.partition("\n\n")
    assert 1 <= len(steps.splitlines()) <= 8
    assert re.match(r"    1\. \S", steps)
    assert "promises: 0 kept, 1 broken, 0 not run" in summary


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nobody://hunter2@x", "no installed adapter claims nobody://"),
        ("sqlite:////no/such/directory/store.db", "there is no directory /no/such/directory"),
        ("redis://:hunter2@127.0.0.1:{port}/0", "redis://127.0.0.1:{port}/0: .*refused"),
        ("postgresql://ada:hunter2@127.0.0.1:{port}/db", r"ada:\*\*\*@127.0.0.1:{port}/db: .*refused"),
        ("mariadb://ada:hunter2@127.0.0.1:{port}/db", r"ada:\*\*\*@127.0.0.1:{port}/db: .*refused"),
        ("postgresql:/ada:hunter2@127.0.0.1", "a storage URL must begin with a scheme and ://"),
    ],
)
def test_what_cannot_be_opened_is_told_in_one_line(url: str, message: str) -> None:
    port = str(free_port())
    ended = mobync("verify", url.replace("{port}", port))

    assert (ended.status, ended.out) == (1, "")
    assert re.fullmatch(f"Error: .*{message.replace('{port}', port)}.*\n", ended.err)
    assert "hunter2" not in ended.err


@pytest.mark.parametrize(
    ("missing", "hint"),
    [
        ("pytest", 'Error: pytest is not installed: pip install "mobync-core[testing]"\n'),
        ("hypothesis", 'Error: hypothesis is not installed: pip install "mobync-core[testing]"\n'),
        (
            "sqlalchemy",
            'Error: sqlite:// needs sqlalchemy, which is not installed: pip install "mobync-core[sqlite]"\n',
        ),
    ],
)
def test_without_what_it_needs_it_says_what_to_install(missing: str, hint: str, url: str, tmp_path: Path) -> None:
    ended = mobync("verify", url, PYTHONPATH=without(tmp_path, missing))

    assert (ended.status, ended.out, ended.err) == (1, "", hint)


def test_the_url_may_come_from_the_environment(url: str) -> None:
    ended = mobync("verify", "--only", "tombstone", MOBYNC_URL=url)

    assert ended.status == 0
    assert f"at {url}\n" in ended.out


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_it_leaves_nothing_and_touches_nobody(backend: str, url: str, request: pytest.FixtureRequest) -> None:
    place = url if backend == "sqlite" else request.getfixturevalue("postgresql_url")
    with closing(open_storage(place)) as storage:
        storage.setup()
        for owner in ("ada", "~mobync-backup", "~"):
            put(storage, owner, record("a", 0), record("b", 1, deleted=True), notes=[Note("history", "1", "n")])
        before = {owner: everything(storage, owner) for owner in sorted(storage.owners())}

        for only in ("erase", "owner", "syncs"):
            assert mobync("verify", place, "--only", only, "--histories", "3").status == 0

        assert {owner: everything(storage, owner) for owner in sorted(storage.owners())} == before


def test_when_it_is_interrupted_it_cleans_up_and_tells_no_result(url: str) -> None:
    with closing(open_storage(url)) as storage:
        storage.setup()
        with subprocess.Popen(
            [*COMMAND, "verify", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 30
            while not list(storage.owners(prefix="~mobync-")):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)

        assert process.returncode == 1
        assert (out, err.strip()) == ("", "Aborted!")
        assert list(storage.owners()) == []
