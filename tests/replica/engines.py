"""An engine of this process as a replica's server: real bytes, and no socket."""

from __future__ import annotations

from mobync_core import Mobync
from mobync_core.http import Endpoint
from mobync_core.replica import Reply


class Serving:
    """A `Transport` to an engine, for which every token is one of `owner`'s."""

    def __init__(self, mobync: Mobync, owner: str) -> None:
        self._endpoint = Endpoint(mobync, lambda _token: owner)

    def post(self, body: bytes, token: str | None) -> Reply:
        response = self._endpoint.handle(body, f"Bearer {token}")
        return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    def close(self) -> None:
        """Do nothing: the engine is the test's."""
