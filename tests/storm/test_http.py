"""A storm on a server over HTTP: it does to a real one all that it may, and nothing that it may not."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mobync_core import Mobync, open_storage
from mobync_core.storage import Storage
from mobync_core.testing.storm import NotThrowAway, Staging, storm
from tests.cli.commands import COMMAND, Serving, mobync, serving
from tests.http.servers import asgi
from tests.replica.scripted import Say, scripted
from tests.servers.processes import free_port
from tests.storm.test_command import pytest_of
from tests.testing.mutants.plugin import install

PREFIX = "~mobync-storm-"

_START = """
import pathlib, subprocess, sys
server = subprocess.Popen(sys.argv[2:], start_new_session=True)
pathlib.Path(sys.argv[1]).write_text(str(server.pid))
"""
_KILL = """
import os, pathlib, signal, sys
os.kill(int(pathlib.Path(sys.argv[1]).read_text()), signal.SIGKILL)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path.as_posix()}/app.db"


@pytest.fixture
def server(url: str) -> Iterator[Serving]:
    """A server of that storage, which takes any token for the owner of that name."""
    with serving(url, "--insecure-token-is-owner") as server:
        yield server


def command(source: str, *arguments: str) -> str:
    return shlex.join([sys.executable, "-c", source, *arguments])


def records_of_storms(storage: Storage) -> tuple[int, int]:
    """How many owners of storms have ever had anything, and how many of their records live."""
    owners = list(storage.owners(prefix=PREFIX))
    live = [one for owner in owners for one in storage.load(owner, since=0).changed if not one.deleted]
    return len(owners), len(live)


