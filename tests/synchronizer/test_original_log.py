"""A table of diffs that the original library wrote goes on being the truth."""

from __future__ import annotations

import json
import logging
from random import Random
from typing import Any

import pytest

from mobync_core import Mobync
from mobync_core.testing.dart import DartDevice
from tests.core.sent import diff, told

from .application import Application


def logged(name: str, clock: int, at: int, kind: str, **data: Any) -> dict[str, Any]:
    return {
        "id": name,
        "owner": "ann",
        "logical_clock": clock,
        "utc_timestamp": at,
        "type": kind,
        "model": "todo",
        "json_data": json.dumps(data),
    }


@pytest.fixture
def application() -> Application:
    """Three pushes as the original logged them: a clock for each, shared by all of its diffs."""
    application = Application("todo")
    application.tables["diffs"] = [
        logged("1", 0, 1000, "create", id="a", x=1),
        logged("2", 0, 1000, "create", id="b", x=1),
        logged("3", 0, 1001, "update", id="a", x=2),
        logged("4", 1, 500, "update", id="b", y=1),
        logged("4", 1, 500, "update", id="b", y=1),  # a push that was sent twice
        logged("5", 1, 501, "create", id="c", x=1),
        logged("6", 2, 2000, "delete", id="c"),
        logged("7", 2, 1999, "create", id="d", x=1),
    ]
    application.tables["todo"] = [{"id": "a", "x": 2}, {"id": "b", "x": 1, "y": 1}, {"id": "d", "x": 1}]
    return application


def test_it_is_read_in_the_order_of_its_clocks_and_timestamps(application: Application) -> None:
    records = {one["id"]: one for one in Mobync(application).records("ann", "todo")}

    assert records == {row["id"]: row for row in application.rows("todo")}


def test_a_device_of_the_original_goes_on_where_it_was(application: Application) -> None:
    mobync = Mobync(application)

    answer = mobync.apply(1, [diff("update", "a", 3000, x=3)], "ann")

    assert answer["logical_clock"] == 4
    assert [one["id"] for one in answer["diffs"]] == ["4", "7", "6"]
    assert application.rows("todo")[0] == {"id": "a", "x": 3}
    assert mobync.apply(3, [], "ann")["diffs"] == [application.rows("diffs")[-1]]


def test_a_fresh_device_gets_what_there_is(application: Application) -> None:
    mobync = Mobync(application)
    device = DartDevice("ann", now=lambda: 0, random=Random(1))

    assert device.receive(mobync.apply(0, [], "ann"))

    assert device.rows == {("todo", row.pop("id")): row for row in application.rows("todo")}


def test_pages_of_such_a_log_lose_nothing(application: Application) -> None:
    mobync = Mobync(application)
    base, records = 0, set()
    while True:
        page = mobync.apply(base, [], "ann", limit=1)
        base = page["logical_clock"]
        records |= {data["id"] for kind, data in told(page) if kind == "create"}
        if not page["has_more"]:
            break

    assert records == {"a", "b", "d"}


def test_a_timestamp_that_no_device_can_read_is_not_told_again(application: Application) -> None:
    application.tables["diffs"].append(logged("8", 3, 2**60, "update", id="a", x="far future"))
    mobync = Mobync(application)
    device = DartDevice("ann", now=lambda: 0, random=Random(1))

    answer = mobync.apply(0, [], "ann")

    assert device.receive(answer)
    assert device.rows["todo", "a"] == {"x": "far future"}
    assert max(one["utc_timestamp"] for one in answer["diffs"]) < 2**53


def test_what_cannot_be_read_is_left_out_and_logged(application: Application, caplog: pytest.LogCaptureFixture) -> None:
    secret = logged("8", 3, 3000, "update", id="a", x="secret")
    application.tables["diffs"] += [
        secret | {"json_data": "{secret"},
        secret | {"id": "9", "json_data": '{"id": 7}'},
        secret | {"id": "10", "json_data": "[]"},
    ]

    with caplog.at_level(logging.WARNING, logger="mobync"):
        answer = Mobync(application).apply(3, [], "ann")

    assert answer["logical_clock"] == 4
    assert answer["diffs"] == []
    assert "3 diffs of a log could not be read" in caplog.text
    assert "secret" not in caplog.text
