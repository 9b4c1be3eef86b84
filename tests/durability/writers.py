"""Devices whose batches show whether they were stored whole."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from random import Random
from typing import Any

from mobync_core.testing.dart import DartDevice

MODEL = "todo"
EXTRA = 20

_START = 1_700_000_000_000  # ms

Rows = Mapping[tuple[str, str], Mapping[str, Any]]


class Writer:
    """A device that sets the same number in all its records with each batch.

    Besides, each batch creates some records and deletes those that the batch before it created. So whoever pulls finds
    one number everywhere and the records that go with it, or else finds a batch by half.
    """

    def __init__(self, owner: str, name: str, size: int) -> None:
        self.owner = owner
        self.acknowledged = 0
        self._name = name
        self._size = size
        self._made = 0
        self._sent: set[int] = set()  # by what was sent since, and not answered
        ticks = itertools.count(_START)
        self.device = DartDevice(owner, now=lambda: next(ticks), random=Random(name))

    @property
    def queued(self) -> int:
        """How many batches the server has not acknowledged."""
        return self._made - self.acknowledged

    def edit(self) -> None:
        """Make one more batch."""
        device, before = self.device, self._made
        self._made += 1
        for number in range(self._size):
            if before:
                device.update(MODEL, f"{self._name}-{number}", {"batch": self._made})
            else:
                device.create(MODEL, f"{self._name}-{number}", {"batch": 1, "text": "as it was made"})
        for number in range(EXTRA):
            device.create(MODEL, f"{self._name}-extra-{self._made}-{number}", {"batch": self._made})
            if before:
                device.delete(MODEL, f"{self._name}-extra-{before}-{number}")

    def request(self) -> dict[str, Any]:
        """Return the whole queue, as the device sends it until it is answered."""
        self._sent.add(self._made)
        return self.device.request()

    def receive(self, answer: Mapping[str, Any]) -> None:
        """Take the answer to the last request."""
        assert self.device.receive(answer), "the client would not take this answer"
        self.acknowledged = self._made
        self._sent = set()

    def stored(self, rows: Rows) -> int:
        """Return the batch that `rows`, pulled by another device, hold of this one. Fail if it is one by half.

        It is the last one that was acknowledged, or one sent since and not answered.
        """
        own = {id: fields for (_, id), fields in rows.items() if id.startswith(f"{self._name}-")}
        found = {fields["batch"] for fields in own.values()} or {0}
        assert len(found) == 1, f"{self._name}: of the batches {sorted(found)}, some are there by half"
        batch: int = found.pop()
        assert batch in {self.acknowledged} | self._sent, (
            f"{self._name}: {batch} is stored; {self.acknowledged} was acknowledged, {sorted(self._sent)} sent since"
        )
        expected = set()
        if batch:
            expected |= {f"{self._name}-{number}" for number in range(self._size)}
            expected |= {f"{self._name}-extra-{batch}-{number}" for number in range(EXTRA)}
        assert own.keys() == expected, f"{self._name}: batch {batch} is there by half"
        return batch


class Reader:
    """A device that only pulls."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.device = DartDevice(owner, now=lambda: _START, random=Random(0))

    def receive(self, answer: Mapping[str, Any]) -> None:
        assert self.device.receive(answer) or not answer["diffs"], "the client would not take this answer"
