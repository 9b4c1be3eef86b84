"""The devices of the story, and the real HTTP between them and the server."""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

from mobync_core.errors import MobyncError
from mobync_core.testing.dart import DartDevice

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


@dataclass(slots=True)
class Device:
    """A device of the story: the published client's model, with a name, a clock and a way to the server."""

    name: str
    time: StoryTime
    server: str
    ahead: timedelta = timedelta()
    dart: DartDevice = field(init=False)

    def __post_init__(self) -> None:
        number = itertools.count(1)
        self.dart = DartDevice(
            TOKEN, now=self.clock_says, random=Random(self.name), new_id=lambda: f"{self.name}-{next(number)}"
        )

    def clock_says(self) -> int:
        """Return what the device takes for the time, in ms."""
        return round((self.time.now + self.ahead).timestamp() * 1000)

    def create(self, record: str, **fields: Any) -> None:
        self.dart.create(MODEL, record, fields)

    def update(self, record: str, **fields: Any) -> None:
        self.dart.update(MODEL, record, fields)

    def delete(self, record: str) -> None:
        self.dart.delete(MODEL, record)

    def sync(self, *, lose_answer: bool = False) -> Exchange:
        """Post what is pending and apply the answer, or lose it on the way back. Raises `DemoFailed`."""
        request = {**self.dart.request(), "explain": True}
        body = json.dumps(request).encode()
        status, answered = _post(self.server, body)
        answer = json.loads(answered)
        if status != 200:
            raise DemoFailed(f"the server answered {status} to the {self.name}: {answer.get('message')}")
        if not lose_answer:
            self.dart.receive(answer)
        return Exchange(
            device=self.name,
            request=request,
            answer=answer,
            bytes_up=len(body),
            bytes_down=len(answered),
            lost=lose_answer,
        )

    def row(self, record: str) -> Mapping[str, Any] | None:
        """Return what the device holds of a record."""
        return self.dart.rows.get((MODEL, record))

    def rows(self) -> dict[str, Mapping[str, Any]]:
        """Return all that the device holds, by id."""
        return {record: fields for (_, record), fields in sorted(self.dart.rows.items())}


def _post(server: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=10)
    try:
        connection.request("POST", "/sync", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise DemoFailed(f"{server} does not answer: {error}") from error
    finally:
        connection.close()
