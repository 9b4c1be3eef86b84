"""Requests recorded from the published client, posted to a fresh server over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from mobync_core import Mobync, Storage
from mobync_core.testing.dart import DartDevice
from tests.http.posting import ask
from tests.http.servers import Face

RECORDED = [json.loads(line) for line in (Path(__file__).parent / "dart-traffic.jsonl").read_text("utf-8").splitlines()]


class Replayed:
    """A device of the recording: it makes the edits that its requests tell of, and applies the answers."""

    def __init__(self) -> None:
        self.dart = DartDevice("asdf", now=lambda: 0, random=Random(1))
        self._known: set[str] = set()

    def make(self, diffs: list[dict[str, Any]]) -> None:
        for sent in diffs:
            if sent["id"] in self._known:
                continue
            self._known.add(sent["id"])
            fields = json.loads(sent["json_data"])
            record = fields.pop("id")
            if sent["type"] == "create":
                assert self.dart.create(sent["model"], record, fields)
            elif sent["type"] == "update":
                self.dart.update(sent["model"], record, fields)
            else:
                self.dart.delete(sent["model"], record)

    def holds(self) -> list[dict[str, Any]]:
        return [{"id": record, **fields} for (_, record), fields in sorted(self.dart.rows.items())]


def test_recorded_requests_leave_each_device_holding_what_the_recording_says(face: Face, memory: Storage) -> None:
    devices: dict[str, Replayed] = {}
    with face(Mobync(memory), {"asdf": "ann"}.get) as url:
        for step, one in enumerate(RECORDED):
            device = devices.setdefault(one["device"], Replayed())
            request = json.loads(one["body"])
            assert request["logical_clock"] == device.dart.clock, f"request {step}"
            device.make(request["diffs"])
            answer = ask(url, one["body"].encode(), headers=one["headers"])
            assert answer.status == 200, answer.body
            device.dart.receive(answer.json)
            assert device.holds() == sorted(one["then_holds"], key=lambda row: row["id"]), f"request {step}"
    assert len(RECORDED) == 14
