"""The devices of the story: replicas, and the real HTTP between them and the server, watched."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mobync_core.errors import MobyncError
from mobync_core.replica import HTTPTransport, Replica, Reply, ServerUnreachable, SyncError, SyncResult

MODEL = "shopping"
TOKEN = "anns-secret"
OWNER = "ann"


class DemoFailed(MobyncError):
    """The story cannot go on: the server did not take what a device sent."""


class StoryTime:
    """What the clock on the wall says. The story takes hours; nobody waits for them."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def set(self, time: str) -> None:
        """Go on to an hour of the same day, as in ``"09:30"``."""
        hour, minute = time.split(":")
        self.now = self.now.replace(hour=int(hour), minute=int(minute), second=0)

    def says(self, timestamp: int) -> str:
        """Tell a timestamp in ms as people would today."""
        then = datetime.fromtimestamp(timestamp / 1000, UTC)
        return f"{then:%H:%M}" if then.date() == self.now.date() else f"{then:%a %H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its answer. `bytes_up` and `bytes_down` are the sizes of their bodies."""

    device: str
    request: Mapping[str, Any]
    answer: Mapping[str, Any]
    bytes_up: int
    bytes_down: int
    lost: bool = False


class Wire:
    """A device's way to the server: keeps what crossed it, and loses the next answer if `loses` is set."""

    def __init__(self, device: str, server: str) -> None:
        self.exchanges: list[Exchange] = []
        self.loses = False
        self._device = device
        self._http = HTTPTransport(server, timeout=10)

    def post(self, body: bytes, token: str | None) -> Reply:
        reply = self._http.post(body, token)
        lost, self.loses = self.loses, False
        self.exchanges.append(
            Exchange(
                device=self._device,
                request=json.loads(body),
                answer=json.loads(reply.body),
                bytes_up=len(body),
                bytes_down=len(reply.body),
                lost=lost,
            )
        )
        if lost:
            raise ServerUnreachable("the answer was lost")
        return reply

    def close(self) -> None:
        self._http.close()


@dataclass(slots=True)
class Device:
    """A device of the story: a replica with a store of its own, and a clock that may be wrong."""

    name: str
    time: StoryTime
    server: str
    ahead: timedelta = timedelta()
    replica: Replica = field(init=False)
    _wire: Wire = field(init=False)

    def __post_init__(self) -> None:
        number = itertools.count(1)
        self._wire = Wire(self.name, self.server)
        self.replica = Replica(
            ":memory:",
            self._wire,
            token=TOKEN,
            now=self.clock_says,
            new_id=lambda: f"{self.name}-{next(number)}",
        )

    def clock_says(self) -> int:
        """Return what the device takes for the time, in ms."""
        return round((self.time.now + self.ahead).timestamp() * 1000)

    def create(self, record: str, **fields: Any) -> None:
        self.replica.create(MODEL, {"id": record, **fields})

    def update(self, record: str, **fields: Any) -> None:
        self.replica.update(MODEL, record, fields)

    def delete(self, record: str) -> None:
        self.replica.delete(MODEL, record)

    def sync(self) -> tuple[SyncResult, list[Exchange]]:
        """Sync, and return what came of it and what crossed the wire. Raises `DemoFailed`."""
        before = len(self._wire.exchanges)
        try:
            result = self.replica.synchronize()
        except SyncError as error:
            raise DemoFailed(f"the {self.name} cannot sync: {error}") from error
        return result, self._wire.exchanges[before:]

    def sync_in_vain(self) -> list[Exchange]:
        """Sync, and lose the answer."""
        before = len(self._wire.exchanges)
        self._wire.loses = True
        try:
            self.replica.synchronize()
        except ServerUnreachable:
            return self._wire.exchanges[before:]
        raise DemoFailed(f"the {self.name} did not notice that the answer was lost")

    def row(self, record: str) -> Mapping[str, Any] | None:
        """Return what the device holds of a record."""
        return self.replica.get(MODEL, record)

    def rows(self) -> dict[str, Mapping[str, Any]]:
        """Return all that the device holds, by id."""
        rows = {row.pop("id"): row for row in self.replica.all(MODEL)}
        return dict(sorted(rows.items()))

    def close(self) -> None:
        self.replica.close()
        self._wire.close()
