"""Makes a history from a seed: the same one each time, whatever else is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal

from mobync_core.testing.storm.history import (
    DAY,
    AnyStep,
    Backup,
    Delete,
    Device,
    Fill,
    History,
    Jump,
    Purge,
    Request,
    Restore,
    Sync,
    Update,
    Wait,
    Write,
)

_ON_THE_WIRE: tuple[Literal["lost-request", "lost-answer", "duplicate", "delay", "server-killed"], ...] = (
    "lost-request",
    "lost-answer",
    "duplicate",
    "delay",
    "server-killed",
)
_SHARED = ("a", "b", "c")
_FIELDS = (("x",), ("y",), ("x", "y"))
_OFFSETS = (1, 5_000, 2 * DAY, -5_000, -2 * DAY)  # ms
_WAITS = (1, 1_000, 1_000, 60_000, 3_600_000, DAY)  # ms
_MOST_STEPS = 30


def generate(seed: int, rates: Mapping[str, float], asked: Sequence[str] = ()) -> History:
    """Return the history of a seed, with faults at these rates (see `rates_of`).

    Each history has only some kinds of faults, but all of those that were `asked` for by a rate: some
    things are found only where others do not get in the way.
    """
    return _Maker(seed, rates, asked).history()


class _Maker:
    def __init__(self, seed: int, rates: Mapping[str, float], asked: Sequence[str]) -> None:
        self._seed = seed
        self._random = Random(seed)
        self._orderly = self._random.random() < 0.6
        self._rates = {
            name: rate if name in asked or self._random.random() < 0.7 else 0.0 for name, rate in rates.items()
        }
        self._used_again = self._befalls("used-again")
        # The published client sends its diffs in the order of its clock. What it updates before it has it, and creates
        # after its clock went back, no server can tell from what it creates and then updates.
        self._edits_absent = not self._orderly and self._random.random() < 0.5
        self._unique = 0
        self._devices = self._some_devices()
        self._replicas = [number for number, device in enumerate(self._devices) if device.kind == "replica"]

    def history(self) -> History:
        steps: list[AnyStep] = [
            self._step(range(len(self._devices))) for _ in range(self._random.randint(6, _MOST_STEPS))
        ]
        if self._befalls("huge-batch"):
            steps.insert(self._place(steps), Fill(device=self._any(), records=self._random.choice((70, 300))))
        away, restored_backup = self._befalls("away"), self._befalls("restored-backup")
        if away:
            self._send_away(steps)
        if restored_backup and not away:  # both at once are beyond what is promised
            restored = self._random.randint(1, len(steps))
            steps.insert(restored, Restore(wait=1_000, renewed=not self._befalls("unnoticed-restore")))
            steps.insert(self._random.randrange(restored), Backup())
        return History(self._devices, steps, self._seed, self._orderly, self._used_again)

    def _some_devices(self) -> list[Device]:
        share_of_dart = self._random.choice((0.0, 0.3, 0.5, 1.0))
        return [
            self._device("dart" if self._random.random() < share_of_dart else "replica")
            for _ in range(self._random.choice((2, 2, 3, 3, 4)))
        ]

    def _device(self, kind: str) -> Device:
        offset = self._random.choice(_OFFSETS) if self._befalls("clocks-apart") else 0
        if kind == "dart":
            return Device("dart", offset)
        return Device(
            "replica",
            offset,
            page=self._random.choice((1, 2, 5, 1000)),
            batch=self._random.choice((1, 3, 5000)),
            processes=2 if self._befalls("two-processes") else 1,
        )

    def _befalls(self, fault: str) -> bool:
        return self._random.random() < self._rates[fault]

    def _any(self) -> int:
        return self._random.randrange(len(self._devices))

    def _place(self, steps: Sequence[AnyStep]) -> int:
        return self._random.randint(0, len(steps))

    def _step(self, present: Sequence[int], *, overlapping: bool = False) -> AnyStep:
        """One step of those devices that are `present`, or an edit of any."""
        if not overlapping and self._befalls("clock-jump"):
            return self._jump()
        kind = self._random.choices(("write", "delete", "sync"), (45, 12, 43))[0]
        if kind == "sync" and present:
            return self._sync(self._random.choice(present), overlapping=overlapping)
        return self._edit("delete" if kind == "delete" else "write", self._any())

    def _edit(self, kind: str, device: int) -> AnyStep:
        refused = self._befalls("refused")
        record = self._record()
        fields = self._random.choice(_FIELDS)
        wait, process, luck = self._wait(), self._process(device), self._luck()
        if self._devices[device].kind == "dart":
            if self._edits_absent and self._random.random() < 0.15:
                if kind == "delete":
                    return Delete(wait, device, 0, None, luck, record, refused, absent=True)
                return Update(wait, device, 0, None, luck, record, fields)
            crash = None
        else:
            crash = self._random.randint(1, 4) if self._befalls("client-crash") else None
        if kind == "delete":
            return Delete(wait, device, process, crash, luck, record, refused)
        return Write(wait, device, process, crash, luck, record, fields, refused)

    def _sync(self, device: int, *, overlapping: bool = False) -> Sync:
        crash = self._crash_of_sync(device)
        overlap = not overlapping and self._befalls("sync-overlap")
        requests = [self._request() for _ in range(self._random.choice((1, 1, 2, 3)))]
        if overlap:
            number = self._random.randrange(len(requests))
            during = [
                self._step(range(len(self._devices)), overlapping=True) for _ in range(self._random.randint(1, 3))
            ]
            first = requests[number]
            requests[number] = Request(first.fault, first.late, during, self._random.random() < 0.5)
        while requests and requests[-1] == Request():
            requests.pop()
        return Sync(self._wait(), device, self._process(device), crash, self._luck(), requests)

    def _crash_of_sync(self, device: int) -> int | None:
        if not self._befalls("client-crash"):
            return None
        if self._devices[device].kind == "dart":
            return None if self._orderly else self._random.randint(0, 6)
        return self._random.choice((self._random.randint(1, 12), self._random.randint(1, 60)))

    def _request(self) -> Request:
        # What comes late, of an id that came and went, is beyond what is promised to the published client, and to
        # anybody if the id was used again.
        only_replicas = all(device.kind == "replica" for device in self._devices)
        late_is_fine = not self._orderly or (only_replicas and not self._used_again)
        for fault in _ON_THE_WIRE:
            if self._rates[fault] and self._befalls(fault):
                if fault == "delay":
                    return Request("delay", self._random.randint(1, 8)) if late_is_fine else Request()
                late = self._random.randint(1, 8) if fault == "duplicate" and late_is_fine else 0
                return Request(fault, late * self._random.randint(0, 1))
        return Request()

    def _jump(self) -> Jump:
        device = self._any()
        by = self._random.choice((1_000, DAY, 2 * DAY)) * self._random.choice((1, -1))
        if (self._orderly or self._edits_absent) and self._devices[device].kind == "dart":
            by = abs(by)
        return Jump(1, device, by)

    def _send_away(self, steps: list[AnyStep]) -> None:
        """Let a device do no sync for 19 days, while the others do and the server purges."""
        away = self._any()
        others = [number for number in range(len(self._devices)) if number != away]
        begin = self._random.randrange(len(steps))
        end = min(len(steps), begin + self._random.randint(4, 12))
        meanwhile = [self._kept_from(step, away, others) for step in steps[begin:end]]
        purged = self._random.randint(0, len(meanwhile))
        steps[begin:end] = [*meanwhile[:purged], Wait(19 * DAY), Purge(), *meanwhile[purged:]]

    def _kept_from(self, step: AnyStep, away: int, others: Sequence[int]) -> AnyStep:
        if isinstance(step, Sync) and step.device == away:
            return self._sync(self._random.choice(others))
        return step

    def _record(self) -> str:
        if self._befalls("same-id"):
            return self._random.choice(_SHARED)
        self._unique += self._random.random() < 0.5  # else the last one again
        return f"n{self._unique}"

    def _wait(self) -> int:
        if not self._orderly and self._befalls("same-millisecond"):
            return 0
        return self._random.choice(_WAITS)

    def _process(self, device: int) -> int:
        return self._random.randrange(self._devices[device].processes)

    def _luck(self) -> int:
        return self._random.getrandbits(16)
