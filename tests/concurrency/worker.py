"""A device that syncs as fast as it can, in a thread of the tests or, run as a module, in a process of its own."""

from __future__ import annotations

import itertools
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from mobync_core import Mobync, ServerBusy
from mobync_core.testing.dart import DartDevice

MODEL = "todo"
SHARED = "shared"
RACE = "race"

_START = 1_700_000_000_000  # ms
_TRIES = 2  # each is patient for ten seconds


@dataclass
class Exchange:
    """One request that was answered, and what was answered."""

    base: int
    diffs: list[dict[str, Any]]
    answer: dict[str, Any]


@dataclass
class Report:
    """What a worker did and holds.

    `created` are the ids of all the records that it made, `own` those that live, as they must be, and `last` what it
    wrote last into its own field of the shared record. `rows` is its replica in the end, by the records' ids.
    """

    owner: str
    number: int
    exchanges: list[Exchange] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: int = -1
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    busy: int = 0
    seconds: float = 0.0


@dataclass
class Job:
    """What a process is to do, and the file for its report."""

    url: str
    owner: str
    number: int
    syncs: int
    report: str


def own_field(number: int) -> str:
    """The field of the shared record that only this worker writes."""
    return f"by{number}"


class Worker:
    """A published client whose user never rests.

    With each sync it creates a record, updates an older one of its own, now and then deletes one, and writes two fields
    of a record that all workers share: one is its own, for the other all race.
    """

    def __init__(self, engine: Mobync, owner: str, number: int) -> None:
        self.report = Report(owner, number)
        self._engine = engine
        self._random = Random(number)
        # Each device's clock is wrong by something else, so that it is not always the last to write that wins the race.
        ticks = itertools.count(_START + 1500 * number, 300)
        self._device = DartDevice("token", now=lambda: next(ticks) + self._random.randrange(300), random=self._random)

    def work(self, syncs: int) -> None:
        """Edit and sync so many times. Raises `AssertionError` if an answer is not one that the client would take."""
        begin = time.monotonic()
        for turn in range(syncs):
            self._edit(turn)
            request = self._device.request()
            self._receive(request, advance=True)
            if turn % 10 == 9:  # a duplicate, whose answer finds the device ahead of the question
                self._ask(request)
            if turn % 10 == 4:
                self._receive(self._device.request())
        self.report.seconds = time.monotonic() - begin

    def settle(self) -> None:
        """Pull what the others did last."""
        self._receive(self._device.request())
        self.report.rows = {id: fields for (_, id), fields in self._device.rows.items()}

    def _edit(self, turn: int) -> None:
        report, device = self.report, self._device
        older = list(report.own)
        new = f"{report.number}-{turn}"
        report.created.append(new)
        report.own[new] = {"turn": turn, "text": "new"}
        device.create(MODEL, new, report.own[new])
        if older:
            changed = self._random.choice(older)
            report.own[changed]["text"] = f"changed in {turn}"
            device.update(MODEL, changed, {"text": report.own[changed]["text"]})
        if turn % 5 == 4:
            removed = self._random.choice(older)
            del report.own[removed]
            device.delete(MODEL, removed)
        report.last = turn
        fields = {own_field(report.number): turn, RACE: new}
        if not device.create(MODEL, SHARED, fields):
            device.update(MODEL, SHARED, fields)

    def _receive(self, request: dict[str, Any], *, advance: bool = False) -> None:
        answer = self._ask(request)
        before = self._device.clock
        taken = self._device.receive(answer)
        assert answer["logical_clock"] >= before, "the clock went back"
        assert taken or not (advance or answer["diffs"]), "the client would not take this answer"

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        for _ in range(_TRIES):
            try:
                answer = self._engine.apply(request["logical_clock"], request["diffs"], self.report.owner)
            except ServerBusy:
                self.report.busy += 1  # a device sends the same again
                continue
            self.report.exchanges.append(Exchange(request["logical_clock"], request["diffs"], answer))
            return answer
        raise AssertionError(f"the server was busy {_TRIES} times in a row")


def main() -> None:
    """Do the job that a line of stdin says, in step with the other workers."""
    job = msgspec.json.decode(sys.stdin.readline(), type=Job)
    _stage("loaded")
    with Mobync(job.url) as engine:  # all at once, on an empty database
        worker = Worker(engine, job.owner, job.number)
        _stage("ready")
        worker.work(job.syncs)
        _stage("done")
        worker.settle()
    Path(job.report).write_bytes(msgspec.json.encode(worker.report))


def _stage(name: str) -> None:
    """Say what is reached, and wait for all others to reach it."""
    print(name, flush=True)
    if not sys.stdin.readline():
        sys.exit("whoever started this process is gone")


if __name__ == "__main__":
    main()
