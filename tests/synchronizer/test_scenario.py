"""The original library's scenario of two clients: its answers and its clocks, 1, 2, 3, 3, 4, 4, 5, 5."""

from __future__ import annotations

import json
from typing import Any

from mobync_core import Diff, FilterType, Mobync, ReadFilter

from .application import Application

OWNER = "asdf"


def made(name: str, clock: int, at: int, kind: str, **data: str) -> dict[str, Any]:
    return {
        "id": name,
        "owner": OWNER,
        "logical_clock": clock,
        "utc_timestamp": 1604114123000 + at,
        "type": kind,
        "model": "model1",
        "json_data": json.dumps(data, separators=(",", ":")),
    }


def answered(clock: int, *diffs: dict[str, Any]) -> dict[str, Any]:
    return {"success": True, "message": "", "logical_clock": clock, "diffs": list(diffs)}


def test_two_clients_create_update_and_delete() -> None:
    mobync = Mobync(Application("model1"))
    first = made("1", 0, 775, "create", id="uuid1", field1="a")
    second = made("2", 1, 776, "create", id="uuid2", field1="b")
    third = made("3", 0, 777, "create", id="uuid3", field1="c")
    update = made("4", 3, 778, "update", id="uuid1", field1="x")
    delete = made("5", 4, 779, "delete", id="uuid3")

    def log() -> list[dict[str, Any]]:
        rows = mobync.synchronizer.read("diffs", [ReadFilter(Diff.OWNER, FilterType.equal, OWNER)])
        assert isinstance(rows, str)
        read: list[dict[str, Any]] = json.loads(rows)
        return read

    assert mobync.apply(0, [first], OWNER) == answered(1)
    assert log() == [first]
    assert mobync.apply(0, [third], OWNER) == answered(2, first)
    assert log() == [first, third]
    assert mobync.apply(1, [second], OWNER) == answered(3, third)
    assert mobync.apply(2, [], OWNER) == answered(3, second)
    assert log() == [first, third, second]
    assert mobync.apply(3, [update], OWNER) == answered(4)
    assert mobync.apply(3, [], OWNER) == answered(4, update)
    assert mobync.apply(4, [delete], OWNER) == answered(5)
    assert mobync.apply(4, [], OWNER) == answered(5, delete)

    assert log() == [first, third, second, update, delete]
    assert [diff["logical_clock"] for diff in log()] == [0, 1, 2, 3, 4]
    rows = mobync.synchronizer.read("model1", [])
    assert isinstance(rows, str)
    assert json.loads(rows) == [{"id": "uuid1", "field1": "x"}, {"id": "uuid2", "field1": "b"}]
