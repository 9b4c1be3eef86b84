"""A device with a replica, whose store several processes may share."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from mobync_core.replica import Replica
from mobync_core.replica.errors import ServerUnreachable
from mobync_core.replica.transport import Reply
from mobync_core.testing.storm import history
from mobync_core.testing.storm.fragile import Fragile, Killed
from mobync_core.testing.storm.installation import MODEL, PASSES, TOKEN, Exchange, Installation


class ReplicaInstallation(Installation):
    """A replica with a store in memory, in one or more processes: all that they share is the store."""

    def __init__(
        self, spec: history.Device, number: int, name: str, time: Callable[[], int], exchange: Exchange
    ) -> None:
        super().__init__(spec, number, name, time, exchange)
        self._store = sqlite3.connect(":memory:", factory=Fragile, isolation_level=None, check_same_thread=False)
        self._lines = [_Line(self, exchange) for _ in range(spec.processes)]
        self._processes = [self._open(line) for line in self._lines]
        self._is_reading_anew = False

    @property
    def base(self) -> int:
        return self._processes[0].status().clock

    @property
    def pending(self) -> int:
        return self._processes[0].status().pending

    @property
    def would_ask(self) -> bool:
        return not self.is_partial and self._processes[0].status().mode == "normal"

    def rows(self) -> dict[str, dict[str, str]]:
        return {row.pop("id"): row for row in self._processes[0].all(MODEL)}

    def row(self, record: str) -> dict[str, str] | None:
        row = self._processes[0].get(MODEL, record)
        if row is not None:
            del row["id"]
        return row

    def told_row(self, record: str) -> dict[str, str] | None:
        held = self._store.execute("SELECT fields FROM records WHERE model = ? AND id = ?", (MODEL, record)).fetchone()
        told: dict[str, str] | None = json.loads(held[0]) if held and held[0] else None
        return told

    def write(self, process: int, record: str, values: Mapping[str, str], *, create: bool) -> None:
        if create:
            self._processes[process].create(MODEL, {"id": record, **values})
        else:
            self._processes[process].update(MODEL, record, values)

    def delete(self, process: int, record: str) -> None:
        self._processes[process].delete(MODEL, record)

    def survives(self, process: int, crash: int | None, act: Callable[[int], None]) -> bool:
        try:
            with self._store.dying(crash):
                act(process)
        except Killed:
            self._store.rollback()
            self._processes[process] = self._open(self._lines[process])
            return False
        return True

    def sync(self, process: int, requests: Sequence[history.Request], crash: int | None) -> bool:
        line = self._lines[process]
        line.requests = deque(requests)
        self.busy.add(process)
        try:
            done = self.survives(process, crash, self._synchronize)
        except ServerUnreachable:
            done = False
        finally:
            self.busy.remove(process)
            line.requests.clear()
        self._is_reading_anew |= line.was_refused
        line.was_refused = False
        if done:
            self.applied()
            if self._is_reading_anew:
                self.complete_since, self._is_reading_anew = self.known, False
        self.told = None
        return done

    def _synchronize(self, process: int) -> None:
        self._processes[process].synchronize()

    def _open(self, line: _Line) -> Replica:
        return Replica(
            self._store,
            line,
            token=TOKEN,
            page=self.spec.page,
            batch=self.spec.batch,
            now=self.now,
            new_id=self.new_id,
        )


class _Line:
    """A transport of one process of an installation."""

    def __init__(self, installation: ReplicaInstallation, exchange: Exchange) -> None:
        self.requests: deque[history.Request] = deque()
        self.was_refused = False
        self._installation = installation
        self._exchange = exchange

    def post(self, body: bytes, token: str | None) -> Reply:
        request = self.requests.popleft() if self.requests else PASSES
        reply = self._exchange(self._installation, body, token, request)
        if reply.status in (409, 410):
            self.was_refused = True
        elif reply.status == 200:
            self._installation.is_partial = b'"has_more":true' in reply.body
        return reply

    def close(self) -> None:
        pass
