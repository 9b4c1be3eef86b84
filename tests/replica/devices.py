"""Replicas on an engine in this process: real bytes through the endpoint, and connections that die at a given write."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from typing import Any

from mobync_core import Commit, Mobync, Rules, Snapshot, Storage
from mobync_core.http import Endpoint
from mobync_core.replica import Replica, Reply, ServerUnreachable

START = 1_700_000_000_000  # ms

Rows = dict[str, dict[str, Any]]


class Server:
    """An engine and its endpoint, at a time that only moves when told; the token names the owner."""

    def __init__(self, storage: Storage, rules: Rules | None = None) -> None:
        self.time = START
        self._ids = itertools.count()
        self.serve(storage, rules=rules)

    def serve(self, storage: Storage, **options: Any) -> None:
        """Go on with another storage, or with other limits and rules."""
        self.storage = storage
        self.mobync = Mobync(storage, now=lambda: self.time, **options)
        self.endpoint = Endpoint(self.mobync, lambda token: token)

    def copy(self) -> Snapshot:
        """Make a backup of ann's records."""
        return self.storage.load("ann", since=0)

    def restore(self, backup: Snapshot, *, renew: bool = True) -> None:
        """Put a backup in the place of what there is, and, unless that is forgotten, say so."""
        self.storage.erase("ann")
        commit = Commit(
            expected=0, clock=backup.clock, epoch=backup.epoch, purged=backup.purged, put=list(backup.changed)
        )
        self.storage.commit("ann", commit)
        if renew:
            self.mobync.restored()

    def device(
        self,
        *,
        skew: int = 0,
        connection: sqlite3.Connection | None = None,
        line: Line | None = None,
        token: str | Callable[[], str] = "ann",
        **options: Any,
    ) -> Device:
        """A replica on this server, whose clock is `skew` ms wrong."""
        line = line or Line(self)
        device = Device(
            connection or sqlite3.connect(":memory:", isolation_level=None),
            line,
            token=token,
            now=lambda: self.time + skew,
            new_id=lambda: f"id{next(self._ids):05d}",
            **options,
        )
        device.line, device.options = line, options
        return device

    def rows(self, model: str = "todo") -> Rows:
        return {record.pop("id"): record for record in self.mobync.records("ann", model)}


class Line:
    """What carries requests to a server, and can be cut.

    `during` is called once, after the server has answered. `says` is an answer in place of the server's.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.requests: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.during: Callable[[], object] | None = None
        self.says: Reply | None = None
        self.lose_request = self.lose_answer = False

    def post(self, body: bytes, token: str | None) -> Reply:
        self.requests.append(json.loads(body))
        if self.lose_request:
            raise ServerUnreachable("the request was lost")
        if self.says is not None:
            return self.says
        response = self.server.endpoint.handle(self.sent(body), f"Bearer {token}")
        self.answers.append(json.loads(response.body))
        during, self.during = self.during, None
        if during is not None:
            during()
        if self.lose_answer:
            raise ServerUnreachable("the answer was lost")
        return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    def sent(self, body: bytes) -> bytes:
        return body

    def close(self) -> None:
        pass


class Device(Replica):
    """A replica that knows its line, and how its records look by their ids."""

    line: Line
    options: dict[str, Any]

    def rows(self, model: str = "todo") -> Rows:
        return {record.pop("id"): record for record in self.all(model)}


class Killed(Exception):
    """The process is gone."""


class Fragile(sqlite3.Connection):
    """A connection whose process can be killed at any of its statements, and before and after each commit."""

    at: int | None = None
    """How many more of these moments it lives."""
    moments = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        self._live()
        return super().execute(*arguments)

    def executemany(self, *arguments: Any) -> sqlite3.Cursor:
        self._live()
        return super().executemany(*arguments)

    def commit(self) -> None:
        self._live()
        super().commit()
        self._live()

    def _live(self) -> None:
        self.moments += 1
        if self.at is not None:
            self.at -= 1
            if self.at < 0:
                self.at = None
                raise Killed


def fragile() -> Fragile:
    return sqlite3.connect(":memory:", isolation_level=None, factory=Fragile)


class Picky:
    """Refuses other models than ``todo``, updates that are bad, and all deletes."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        return bool(diff["model"] == "todo")

    def validate_update(self, owner_id: str, **diff: Any) -> bool:
        return "bad" not in str(diff["json_data"])

    def validate_delete(self, owner_id: str, **diff: Any) -> bool:
        return False


def filled(server: Server, records: int, *, tombstones: int = 0) -> Device:
    """A device that has put some records on the server, and deleted some more."""
    first = server.device()
    for number in range(records + tombstones):
        first.create("todo", {"id": f"r{number:03}", "x": number})
    first.synchronize()
    for number in range(records, records + tombstones):
        first.delete("todo", f"r{number:03}")
    first.synchronize()
    return first
