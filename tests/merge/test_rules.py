"""The rules of the merge, by example: each is one that the histories could not tell from a rule nearly right."""

from __future__ import annotations

import pytest

from mobync_core import Mobync, Storage
from tests.core.sent import diff


@pytest.fixture
def mobync(memory: Storage) -> Mobync:
    return Mobync(memory)


def test_what_came_and_went_offline_leaves_nothing_behind(mobync: Mobync, memory: Storage) -> None:
    answer = mobync.apply(
        0, [diff("create", "a", 1, x=1), diff("update", "a", 2, x=2), diff("delete", "a", 3)], "ann", explain=True
    )

    assert [one["result"] for one in answer["outcomes"]] == ["cancelled"] * 3
    assert memory.load("ann", since=0).changed == ()


def test_what_came_and_went_offline_does_not_take_another_devices_record_along(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", x="tablet")], "ann")

    mobync.apply(0, [diff("create", "a", 2000, x="phone"), diff("delete", "a", 3000)], "ann")

    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "tablet"}


def test_a_delete_wins_over_an_update_made_without_knowing_of_it(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", x=1)], "ann")
    mobync.apply(1, [diff("delete", "a", 2000)], "ann")

    mobync.apply(1, [diff("update", "a", 9000, x=2)], "ann")

    assert mobync.get("ann", "todo", "a") is None


def test_an_update_of_an_earlier_life_does_not_reach_the_next(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
    mobync.apply(1, [diff("delete", "a", 2000), diff("create", "a", 3000, x=2)], "ann")

    answer = mobync.apply(1, [diff("update", "a", 9000, x=3)], "ann", explain=True)

    assert answer["outcomes"][0]["result"] == "dropped"
    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": 2}


def test_a_delete_of_an_earlier_life_does_not_end_the_next(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
    mobync.apply(1, [diff("delete", "a", 2000), diff("create", "a", 3000, x=2)], "ann")

    answer = mobync.apply(1, [diff("delete", "a", 9000)], "ann", explain=True)

    assert answer["outcomes"][0]["result"] == "dropped"
    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": 2}


def test_a_create_of_a_record_that_is_there_is_an_edit_of_its_fields(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 1000, x="tablet", y="tablet")], "ann")

    mobync.apply(0, [diff("create", "a", 500, x="phone", z="phone")], "ann")

    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "tablet", "y": "tablet", "z": "phone"}


def test_the_next_life_begins_above_all_stamps_of_the_last(mobync: Mobync) -> None:
    two_days_ahead = 172_800_000
    mobync.apply(0, [diff("create", "a", two_days_ahead, x="fast")], "ann")
    mobync.apply(1, [diff("delete", "a", 1000)], "ann")
    mobync.apply(2, [diff("create", "a", 2000, x="next life")], "ann")

    # A device that knows the second life but not its field's last writer must still reach the stamp.
    mobync.apply(3, [diff("update", "a", 3000, x="corrected")], "ann")
    mobync.apply(3, [diff("update", "a", 2500, x="late")], "ann")

    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "corrected"}
    (told,) = mobync.apply(0, [], "ann", atomic=True)["diffs"]
    assert told["utc_timestamp"] > two_days_ahead


def test_the_floor_rises_with_what_was_dropped_and_only_once(mobync: Mobync, memory: Storage) -> None:
    mobync.apply(0, [diff("create", "a", x=1)], "ann")
    mobync.apply(1, [diff("delete", "a", 2000)], "ann")
    late = [diff("update", "a", 9000, x=2)]

    mobync.apply(1, late, "ann")
    risen = memory.load("ann", since=0)
    mobync.apply(1, late, "ann")

    assert memory.load("ann", since=0) == risen
    assert [record.clock for record in risen.changed] == [1]
    assert risen.clock == 3
