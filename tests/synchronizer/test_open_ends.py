"""What the original library left open: forged logs, strangers' records, hostile timestamps, repeats and conflicts."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest

from mobync_core import InvalidRecord, Mobync
from mobync_core.testing.dart import DartDevice
from tests.core.sent import diff, told

from .application import Application


@pytest.fixture
def application() -> Application:
    return Application("todo")


@pytest.fixture
def mobync(application: Application) -> Mobync:
    return Mobync(application)


@pytest.mark.parametrize("model", ["diffs", "Diffs", "public.diffs", "main.DIFFS"])
@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_no_diff_reaches_the_table_of_diffs(application: Application, mobync: Mobync, model: str, kind: str) -> None:
    mobync.apply(0, [diff("create", "a", x=1)], "bob")
    before = application.rows("diffs")
    forged = diff(kind, before[0]["id"], model=model, owner="bob", logical_clock=7, type="delete")

    answer = mobync.apply(0, [forged], "ann", explain=True)

    assert [(one["result"], one.get("code")) for one in answer["outcomes"]] == [("refused", "unauthorized")]
    assert application.log("bob").diffs.keys() == {before[0]["id"]}
    assert application.rows("diffs")[:1] == before
    assert mobync.get("bob", "todo", "a") == {"id": "a", "x": 1}


def test_nor_does_the_application_by_mistake(application: Application, mobync: Mobync) -> None:
    with pytest.raises(InvalidRecord, match="nobody writes to the table of diffs but Mobync"):
        mobync.create("ann", "diffs", {"owner": "bob"})
    assert [row["owner"] for row in application.rows("diffs")] in ([], ["ann"])


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_a_record_of_another_owner_is_not_touched(application: Application, mobync: Mobync, kind: str) -> None:
    mobync.apply(0, [diff("create", "a", x="bob's")], "bob")
    before = application.rows("todo")

    answer = mobync.apply(0, [diff(kind, "a", 9000, x="ann's")], "ann")

    assert application.rows("todo") == before
    assert told(answer) == [("delete", {"id": "a"})]
    assert mobync.get("bob", "todo", "a") == {"id": "a", "x": "bob's"}
    assert mobync.apply(0, [], "ann")["diffs"] == []


def test_an_id_is_free_when_its_owner_has_deleted_it(application: Application, mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", x="bob's")], "bob")
    mobync.apply(1, [diff("delete", "a", 2000)], "bob")

    mobync.apply(0, [diff("create", "a", x="ann's")], "ann")

    assert application.rows("todo") == [{"id": "a", "x": "ann's"}]


def test_the_rules_see_what_no_log_knows_of() -> None:
    before = [{"id": "a", "x": "made by the application for Bob"}]
    seen: list[dict[str, Any]] = []

    class Careful(Application):
        def validate_create(self, owner_id: str, **kwargs: Any) -> bool:
            seen.append(kwargs)
            return False

    application = Careful("todo")
    application.tables["todo"] = copy.deepcopy(before)

    Mobync(application).apply(0, [diff("create", "a", x="ann's")], "ann")

    assert application.rows("todo") == before
    assert (seen[0]["owner"], seen[0]["model"], seen[0]["json_data"]) == ("ann", "todo", '{"id": "a", "x": "ann\'s"}')


@pytest.mark.parametrize("timestamp", [float("nan"), float("inf"), 2**53, 2**70, -1, "7", None, 1.5])
def test_a_hostile_timestamp_refuses_that_diff_alone(
    application: Application, mobync: Mobync, timestamp: object
) -> None:
    hostile = diff("create", "a", x=1) | {"utc_timestamp": timestamp}

    answer = mobync.apply(0, [hostile, diff("create", "b")], "ann", explain=True)

    assert [(one["result"], one.get("code")) for one in answer["outcomes"]] == [
        ("refused", "invalid_data"),
        ("applied", None),
    ]
    assert [row["id"] for row in application.rows("todo")] == ["b"]
    fresh = DartDevice("ann", now=lambda: 0, random=Random(1))
    assert fresh.receive(mobync.apply(0, [], "ann"))
    assert fresh.rows == {("todo", "b"): {}}


def test_the_same_push_twice_is_done_once_and_answered_the_same(application: Application, mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "z")], "ann")
    push = [diff("create", "a", 1000, x=1), diff("create", "b", 1001), diff("update", "a", 1002, x=2)]
    answer = mobync.apply(0, copy.deepcopy(push), "ann")
    stored = copy.deepcopy(application.tables)

    assert mobync.apply(0, push, "ann") == answer
    assert mobync.apply(0, push, "ann") == answer  # now with the clocks that the last call wrote into them
    assert application.tables == stored


def test_a_diff_that_was_overtaken_does_not_take_effect_again(application: Application, mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", x=0)], "ann")
    late = diff("update", "a", 2000, x=1)
    mobync.apply(1, [copy.deepcopy(late)], "ann")
    mobync.apply(2, [diff("update", "a", 3000, x=2)], "ann")
    before = copy.deepcopy(application.tables["todo"])

    answer = mobync.apply(3, [late], "ann")

    assert application.tables["todo"] == before
    assert [row["id"] for row in application.rows("diffs")].count(late["id"]) == 1
    assert told(answer)[-1] == ("create", {"id": "a", "x": 2})


def test_the_same_id_from_two_devices_becomes_one_record(application: Application, mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 1000, x="phone", y="phone")], "ann")

    answer = mobync.apply(0, [diff("create", "a", 500, x="tablet", z="tablet")], "ann")

    assert application.rows("todo") == [{"id": "a", "x": "phone", "y": "phone", "z": "tablet"}]
    # The log's create would do nothing to the tablet's row: it is told to replace it.
    whole = {"id": "a", "x": "phone", "y": "phone", "z": "tablet"}
    assert told(answer) == [("delete", {"id": "a"}), ("create", whole)]
    assert all(one["id"].startswith("mobync:") for one in answer["diffs"])
    assert told(mobync.apply(1, [], "ann")) == [("update", {"id": "a", "z": "tablet"})]


def test_a_delete_wins_over_an_edit_made_without_knowing_of_it(application: Application, mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", x=1)], "ann")
    mobync.apply(1, [diff("delete", "a", 2000)], "ann")

    answer = mobync.apply(1, [diff("update", "a", 9000, x=2)], "ann")

    assert application.rows("todo") == []
    assert [one["type"] for one in answer["diffs"]] == ["delete"]
    # The next life begins above what was dropped, and the log remembers that.
    mobync.apply(3, [diff("create", "a", 3000, x=3)], "ann")
    mobync.apply(1, [diff("create", "a", 8999, x=4)], "ann")
    assert application.rows("todo") == [{"id": "a", "x": 3}]


def test_a_client_is_advanced_although_nothing_of_its_push_is_taken(application: Application, mobync: Mobync) -> None:
    answer = mobync.apply(0, [diff("update", "a", x=1)], "ann")

    assert answer["logical_clock"] == 1
    assert mobync.apply(1, [], "ann")["logical_clock"] == 1
    assert mobync.apply(1, [diff("create", "b")], "ann")["logical_clock"] == 2
    assert [row["id"] for row in application.rows("todo")] == ["b"]


class Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        self.now += 1
        return self.now


def sync(mobync: Mobync, device: DartDevice, survive: int | None = None) -> None:
    request = json.loads(json.dumps(device.request()))
    device.receive(mobync.apply(request["logical_clock"], request["diffs"], "ann"), survive=survive)


def test_a_device_killed_after_it_stored_a_delete_may_create_the_record_again(mobync: Mobync) -> None:
    behind = DartDevice("ann", now=Clock(1000), random=Random(1))
    ahead = DartDevice("ann", now=Clock(900_000), random=Random(2))
    behind.create("todo", "a", {"x": "first"})
    sync(mobync, behind)
    sync(mobync, ahead)
    ahead.delete("todo", "a")
    sync(mobync, ahead)
    sync(mobync, behind, survive=2)  # the row is gone and the diff is stored, the clock did not move
    assert behind.create("todo", "a", {"x": "second"})

    sync(mobync, behind)
    sync(mobync, ahead)

    held = {("todo", record.pop("id")): record for record in mobync.records("ann", "todo")}
    assert behind.rows == ahead.rows == held


def test_a_device_killed_after_it_stored_an_answer_keeps_what_it_makes_next(mobync: Mobync) -> None:
    one = DartDevice("ann", now=Clock(1000), random=Random(1))
    other = DartDevice("ann", now=Clock(1000), random=Random(2))
    for record in "ab":
        one.create("todo", record, {"x": "first"})
    sync(mobync, one)
    sync(mobync, other)
    other.update("todo", "b", {"x": "other"})
    other.update("todo", "a", {"x": "other"})
    sync(mobync, other)
    sync(mobync, one, survive=4)
    assert one.rows["todo", "a"] == {"x": "other"}
    one.update("todo", "a", {"y": "one"})

    sync(mobync, one)
    sync(mobync, other)

    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "other", "y": "one"}
    assert one.rows == other.rows