def test_by_tokens_that_it_signs_and_nothing_is_left(url: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret that is long enough for HS256\n")
    jwt = ("--jwt-secret-file", str(secret))
    with serving(url, *jwt, "--jwt-algorithm", "HS256") as server:
        ended = mobync("storm", server.url, *jwt, "--seed", "1", "--histories", "5", COLUMNS="200")

        assert (ended.status, ended.err) == (0, "")
        name, befallen, *_, summary = ended.out.splitlines()
        assert name == f"HTTP at {server.url}"
        assert "lost-answer" in befallen
        assert summary.startswith("histories: 5 from the seed 1, all clean, in ")
        with closing(open_storage(url)) as storage:
            assert records_of_storms(storage) == (5, 0)
        server.end()


def test_the_server_is_killed_and_started_by_commands(tmp_path: Path, url: str) -> None:
    pid, port = str(tmp_path / "pid"), str(free_port())
    serve = [*COMMAND, "serve", url, "--port", port, "--insecure-token-is-owner"]
    start, kill = command(_START, pid, *serve), command(_KILL, pid)
    subprocess.run(start, shell=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        arguments = (f"http://127.0.0.1:{port}", "--seed", "1", "--histories", "5", "--rate", "server-killed=0.2")
        by = ("--token-is-owner", "--kill-command", kill, "--start-command", start, "--json")
        deadline = time.monotonic() + 20
        while (ended := mobync("storm", *arguments, *by)).status == 1 and "takes no connection" in ended.err:
            assert time.monotonic() < deadline, ended.err

        assert (ended.status, ended.err) == (0, "")
        told = json.loads(ended.out)
        assert (told["histories"], told["failures"]) == (5, [])
        assert told["befallen"]["server-killed"] > 3
        with closing(open_storage(url)) as storage:
            assert records_of_storms(storage) == (5, 0)
    finally:
        subprocess.run(kill, shell=True, check=True)


def test_a_server_that_is_wrong_is_found(tmp_path: Path) -> None:
    with serving(
        "mutant+starts-after-since://", "--insecure-token-is-owner", PYTHONPATH=install(tmp_path / "installed")
    ) as server:
        arguments = ("--token-is-owner", "--seed", "1", "--most-per-second", "5000", "--write", str(tmp_path / "found"))
        ended = mobync("storm", server.url, *arguments, COLUMNS="200")

        assert ended.status == 1
        assert "✗ all devices and the server are equal: " in ended.out
        assert "shrunk from 29 steps to 1:" in ended.out
        assert "not tried over HTTP: away, refused, restored-backup, unnoticed-restore" in ended.out
        (file,) = (tmp_path / "found").iterdir()
        failed = pytest_of(file)
        assert (failed.returncode, "Violation: all devices and the server are equal" in failed.stdout) == (1, True)
        with Mobync("memory://") as engine, asgi(engine, str) as url:
            mended = pytest_of(file, MOBYNC_URL=url)
        assert mended.returncode == 0, mended.stdout
        server.end()


@pytest.mark.parametrize("at", [2, 10, -2], ids=["at its first push", "in the middle", "while it deletes"])
def test_when_it_is_interrupted_it_deletes_what_is_there(at: int) -> None:
    asked = 0
    processes: list[subprocess.Popen[str]] = []

    def owner_of(token: str) -> str:
        nonlocal asked
        asked += 1
        if asked == at and processes:
            processes[0].send_signal(signal.SIGINT)
            time.sleep(0.3)  # what nobody waits for any more is done nevertheless
        return token

    with closing(open_storage("memory://")) as storage, Mobync(storage) as engine, asgi(engine, owner_of) as url:
        arguments = ("storm", url, "--token-is-owner", "--seed", "1", "--most-per-second", "5000", "--histories", "1")
        if at < 0:
            assert mobync(*arguments).status == 0
            at, asked = asked + 1 + at, 0
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            processes.append(process)
            out, err = process.communicate(timeout=30)

        assert (process.returncode, out, err.strip()) == (1, "", "Aborted!")
        assert asked > at
        owners, live = records_of_storms(storage)
        assert owners > 0
        assert live == 0


def test_records_that_the_server_does_not_delete_are_told_of(caplog: pytest.LogCaptureFixture) -> None:
    class Keeps:
        def validate_create(self, owner_id: str, **diff: object) -> bool:
            return True

        def validate_update(self, owner_id: str, **diff: object) -> bool:
            return True

        def validate_delete(self, owner_id: str, **diff: object) -> bool:
            return False

    with Mobync("memory://", rules=Keeps()) as engine, asgi(engine, str) as url:
        storm(url, seed=1, histories=1, staging=Staging(token_of=str, most_per_second=5000))

    assert any("the server does not delete" in text and PREFIX in text for text in caplog.messages)


def test_there_are_no_more_requests_than_it_may_make() -> None:
    times: list[float] = []
    with Mobync("memory://") as engine:

        def owner_of(token: str) -> str:
            times.append(time.monotonic())
            return token

        with asgi(engine, owner_of) as url:
            storm(url, seed=1, histories=1, staging=Staging(token_of=str, most_per_second=40))

    assert len(times) > 10
    assert len(times) / (times[-1] - times[0]) < 45


def test_the_token_of_an_owner_that_was_used_stops_everything(server: Serving) -> None:
    same = command("print('someone')")
    ended = mobync("storm", server.url, "--histories", "2", "--seed", "1", "--token-command", same, COLUMNS="200")

    assert (ended.status, ended.out) == (1, "")
    assert "had records once: a storm needs the token of a new owner for each history" in ended.err
    server.end()


def test_a_kill_command_that_fails_stops_everything(server: Serving) -> None:
    commands = ("--kill-command", "echo no such container >&2; exit 3", "--start-command", "true")
    ended = mobync("storm", server.url, "--token-is-owner", "--rate", "server-killed=1", *commands, COLUMNS="200")

    assert (ended.status, ended.out) == (1, "")
    assert "no such container" in ended.err
    assert "Error: the command that kills the server ended with 3" in ended.err
    server.end()


def test_what_is_no_mobync_server_is_told() -> None:
    with scripted(lambda _: Say(body=b"<h1>It works!</h1>")) as there:
        ended = mobync("storm", there.url, "--token-is-owner", COLUMNS="200")

        assert (ended.status, len(there.heard)) == (1, 1)
        assert "what answers there is no Mobync server: it says '<h1>It works!</h1>'" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--token-is-owner"], "Error: there is no server to storm: http://127.0.0.1:1 takes no connection"),
        (["--jwt-secret-file", "/no/such/file"], "Error: /no/such/file cannot be read: No such file or directory"),
        (["--token-command", "false"], ": the command for a token failed: Command '['false', '~mobync-storm-"),
        (["--token-command", "true"], "/0: the command for a token printed none"),
        (["--token-is-owner", "--token-command", "x"], "say how the storm gets tokens of owners of its own"),
        (["--token-is-owner", "--kill-command", "x"], "--kill-command and --start-command go together"),
        (["--token-is-owner", "--rate", "refused=1"], "refused cannot be done to a server over HTTP"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], message: str) -> None:
    ended = mobync("storm", "http://127.0.0.1:1", *arguments, COLUMNS="200")

    assert ended.status in (1, 2)
    assert ended.out == ""
    assert message in ended.err


def test_a_password_in_the_url_is_refused_and_not_told() -> None:
    with pytest.raises(NotThrowAway, match="must hold no user or password") as raised:
        storm("http://ann:hunter2@127.0.0.1:1", seed=1, histories=1, staging=Staging(token_of=str))

    assert "hunter2" not in str(raised.value)
