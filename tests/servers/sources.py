"""Where a test gets a backend's server from, and what happens if there is none.

In this order: a URL in the environment, ``MOBYNC_TEST_<BACKEND>_URL``; a server that the tests start
themselves. Without either the test is skipped, saying how to get one; if ``MOBYNC_REQUIRE`` (a list with commas)
names the backend, it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NoReturn, Protocol

import pytest


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


@contextmanager
def server_url(backend: Backend) -> Iterator[str]:
    """The URL of a server of `backend` on which tests may make databases."""
    if url := url_from_environment(backend.BACKEND):
        yield url
    elif backend.is_there():
        with backend.own_server() as server:
            yield server.url
    else:
        no_server(backend.BACKEND, backend.WAY_OUT)


@contextmanager
def own_server(backend: Backend) -> Iterator[Server]:
    """A server that only one test has: it may kill it and start it again."""
    if not backend.is_there():
        no_server(backend.BACKEND, f"{backend.WAY_OUT} (a server given by URL cannot be killed)")
    with backend.own_server() as server:
        yield server
