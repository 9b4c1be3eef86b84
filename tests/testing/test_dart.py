"""The model of the published client, held to what that client's source says."""

from __future__ import annotations

import json
from itertools import count
from random import Random
from typing import Any

import pytest

from mobync_core.testing.dart import DartDevice

KEY = ("todo", "r1")


@pytest.fixture
def device() -> DartDevice:
    names = count(1)
    return DartDevice("token", now=lambda: 1000, random=Random(1), new_id=lambda: f"own{next(names)}")


def told(kind: str, clock: int, *, record: str = "r1", id: str = "", stamp: int = 0, **fields: Any) -> dict[str, Any]:
    return {
        "id": id or f"told{clock}",
        "owner": "ann",
        "logical_clock": clock,
        "utc_timestamp": stamp,
        "type": kind,
        "model": "todo",
        "json_data": json.dumps({"id": record, **fields}),
    }


def answer(clock: int, *diffs: Any) -> dict[str, Any]:
    return {"success": True, "message": "", "logical_clock": clock, "diffs": list(diffs)}


def sent_ids(device: DartDevice) -> list[str]:
    return [diff["id"] for diff in device.request()["diffs"]]


def test_an_edit_changes_the_row_and_is_queued(device: DartDevice) -> None:
    assert device.create("todo", "r1", {"title": "Müsli", "qty": 1})
    device.update("todo", "r1", {"qty": 2})
    assert device.rows == {KEY: {"title": "Müsli", "qty": 2}}
    request = device.request()
    assert (request["auth_token"], request["logical_clock"]) == ("token", 0)
    assert sorted(diff["type"] for diff in request["diffs"]) == ["create", "update"]
    create = next(diff for diff in request["diffs"] if diff["type"] == "create")
    assert create == {
        "id": "own1",
        "owner": "asdf",
        "logical_clock": 0,
        "utc_timestamp": 1000,
        "type": "create",
        "model": "todo",
        "json_data": '{"id":"r1","title":"Müsli","qty":1}',
    }
    device.delete("todo", "r1")
    assert device.rows == {}
    assert json.loads(device.request()["diffs"][-1]["json_data"])["id"] == "r1"


def test_creating_what_exists_fails_and_queues_nothing(device: DartDevice) -> None:
    device.create("todo", "r1", {"title": "a"})
    assert not device.create("todo", "r1", {"title": "b"})
    assert device.rows[KEY] == {"title": "a"}
    assert sent_ids(device) == ["own1"]


def test_changing_what_is_absent_is_queued_all_the_same(device: DartDevice) -> None:
    device.update("todo", "r1", {"title": "a"})
    device.delete("todo", "r2")
    assert device.rows == {}
    assert sorted(sent_ids(device)) == ["own1", "own2"]


def test_diffs_of_one_millisecond_come_in_any_order() -> None:
    orders = set()
    for seed in range(50):
        names = count(1)
        device = DartDevice("", now=lambda: 1, random=Random(seed), new_id=lambda names=names: f"own{next(names)}")  # type: ignore[misc]
        for record in ("r1", "r2", "r3"):
            device.create("todo", record, {})
        orders.add(tuple(sent_ids(device)))
    assert len(orders) == 6


def test_an_answer_is_applied_and_moves_the_clock(device: DartDevice) -> None:
    device.create("todo", "r1", {"title": "a"})
    assert device.receive(
        answer(
            3, told("delete", 2, stamp=2), told("update", 1, title="b"), told("create", 2, stamp=3, id="c", title="c")
        )
    )
    assert device.rows == {KEY: {"title": "c"}}
    assert device.clock == 3
    assert device.request()["diffs"] == []


@pytest.mark.parametrize("clock", [0, 3, -1, None, "4", True])
def test_an_answer_without_a_greater_clock_is_ignored(device: DartDevice, clock: Any) -> None:
    assert device.receive(answer(3))
    assert not device.receive({**answer(0, told("create", 1)), "logical_clock": clock})
    assert (device.clock, device.rows) == (3, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": None},
        {"id": ""},
        {"model": ""},
        {"type": "rename"},
        {"logical_clock": -1},
        {"utc_timestamp": -1},
        {"utc_timestamp": 1.5},
        {"json_data": "[]"},
        {"json_data": "milk"},
        {"json_data": {"id": "r1"}},
        {"json_data": "{}"},
    ],
    ids=str,
)
def test_one_malformed_diff_refuses_the_whole_answer(device: DartDevice, wrong: dict[str, Any]) -> None:
    assert not device.receive(answer(3, told("create", 1), {**told("create", 2, record="r2"), **wrong}))
    assert (device.clock, device.rows) == (0, {})
    assert not device.receive(answer(3, told("create", 1), "milk"))
    assert not device.receive({"logical_clock": 3, "diffs": None})


def test_creating_what_exists_fails_for_that_diff_only(device: DartDevice) -> None:
    device.create("todo", "r1", {"title": "mine"})
    assert device.receive(answer(3, told("create", 1, title="theirs"), told("create", 2, record="r2")))
    assert device.rows == {KEY: {"title": "mine"}, ("todo", "r2"): {}}
    assert device.clock == 3


def test_changing_what_is_absent_does_nothing(device: DartDevice) -> None:
    assert device.receive(answer(3, told("update", 1, title="x"), told("delete", 2)))
    assert device.rows == {}


def test_what_was_answered_is_sent_back_unless_its_clock_is_smaller(device: DartDevice) -> None:
    device.receive(
        answer(3, told("create", 1), told("create", 3, record="r2"), told("update", 3, record="absent", id="u"))
    )
    assert sent_ids(device) == ["told3"]
    assert device.request()["diffs"][0]["owner"] == "asdf"


def test_a_killed_device_has_applied_a_part_and_sends_back_what_it_stored() -> None:
    diffs = [told("create", clock, record=f"r{clock}") for clock in range(1, 4)]
    seen = set()
    for seed in range(200):
        device = DartDevice("", now=lambda: 1, random=Random(seed))
        steps = seed % 7
        assert not device.receive(answer(4, *diffs), survive=steps)
        rows, stored = [name for _, name in device.rows], sent_ids(device)
        assert len(rows) + len(stored) == steps
        assert rows == ["r1", "r2", "r3"][: len(rows)]
        assert sorted(stored) == ["told1", "told2", "told3"][: len(stored)]
        assert len(stored) <= len(rows)
        assert device.clock == 0
        seen.add((len(rows), len(stored)))
        assert device.receive(answer(5, *diffs))
        assert len(device.rows) == 3
    assert {(1, 1), (2, 0), (3, 1), (2, 2), (3, 3)} <= seen


def test_a_diff_stored_already_is_not_stored_again(device: DartDevice) -> None:
    device.create("todo", "r1", {"title": "mine"})
    device.receive(answer(3, told("update", 5, id="own1", title="theirs")))
    assert device.rows[KEY] == {"title": "theirs"}
    assert device.request()["diffs"] == []


def test_its_ids_are_its_own() -> None:
    one, other = (DartDevice("", now=lambda: 1, random=Random(1)) for _ in range(2))
    one.create("todo", "r1", {})
    other.create("todo", "r1", {})
    assert sent_ids(one) != sent_ids(other)
