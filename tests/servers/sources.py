"""Where a test gets a backend's server from, and what happens if there is none.

In this order: a URL in the environment, ``MOBYNC_TEST_<BACKEND>_URL``; a container, if the package testcontainers
is installed, a Docker daemon answers and the image is there or can be pulled (``MOBYNC_TEST_<BACKEND>_IMAGE`` names
another one); a server that the tests start themselves. ``MOBYNC_TEST_SERVERS=docker`` or ``=binary`` leaves only one
of the last two. Without any the test is skipped, saying how to get one; if ``MOBYNC_REQUIRE`` (a list with commas)
names the backend, it fails. Each run says at its end what it had.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NoReturn, Protocol

import pytest

from tests.servers.report import note

# A test may wait for 300 s altogether. Nobody waits for long for an image that he did not ask for.
PULL_SECONDS = 45
PINNED_PULL_SECONDS = 240


class Server(Protocol):
    """A running server of our own on 127.0.0.1, which tests may kill and start again; its port stays."""

    @property
    def url(self) -> str:
        """As Mobync takes it, with rights to make databases."""

    def start(self) -> None:
        """Start it after `stop` or `kill`, and wait until it answers."""

    def stop(self) -> None:
        """Stop in good order."""

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would; `start` then recovers what was committed."""


class Backend(Protocol):
    """What a module such as `tests.servers.postgresql` has."""

    BACKEND: str
    """Its name in ``MOBYNC_REQUIRE`` and, in capitals and with ``_`` for ``-``, in its variable."""
    WAY_OUT: str
    """How to get a server, to follow an "or"."""

    def is_there(self) -> bool:
        """Whether this machine has the binary that `own_server` starts."""

    def own_server(self) -> AbstractContextManager[Server]:
        """Start a server that lives as long as the `with`."""

    def fresh_database(self, server_url: str) -> AbstractContextManager[str]:
        """Make an empty database on the server and give its URL; at the end drop it."""

    def version(self, server_url: str) -> str:
        """What the server says it is, such as ``PostgreSQL 18.1``. Raises the driver's error."""


@dataclass(frozen=True)
class Source:
    """Where a server comes from, in words, and how it is started."""

    name: str
    start: Callable[[], AbstractContextManager[Server]]


def url_variable(backend: str) -> str:
    return f"MOBYNC_TEST_{backend.upper().replace('-', '_')}_URL"


def url_from_environment(backend: str) -> str | None:
    return os.environ.get(url_variable(backend)) or None


def is_required(backend: str) -> bool:
    return backend in {name.strip().lower() for name in os.environ.get("MOBYNC_REQUIRE", "").split(",")}


def no_server(backend: str, way_out: str) -> NoReturn:
    """End the test: `way_out` says how to get a server of `backend`."""
    message = f"no {backend} server: set {url_variable(backend)}, or {way_out}"
    if is_required(backend):
        pytest.fail(f"{message} (MOBYNC_REQUIRE names {backend})", pytrace=False)
    pytest.skip(message)


def docker_problem(backend: str, pull_seconds: float) -> str | None:
    """Say why there can be no container with a server of `backend`."""
    if importlib.util.find_spec("testcontainers") is None:
        return "the package testcontainers is not installed"
    from tests.servers import containers  # noqa: PLC0415 - it needs that package

    return containers.problem(backend, pull_seconds)


def source(backend: Backend) -> Source:
    """Where to get a server of `backend` from that is ours; ends the test if there is none."""
    pinned = os.environ.get("MOBYNC_TEST_SERVERS", "")
    if pinned not in {"", "docker", "binary"}:
        raise pytest.UsageError(f"MOBYNC_TEST_SERVERS is {pinned!r}, not docker or binary")
    why_not = ""
    if pinned != "binary":
        problem = docker_problem(backend.BACKEND, PINNED_PULL_SECONDS if pinned else PULL_SECONDS)
        if problem is None:
            from tests.servers import containers  # noqa: PLC0415 - it needs the package testcontainers

            image = containers.image_of(backend.BACKEND)
            start = functools.partial(containers.own_server, backend.BACKEND, backend.version)
            return Source(f"a container of {image}", start)
        if pinned:
            _none(backend.BACKEND, f"mend what MOBYNC_TEST_SERVERS=docker lacks: {problem}")
        why_not = f" (no container: {problem})"
    if not backend.is_there():
        _none(backend.BACKEND, backend.WAY_OUT + why_not)
    return Source(f"a binary of this machine{why_not}", backend.own_server)


def _none(backend: str, way_out: str) -> NoReturn:
    note(backend, f"none: set {url_variable(backend)}, or {way_out}")
    no_server(backend, way_out)


@contextmanager
def server_url(backend: Backend) -> Iterator[str]:
    """The URL of a server of `backend` on which tests may make databases."""
    if url := url_from_environment(backend.BACKEND):
        note(backend.BACKEND, f"{backend.version(url)}, from {url_variable(backend.BACKEND)}")
        yield url
    else:
        with own_server(backend) as server:
            yield server.url


@contextmanager
def own_server(backend: Backend) -> Iterator[Server]:
    """A server that only one test has: it may kill it and start it again. Never one that is given by URL."""
    found = source(backend)
    with found.start() as server:
        note(backend.BACKEND, f"{backend.version(server.url)}, from {found.name}")
        yield server
