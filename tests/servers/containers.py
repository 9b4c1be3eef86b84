"""Servers in containers, through testcontainers. Needs its package; `problem` tells whether the rest is there, too."""

from __future__ import annotations

import functools
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pymongo.errors
import redis
import requests
import sqlalchemy.exc
import urllib3.exceptions
from docker.errors import APIError, DockerException, ImageNotFound, NotFound  # type: ignore[import-untyped]
from redis.exceptions import RedisClusterException
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient, get_docker_host
from testcontainers.core.wait_strategies import WaitStrategy, WaitStrategyTarget

from tests.servers.processes import free_port
from tests.servers.recipes import RECIPES, Recipe

OWNER = "mobync-test.process"
"""A label that says whose container it is: the machine and the process."""

START_SECONDS = 90

_DRIVERS_ERRORS = (
    psycopg.OperationalError,
    sqlalchemy.exc.OperationalError,
    redis.RedisError,
    RedisClusterException,
    pymongo.errors.PyMongoError,
    ConnectionError,
)

_failed_pull: list[str] = []


class Container:
    """A server in a container of our own, which tests may kill and start again; its ports stay."""

    def __init__(self, recipe: Recipe, image: str, version: Callable[[str], str]) -> None:
        self._recipe = recipe
        self._ports = [free_port() for _ in recipe.ports]
        self._answer = _Answer(lambda: version(self.url))
        self._container = DockerContainer(image, env=dict(recipe.environment))
        self._container.with_command(recipe.command_for(self._ports))
        self._container.with_kwargs(labels={OWNER: f"{socket.gethostname()} {os.getpid()}"})
        self._container.waiting_for(self._answer)
        for inner, outer in zip(recipe.ports, self._ports, strict=True):
            # Chosen by us, for one that Docker chooses changes whenever the container starts again.
            self._container.with_bind_ports(inner or outer, outer)

    @property
    def url(self) -> str:
        return self._recipe.url_for(self._container.get_container_host_ip(), self._ports)

    def create(self) -> None:
        """Make and start the container, and wait until its server answers."""
        self._container.start()

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        self._answer.wait_until_ready(self._container)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=20)

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def remove(self) -> None:
        self._container.stop()


class _Answer(WaitStrategy):
    """Waits until the server answers its driver. A port that is open says little: the proxy before it opens it."""

    def __init__(self, version: Callable[[], str]) -> None:
        super().__init__()
        self._version = version
        self.with_startup_timeout(START_SECONDS).with_poll_interval(0.1)
        self.with_transient_exceptions(*_DRIVERS_ERRORS)

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        def answers() -> bool:
            container.reload()
            if container.status not in {"created", "running"}:
                raise StopIteration  # ends the wait at once
            return bool(self._version())

        if not self._poll(answers):
            output, errors = (log.decode(errors="replace")[-2000:] for log in container.get_logs())
            raise RuntimeError(f"the server in the container ({container.status}) does not answer:\n{output}{errors}")


def image_of(backend: str) -> str:
    """The image for `backend`: the official one, or what `MOBYNC_TEST_<BACKEND>_IMAGE` names."""
    variable = f"MOBYNC_TEST_{backend.upper().replace('-', '_')}_IMAGE"
    return os.environ.get(variable) or RECIPES[backend].image


def problem(backend: str, pull_seconds: float) -> str | None:
    """Say why there can be no container for `backend`; each question is asked once in a run.

    An image that is not here is pulled, for at most `pull_seconds`; after a pull that failed, no other is tried.
    """
    if backend not in RECIPES:
        return f"there is no recipe for a container of {backend}"
    return _daemon_problem() or _image_problem(image_of(backend), pull_seconds)


@contextmanager
def own_server(backend: str, version: Callable[[str], str]) -> Iterator[Container]:
    """A server in a container that lives as long as the `with`. `version` asks it, by URL, once it answers."""
    container = Container(RECIPES[backend], image_of(backend), version)
    try:
        container.create()
        yield container
    finally:
        container.remove()


def remove_leftovers() -> None:
    """Remove containers whose process on this machine is dead: it was killed before it could."""
    with closing(DockerClient(timeout=20).client) as client:
        for container in client.containers.list(all=True, filters={"label": OWNER}):
            host, _, process = container.labels[OWNER].partition(" ")
            if host == socket.gethostname() and not _lives(int(process)):
                container.remove(force=True, v=True)


@functools.cache
def _daemon_problem() -> str | None:
    try:
        _knock()
        with closing(DockerClient(timeout=5).client) as client:
            _find_ourselves(client.info()["Name"])
        remove_leftovers()
    except (DockerException, OSError) as error:
        return f"no Docker daemon answers ({str(error).splitlines()[0]})"
    return None


def _knock() -> None:
    # The package docker forgets to close a socket on which nobody listens.
    scheme, _, path = (get_docker_host() or "unix:///var/run/docker.sock").partition("://")
    if scheme == "unix" and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(path)


def _find_ourselves(daemons_machine: str) -> None:
    # Without a reaper: it would be one more image, and what a killed run leaves the next one removes.
    testcontainers_config.ryuk_disabled = True
    # A machine that looks like a container misleads testcontainers, even if the daemon runs on it, too.
    if daemons_machine == socket.gethostname():
        testcontainers_config.tc_host_override = testcontainers_config.tc_host_override or "127.0.0.1"
        mode = testcontainers_config.connection_mode_override or ConnectionMode.docker_host
        testcontainers_config.connection_mode_override = mode


@functools.cache
def _image_problem(image: str, pull_seconds: float) -> str | None:
    with closing(DockerClient(timeout=20).client) as client:
        try:
            client.images.get(image)
        except ImageNotFound:
            if not _failed_pull:
                return _pull_problem(client, image, pull_seconds)
            return f"the image {image} is not here, and {_failed_pull[0]}"
    return None


def _pull_problem(client: Any, image: str, seconds: float) -> str | None:
    deadline = time.monotonic() + seconds
    name, _, tag = image.partition(":")
    why = None
    try:
        for event in client.api.pull(name, tag or "latest", stream=True, decode=True):
            if time.monotonic() > deadline:
                why = f"it takes longer than {seconds:.0f} s"
                break
            why = event.get("error", why)
    except NotFound:
        return f"there is no image {image}"
    except (APIError, requests.RequestException, urllib3.exceptions.HTTPError) as error:
        why = str(getattr(error, "explanation", None) or error)
    if why is None:
        return None
    _failed_pull.append(f"{image} could not be pulled: {why}")
    return _failed_pull[-1]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
