"""Where a test gets a backend's server from, and what happens if there is none.

In this order: a URL in the environment, ``MOBYNC_TEST_<BACKEND>_URL``; a server that the tests start
themselves. Without either the test is skipped, saying how to get one; if ``MOBYNC_REQUIRE`` (a list with commas)
names the backend, it fails.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def url_variable(backend: str) -> str:
    return f"MOBYNC_TEST_{backend.upper()}_URL"


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
