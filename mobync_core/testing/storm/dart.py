"""A device with the published Dart client."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random

from mobync_core.replica.errors import ServerUnreachable
from mobync_core.testing.dart import DartDevice
from mobync_core.testing.storm import history
from mobync_core.testing.storm.installation import MODEL, PASSES, TOKEN, Exchange, Installation, Stranded


class DartInstallation(Installation):
    """The published client, on which nobody edits while it syncs: it would lose that."""

    def __init__(
        self, spec: history.Device, number: int, name: str, time: Callable[[], int], exchange: Exchange
    ) -> None:
        super().__init__(spec, number, name, time, exchange)
        self._random = Random(number)
        self._device = DartDevice(TOKEN, now=self.now, random=self._random, new_id=self.new_id)

    @property
    def may_edit(self) -> bool:
        return not self.busy

    def survives(self, process: int, crash: int | None, act: Callable[[int], None]) -> bool:  # noqa: ARG002 - at edits
        act(process)
        return True

    @property
    def base(self) -> int:
        return self._device.clock

    @property
    def pending(self) -> int:
        return len(self._device.request()["diffs"])

    def rows(self) -> dict[str, dict[str, str]]:
        return {record: fields for (_, record), fields in self._device.rows.items()}

    def row(self, record: str) -> dict[str, str] | None:
        return self._device.rows.get((MODEL, record))

    def write(self, process: int, record: str, values: Mapping[str, str], *, create: bool) -> None:  # noqa: ARG002 - it has one
        if not create:
            self._device.update(MODEL, record, values)
        elif not self._device.create(MODEL, record, values):
            raise AssertionError(f"{record} could not be created")

    def delete(self, process: int, record: str) -> None:  # noqa: ARG002 - it has one
        self._device.delete(MODEL, record)

    def sync(self, process: int, requests: Sequence[history.Request], crash: int | None) -> bool:
        self._random.seed(self._luck)
        self.busy.add(process)
        try:
            body = json.dumps(self._device.request()).encode()
            reply = self._exchange(self, body, None, requests[0] if requests else PASSES)
        except ServerUnreachable:
            return False
        finally:
            self.busy.remove(process)
        if reply.status in (409, 410):
            raise Stranded
        if reply.status != 200:
            raise AssertionError(f"the server answered {reply.status}: {reply.body.decode()}")
        self._device.receive(json.loads(reply.body), survive=crash)
        self.is_partial = crash is not None
        if not self.is_partial:
            self.applied()
        self.told = None
        return not self.is_partial
