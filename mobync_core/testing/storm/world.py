"""Does what a history says, and checks what must hold on the way and in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from mobync_core.testing.storm.dart import DartInstallation
from mobync_core.testing.storm.healing import heal
from mobync_core.testing.storm.history import (
    Act,
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
    Write,
)
from mobync_core.testing.storm.installation import Installation, Stranded
from mobync_core.testing.storm.ledger import Edit, Ledger
from mobync_core.testing.storm.network import Network
from mobync_core.testing.storm.replica import ReplicaInstallation
from mobync_core.testing.storm.server import Server
from mobync_core.testing.storm.timeline import START, Timeline
from mobync_core.testing.storm.upkeep import Upkeep


class World:
    """The devices of one history, their network and their server.

    `connect` opens the server, whose time is the function that it is given. `befallen` counts the faults that really
    happened. `listener`, if there is one, is told in words what happens.
    """

    def __init__(
        self,
        history: History,
        connect: Callable[[Callable[[], int]], Server],
        befallen: Counter[str] | None = None,
        listener: Callable[[str], None] | None = None,
    ) -> None:
        self.history = history
        self.time = START
        self.timeline = Timeline(self.now, listener)
        self.ledger = Ledger()
        server = connect(self.now)
        self._befallen = befallen if befallen is not None else Counter()
        self.network = Network(
            server, self.ledger, self._befallen, self.timeline, self._do_all, orderly=history.orderly
        )
        self._upkeep = Upkeep(server, self.network, self.ledger, self._befallen, self.timeline)
        self._steps = 0
        self._installed = 0
        self.devices = [self.install(device, f"{device.kind} {at}") for at, device in enumerate(history.devices)]
        self._befallen["clocks-apart"] += sum(device.offset != 0 for device in history.devices)

    def run(self) -> None:
        """Do all steps, let everything heal, and check. Raises `Violation`, or what a device or the server raises."""
        self._do_all(self.history.steps)
        heal(self)

    def now(self) -> int:
        """The server's time, in ms."""
        return self.time

    def install(self, spec: Device, name: str) -> Installation:
        """Give a device an empty store."""
        self._installed += 1
        client = DartInstallation if spec.kind == "dart" else ReplicaInstallation
        return client(spec, self._installed, name, self.now, self.network.exchange)

    def sync(self, device: Installation, requests: Sequence[Request] = (), act: Act | None = None) -> None:
        """Have a device sync."""
        act = act or Act()
        process = act.process % device.spec.processes
        if process in device.busy:
            return
        self._befallen["two-processes"] += bool(device.busy)
        self.timeline.say(f"{device.name} syncs" + (f" in process {process}" if process else ""))
        creates, tainted = dict(device.creates), dict(device.tainted)
        try:
            with device.acting(act):
                done = device.sync(process, requests, act.crash)
        except Stranded:
            self.timeline.say(f"{device.name} is told what it does not understand: its store is cleared")
            self._replace(device)
            return
        if done:
            # What was made meanwhile is yet to be sent.
            device.creates = {
                record: edit for record, edit in device.creates.items() if creates.get(record) is not edit
            }
            device.tainted = {
                record: edit for record, edit in device.tainted.items() if tainted.get(record) is not edit
            }
        else:
            self._befallen["client-crash"] += act.crash is not None
        self.ledger.learn(device.number, device.rows())
        if done or not device.would_ask:
            device.is_stranded = False

    def _do_all(self, steps: Sequence[AnyStep]) -> None:
        for step in steps:
            self._steps += 1
            self.network.land(self._steps)
            self.time += step.wait
            self._do(step)

    def _do(self, step: AnyStep) -> None:
        match step:
            case Sync():
                self.sync_of(step)
            case Write() | Update():
                self._write(step)
            case Delete():
                self._delete(step)
            case Fill():
                self._fill(step)
            case Jump():
                self._device(step).offset += step.by
                self._befallen["clock-jump"] += 1
                self.timeline.say(f"the clock of {self._device(step).name} jumps by {step.by} ms")
            case Purge():
                self._upkeep.purge(self.time)
                self._begin_anew_at_0()
            case Backup():
                self._upkeep.backup()
            case Restore():
                self._upkeep.restore(self.devices, renewed=step.renewed, orderly=self.history.orderly)
            case _:
                self.timeline.say(f"{step.wait} ms pass")

    def _device(self, step: Act | Jump) -> Installation:
        return self.devices[step.device % len(self.devices)]

    def sync_of(self, step: Sync) -> None:
        """Do a step that is a sync."""
        device = self._device(step)
        if not device.is_stranded:
            self.sync(device, step.requests, step)
            return
        # It has seen what the server lost. If nothing would tell it, its user must begin anew.
        held = self.network.held
        if not device.would_ask or held is None or device.base <= held.clock:
            self.timeline.say(f"{device.name} would not notice that the server lost data: its store is cleared")
            device = self._replace(device)
        self.sync(device, (), step)

    def _begin_anew_at_0(self) -> None:
        """Clear the stores of Dart clients that hold something at the base 0, to which no purge is ever told."""
        for device in list(self.devices):
            if device.spec.kind == "dart" and device.base == 0 and device.rows():
                self.timeline.say(f"{device.name}, at 0, cannot be told what was purged: its store is cleared")
                self._replace(device)

    def _replace(self, device: Installation) -> Installation:
        self.ledger.discard(device.number)
        fresh = self.install(device.spec, device.name)
        fresh.offset = device.offset
        self.devices[self.devices.index(device)] = fresh
        return fresh

    def _write(self, step: Write | Update) -> None:
        device = self._device(step)
        there = device.row(step.record)
        create = there is None and isinstance(step, Write)
        if create and not self.history.used_again and self.ledger.deletes(step.record):
            return
        for seen in (there, device.told_row(step.record)):
            if seen is not None:
                self.ledger.learn(device.number, {step.record: seen})
        values = self.ledger.new_values(step.fields)

        def write(process: int) -> None:
            device.write(process, step.record, values, create=create)

        refused = isinstance(step, Write) and step.refused
        self._edit(step, "create" if create else "update", step.record, values, write, refused=refused)

    def _delete(self, step: Delete) -> None:
        device = self._device(step)
        record = step.record
        if device.row(record) is None and not (step.absent and isinstance(device, DartInstallation)):
            rows = device.rows()
            if not rows:
                return
            record = min(rows)

        def delete(process: int) -> None:
            device.delete(process, record)

        self._edit(step, "delete", record, {}, delete, refused=step.refused)

    def _fill(self, step: Fill) -> None:
        self._befallen["huge-batch"] += 1
        for number in range(step.records):
            self._write(Write(0, step.device, step.process, None, step.luck, f"f{self._steps}-{number}"))
            self.time += 1

    def _edit(
        self,
        step: Act,
        kind: Literal["create", "update", "delete"],
        record: str,
        values: dict[str, str],
        make: Callable[[int], None],
        *,
        refused: bool,
    ) -> None:
        device = self._device(step)
        if not device.may_edit:
            return
        process = step.process % device.spec.processes
        with device.acting(step, refused=refused):
            survived = device.survives(process, step.crash, make)
        if not survived:
            self._befallen["client-crash"] += 1
            row = device.row(record)
            done = row is None if kind == "delete" else row is not None and values.items() <= row.items()
            self.timeline.say(f"{device.name} is killed in the middle of what comes next, which is {done and 'done'}")
            if not done:
                return
        self.timeline.say(f"{device.name} {kind}s {record} {_shown(values)}{' (to be refused)' if refused else ''}")
        before = self.ledger.by_record.get(record, ())
        self._befallen["refused"] += refused
        self._befallen["same-millisecond"] += device.last_edit == device.now()
        if kind == "create":
            self._befallen["same-id"] += any(edit.kind == "create" and edit.device != device.number for edit in before)
            self._befallen["used-again"] += any(edit.kind == "delete" for edit in before)
        device.last_edit = device.now()
        is_replica = device.spec.kind == "replica"
        edit = Edit(
            kind=kind,
            device=device.number,
            record=record,
            time=device.now(),
            known=device.known,
            is_refused=refused,
            is_void=refused or record in device.tainted,
            says_lives=is_replica,
            values=values,
            root=None if kind == "delete" and is_replica else device.creates.get(record),
        )
        self.ledger.add(edit, device.last_id)
        if kind == "create":
            device.creates[record] = edit
        elif kind == "delete":
            device.creates.pop(record, None)
        if edit.is_void:
            device.tainted[record] = edit


def _shown(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
