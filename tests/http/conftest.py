"""A server over an empty storage in memory, in each way that it can be served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mobync_core import Mobync, Storage
from mobync_core.http.tokens import KnownTokens
from tests.http import servers
from tests.http.servers import Face

OWNERS = KnownTokens({"ann-secret": "ann", "bob-secret": "bob"})


@pytest.fixture(params=[servers.asgi, servers.flask], ids=["asgi", "flask"])
def face(request: pytest.FixtureRequest) -> Face:
    chosen: Face = request.param
    return chosen


@pytest.fixture
def server(face: Face, memory: Storage) -> Iterator[str]:
    with face(Mobync(memory), OWNERS) as url:
        yield url
