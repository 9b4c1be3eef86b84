"""A storm on every storage, for half a minute each, and on a real server over HTTP, which is killed meanwhile."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from mobync_core.replica import Replica
from mobync_core.testing.storm import NotThrowAway, Staging, storm
from tests.cli.commands import COMMAND, mobync, serving
from tests.servers.processes import free_port
from tests.storage.conftest import PLACES

SECONDS = float(os.environ.get("MOBYNC_STORM_SECONDS", "30"))

_START = """
import os, subprocess, sys
server = subprocess.Popen(sys.argv[2:], start_new_session=True)
open(sys.argv[1], "w").write(str(server.pid))
"""
_KILL = """
import os, signal, sys
os.kill(int(open(sys.argv[1]).read()), signal.SIGKILL)
"""


@pytest.mark.parametrize("name", PLACES)
def test_on_a_storage(name: str, request: pytest.FixtureRequest) -> None:
    place = PLACES[name](request)

    report = storm(place.url, seed=1, seconds=SECONDS)

    assert [(failure.seed, failure.why, failure.timeline) for failure in report.failures] == []
    assert report.histories > 5
    print(f"{name}: {report.histories} histories from the seed {report.seed}")


def test_over_http_on_a_server_that_is_killed(tmp_path: Path) -> None:
    pid = str(tmp_path / "pid")
    port = free_port()
    server = [*COMMAND, "serve", f"sqlite:///{tmp_path / 'app.db'}", "--port", str(port), "--insecure-token-is-owner"]
    start = shlex.join([sys.executable, "-c", _START, pid, *server])
    kill = shlex.join([sys.executable, "-c", _KILL, pid])
    os.system(start)
    try:
        staging = Staging(token_of=str, kill=kill, start=start, most_per_second=2000)
        deadline = time.monotonic() + 30
        while True:
            try:
                report = storm(
                    f"http://127.0.0.1:{port}", seed=1, seconds=SECONDS, staging=staging, rates={"server-killed": 0.02}
                )
                break
            except NotThrowAway:
                if time.monotonic() > deadline:  # it takes a moment to listen
                    raise
                time.sleep(0.1)
        assert [(failure.seed, failure.why, failure.timeline) for failure in report.failures] == []
        assert report.befallen["server-killed"] > 0
        assert report.histories > 20
    finally:
        os.system(kill)


def test_an_owner_who_has_records_stops_everything() -> None:
    with serving("sqlite://", "--insecure-token-is-owner") as server:
        with Replica(":memory:", server.url, token="ann") as replica:
            replica.create("note", {"id": "dear", "text": "not to be lost"})
            replica.synchronize()

            anns = shlex.join([sys.executable, "-c", "print('ann')"])
            ended = mobync("storm", server.url, "--histories", "1", "--token-command", anns, COLUMNS="200")

            assert (ended.status, ended.out) == (1, "")
            assert "has records already" in ended.err
            replica.synchronize()
            assert replica.get("note", "dear") is not None
        server.end()


def test_a_server_of_another_machine_must_be_said_to_be_ones_own() -> None:
    ended = mobync("storm", "https://example.com", "--token-is-owner")

    assert ended.status == 1
    assert "--i-own-this-server" in ended.err
    with pytest.raises(NotThrowAway):
        storm("http://10.1.2.3", seed=1, histories=1, staging=Staging(token_of=str))


def test_a_source_of_tokens_must_be_named() -> None:
    assert "--token-is-owner, --jwt-secret-file or --token-command" in mobync("storm", "http://127.0.0.1:1").err
