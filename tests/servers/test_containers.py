"""Containers are used where they can be had, and where they cannot the run says why. Each run here is a real one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers import mariadb, mongodb, postgresql, redis, redis_cluster
from tests.servers.recipes import RECIPES
from tests.servers.sources import Backend, own_server

ROOT = Path(__file__).parents[2]
ONE_TEST = "tests/servers/test_sources.py::test_a_server_of_our_own_may_be_killed_and_started_again"
NOWHERE = "unix:///nowhere/docker.sock"
BACKENDS: dict[str, Backend] = {
    module.BACKEND: module for module in (postgresql, mariadb, redis, redis_cluster, mongodb)
}

needs_docker = pytest.mark.skipif(
    os.environ.get("MOBYNC_TEST_SERVERS") != "docker", reason="containers are tested by: nox -s containers"
)


def run(**variables: str) -> tuple[int, str]:
    """Run one test that needs a PostgreSQL server; return pytest's exit code and what it printed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MOBYNC_", "DOCKER_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE_TEST],
        cwd=ROOT, env=ours | variables, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_docker_that_is_asked_for_and_not_there_is_no_silent_fallback() -> None:
    code, output = run(MOBYNC_TEST_SERVERS="docker", DOCKER_HOST=NOWHERE)
    assert code == 0, output
    assert "1 skipped" in output
    assert "MOBYNC_TEST_SERVERS=docker lacks: no Docker daemon answers" in output


def test_docker_that_is_required_and_not_there_fails_the_test() -> None:
    code, output = run(MOBYNC_TEST_SERVERS="docker", DOCKER_HOST=NOWHERE, MOBYNC_REQUIRE="postgresql")
    assert code == 1, output
    assert "MOBYNC_TEST_SERVERS=docker lacks: no Docker daemon answers" in output


def test_without_docker_a_binary_serves_and_the_run_says_so() -> None:
    code, output = run(DOCKER_HOST=NOWHERE, MOBYNC_REQUIRE="postgresql")
    assert code == 0, output
    assert "postgresql: PostgreSQL " in output
    assert ", from a binary of this machine (no container: no Docker daemon answers" in output


def test_a_binary_that_is_asked_for_asks_no_docker() -> None:
    code, output = run(MOBYNC_TEST_SERVERS="binary", DOCKER_HOST=NOWHERE, MOBYNC_REQUIRE="postgresql")
    assert code == 0, output
    assert ", from a binary of this machine\n" in output


def test_a_word_that_is_no_source_is_an_error() -> None:
    code, output = run(MOBYNC_TEST_SERVERS="podman")
    assert code != 0
    assert "MOBYNC_TEST_SERVERS is 'podman', not docker or binary" in output


def test_a_daemon_that_never_answers_is_not_waited_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begin = time.monotonic()
        code, output = run(DOCKER_HOST=f"tcp://127.0.0.1:{silent.getsockname()[1]}", MOBYNC_REQUIRE="postgresql")
    assert code == 0, output
    assert "no container: no Docker daemon answers" in output
    assert time.monotonic() - begin < 30


@needs_docker
def test_an_image_that_cannot_be_had_is_no_silent_fallback() -> None:
    image = "mobync-test/there-is-none"
    code, output = run(MOBYNC_TEST_SERVERS="docker", MOBYNC_TEST_POSTGRESQL_IMAGE=image, MOBYNC_REQUIRE="postgresql")
    assert code == 1, output
    assert f"{image} could not be pulled" in output or f"there is no image {image}" in output


@needs_docker
@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_a_container_may_be_killed_and_started_again(backend: Backend) -> None:
    with own_server(backend) as server:
        url, version = server.url, backend.version(server.url)
        server.kill()
        with pytest.raises(Exception, match=r"(?i)connect|refused|timed out"):
            backend.version(url)
        server.start()
        assert (server.url, backend.version(url)) == (url, version)
        server.stop()
        server.start()
        assert backend.version(url) == version


@needs_docker
def test_a_container_whose_server_ends_is_reported_at_once_with_its_log_and_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.servers import containers  # noqa: PLC0415 - it needs the package testcontainers

    ends = replace(RECIPES["postgresql"], command=["sh", "-c", "sleep 0.5; echo why it ended; exit 3"], environment={})
    monkeypatch.setitem(RECIPES, "broken", ends)
    monkeypatch.setenv("MOBYNC_TEST_BROKEN_IMAGE", containers.image_of("postgresql"))
    assert containers.problem("broken", 0) is None
    before, begin = left_by(os.getpid()), time.monotonic()
    with pytest.raises(RuntimeError, match="why it ended"), containers.own_server("broken", postgresql.version):
        pass
    assert time.monotonic() - begin < 10
    assert left_by(os.getpid()) == before


@needs_docker
def test_what_a_killed_run_leaves_is_removed_by_the_next() -> None:
    from tests.servers import containers  # noqa: PLC0415 - it needs the package testcontainers

    program = (
        "import os, signal; from tests.servers import containers, redis\n"
        "assert containers.problem('redis', 0) is None\n"
        "with containers.own_server('redis', redis.version): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    killed.wait(60)
    assert left_by(killed.pid)
    containers.remove_leftovers()
    assert not left_by(killed.pid)


def left_by(process: int) -> str:
    label = f"label=mobync-test.process={socket.gethostname()} {process}"
    done = subprocess.run(["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True, check=True)
    return done.stdout.strip()
