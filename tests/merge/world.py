"""Devices, a server and a network that loses, repeats and reorders, driven step by step by the state machines."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from typing import Any

from mobync_core import Mobync, Snapshot, Storage
from mobync_core.testing.atomic import AtomicDevice, Key
from mobync_core.testing.dart import DartDevice

Device = DartDevice | AtomicDevice
Cell = tuple[Key, str]

DAY = 86_400_000  # ms
START = 1_700_000_000_000  # ms
MODEL = "todo"


class RefusingRules:
    """Refuses about a fifth of all diffs, the same ones whenever they come."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        return zlib.crc32(diff["id"].encode()) % 5 > 0

    validate_update = validate_create
    validate_delete = validate_create


class World:
    """One owner on one storage, and his devices.

    Every value that a device writes is unique and so names its edit. The world knows, for each, which values of
    the same field its device had seen before: what the server must never let it be undone by. That is checked
    if the history is `orderly`, that is within the limits that the protocol names.
    """

    def __init__(self, storage: Storage, owner: str, seed: int, *, refusing: bool, orderly: bool) -> None:
        self.orderly = orderly
        self.random = random.Random(seed)
        self.time = START
        self.owner = owner
        self.storage = storage
        self.server = Mobync(storage, rules=RefusingRules() if refusing else None, now=lambda: self.time)
        self.devices: list[Device] = []
        self.sent: list[dict[str, Any]] = []
        self._values = itertools.count()
        self._seen: dict[Device, dict[Cell, set[str]]] = {}
        self._ancestors: dict[str, frozenset[str]] = {}
        self._written_at: dict[str, int] = {}
        self._stamps: dict[str, int] = {}  # of what stood on the server: over those of all that it had seen
        self._overtaken: dict[Cell, set[str]] = {}  # what some edit that reached the server had seen

    def add(self, device: Device) -> None:
        self.devices.append(device)
        self._seen[device] = {}

    def clock_of_device(self, offset: int) -> Any:
        return lambda: max(0, self.time + offset)

    def dart(self, offset: int = 0) -> DartDevice:
        return DartDevice("token", now=self.clock_of_device(offset), random=self.random, new_id=self.new_id)

    def atomic(self, offset: int = 0, page: int | None = None) -> AtomicDevice:
        return AtomicDevice(now=self.clock_of_device(offset), new_id=self.new_id, page=page)

    def new_id(self) -> str:
        return f"{self.random.getrandbits(64):016x}"

    def fields(self, device: Device, offset: int, record: str, names: list[str]) -> dict[str, str]:
        """Make fields with new values, made over what the device has seen of them."""
        made = {}
        for name in names:
            value = f"v{next(self._values)}"
            seen = self._seen[device].setdefault(((MODEL, record), name), set())
            self._ancestors[value] = frozenset(seen)
            self._written_at[value] = max(0, self.time + offset)
            seen.add(value)
            made[name] = value
        return made

    def serve(self, request: dict[str, Any]) -> dict[str, Any]:
        """Give a request to the server, twice: the second time must change nothing and tell the same."""
        before = self.live()
        answer = self._apply(request)
        stored = self.dump()
        again = self._apply(request)
        assert self.dump() == stored, "a repeated request changed what is stored"
        if "limit" not in request:  # a page may be cut elsewhere, after records moved behind it
            assert again == answer, "a repeated request was answered otherwise"
        self._check_answer(answer)
        if self.orderly:
            self._check_undone(before, self.live(), request)
        self.sent.append(request)
        return answer

    def serve_late(self, request: dict[str, Any]) -> None:
        """Give the server a duplicate whose answer nobody waits for."""
        before = self.live()
        self._check_answer(self._apply(request))
        if self.orderly:
            self._check_undone(before, self.live(), request)

    def deliver(self, device: Device, answer: dict[str, Any], survive: int | None = None) -> None:
        device.receive(answer, survive=survive)
        self._learn(device)

    def sync(self, device: Device) -> None:
        """Sync until nothing more is told."""
        self.deliver(device, self.serve(device.request()))
        while isinstance(device, AtomicDevice) and device.has_more:
            self.deliver(device, self.serve(device.request()))

    def heal(self) -> None:
        """Deliver everything, then check that all devices, fresh ones and the server hold the same."""
        for _ in range(3):  # to finish the pages, to push, and to hear of what the others pushed
            for device in self.devices:
                self.sync(device)
        fresh: list[Device] = [self.dart(), self.atomic(), self.atomic(page=1)]
        for device in fresh:
            self._seen[device] = {}
            self.sync(device)
        held = self.live()
        for device in [*self.devices, *fresh]:
            assert device.rows == held, f"{type(device).__name__} holds other records than the server"

    def live(self) -> dict[Key, dict[str, Any]]:
        rows = {}
        for record in self.server.records(self.owner, MODEL):
            rows[MODEL, record.pop("id")] = record
        return rows

    def dump(self) -> Snapshot:
        return self.storage.load(self.owner, since=0)

    def _apply(self, request: dict[str, Any]) -> dict[str, Any]:
        asked = {name: request[name] for name in ("atomic", "limit") if name in request}
        return self.server.apply(request["logical_clock"], request["diffs"], self.owner, **asked)

    @staticmethod
    def _check_answer(answer: dict[str, Any]) -> None:
        places = [(diff["logical_clock"], diff["utc_timestamp"]) for diff in answer["diffs"]]
        assert len(set(places)) == len(places), "two answered diffs are equal in (clock, timestamp)"
        assert places == sorted(places)
        for diff in answer["diffs"]:
            assert 0 <= diff["logical_clock"] < answer["logical_clock"]
            assert diff["utc_timestamp"] >= 0
            assert isinstance(json.loads(diff["json_data"])["id"], str)
        ids = [diff["id"] for diff in answer["diffs"]]
        assert len(set(ids)) == len(ids)

    def _learn(self, device: Device) -> None:
        seen = self._seen[device]
        for key, fields in device.rows.items():
            for name, value in fields.items():
                seen.setdefault((key, name), set()).update(self._ancestors[value] | {value})

    def _check_undone(
        self, before: dict[Key, dict[str, Any]], after: dict[Key, dict[str, Any]], request: dict[str, Any]
    ) -> None:
        deleted = set()
        for diff in request["diffs"]:
            data = json.loads(diff["json_data"])
            key = MODEL, data.pop("id")
            if diff["type"] == "delete":
                deleted.add(key)
            for name, value in data.items():
                self._overtaken.setdefault((key, name), set()).update(self._ancestors[value])
        for key, fields in after.items():
            for name, new in fields.items():
                overtaken = self._overtaken.get((key, name), ())
                assert new not in overtaken, f"{new} stands, though an edit that had seen it was taken"
                old = before.get(key, {}).get(name, new)
                if old != new and old not in self._ancestors[new] and key not in deleted:
                    # A delete beats what it did not know; an edit must have reached its stamp.
                    assert self._written_at[new] >= self._stamps[old], f"{new} beat {old}, which is later"
                if new not in self._stamps:
                    over = [self._stamps[one] + 1 for one in self._ancestors[new] if one in self._stamps]
                    self._stamps[new] = max([self._written_at[new], *over])
