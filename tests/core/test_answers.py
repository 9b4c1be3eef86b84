"""What a client is told, where the histories of `tests/merge` do not look."""

from __future__ import annotations

import pytest

from mobync_core import Mobync, Storage

from .sent import diff, told


@pytest.fixture
def mobync(memory: Storage) -> Mobync:
    return Mobync(memory)


def test_the_answer_has_its_four_keys_unless_more_is_asked(mobync: Mobync) -> None:
    sent = [diff("create", "a", title="milk")]

    assert list(mobync.apply(0, sent, "ann")) == ["success", "message", "logical_clock", "diffs"]
    assert set(mobync.apply(0, sent, "ann", limit=5, explain=True, epoch=None)) == {
        "success",
        "message",
        "logical_clock",
        "diffs",
        "has_more",
        "outcomes",
        "epoch",
    }


def test_a_diff_names_its_true_owner_and_an_id_of_the_server(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 1234, title="milk")], "ann")

    (one,) = mobync.apply(0, [], "ann")["diffs"]

    assert one["id"].startswith("mobync:")
    assert (one["owner"], one["logical_clock"], one["utc_timestamp"]) == ("ann", 0, 1234)
    assert mobync.apply(0, [], "ann")["diffs"] == [one]


def test_an_echo_is_no_edit_and_its_id_is_not_told_again(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", title="milk")], "ann")
    (echo,) = mobync.apply(0, [], "ann")["diffs"]
    mobync.apply(1, [diff("update", "a", title="oat milk")], "ann")

    answer = mobync.apply(0, [echo], "ann", explain=True)

    assert [one["result"] for one in answer["outcomes"]] == ["echo"]
    assert mobync.get("ann", "todo", "a") == {"id": "a", "title": "oat milk"}
    assert echo["id"] not in [one["id"] for one in answer["diffs"]]


def test_an_id_is_marked_further_if_the_request_holds_it(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", title="milk")], "ann")
    (echo,) = mobync.apply(0, [], "ann")["diffs"]

    ids = [one["id"] for one in mobync.apply(0, [echo], "ann")["diffs"]]

    assert ids == [echo["id"] + "+"]


def test_a_request_with_diffs_always_advances_the_client(mobync: Mobync) -> None:
    assert mobync.apply(0, [diff("update", "a", title="x")], "ann")["logical_clock"] == 1
    assert mobync.apply(1, [diff("delete", "a")], "ann")["logical_clock"] == 2


def test_a_pull_moves_no_clock(mobync: Mobync, memory: Storage) -> None:
    assert mobync.apply(0, [], "ann", epoch=None) == {
        "success": True,
        "message": "",
        "logical_clock": 0,
        "diffs": [],
        "epoch": None,
    }
    assert memory.load("ann", since=0).clock == 0


def test_each_changed_record_has_a_clock_of_its_own(mobync: Mobync) -> None:
    sent = [
        diff("create", "a", x=1),
        diff("create", "b", x=1),
        diff("update", "a", 2000, x=2),
        diff("create", "c", x=1),
    ]

    assert mobync.apply(0, sent, "ann")["logical_clock"] == 3
    assert [(one["logical_clock"], one["json_data"]) for one in mobync.apply(0, [], "ann")["diffs"]] == [
        (0, '{"id":"a","x":2}'),
        (1, '{"id":"b","x":1}'),
        (2, '{"id":"c","x":1}'),
    ]


def test_pages_hold_everything_once_and_say_when_they_end(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", f"r{n}", n=n) for n in range(25)], "ann")

    clock, pages = 0, []
    while True:
        page = mobync.apply(clock, [], "ann", limit=10)
        pages.append([data["n"] for _, data in told(page)])
        clock = page["logical_clock"]
        if not page["has_more"]:
            break

    assert pages == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert clock == 25


def test_a_page_does_not_lose_a_record_that_moved_behind_it(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "x", title="first"), diff("create", "y", title="second")], "ann")
    mobync.apply(2, [diff("update", "x", done=True)], "ann")

    first = mobync.apply(0, [], "ann", limit=1)
    second = mobync.apply(first["logical_clock"], [], "ann", limit=1)

    assert told(first) == [("create", {"id": "y", "title": "second"})]
    assert told(second)[-1] == ("create", {"id": "x", "title": "first", "done": True})
    assert (first["has_more"], second["has_more"]) == (True, False)


def test_an_edit_that_loses_says_to_what(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 1000, title="milk", done=False)], "ann")
    winner = diff("update", "a", 3000, title="oat milk")
    mobync.apply(1, [winner], "ann")

    answer = mobync.apply(1, [diff("update", "a", 2000, title="soy milk", done=True)], "ann", explain=True)

    (outcome,) = answer["outcomes"]
    assert outcome["result"] == "merged"
    assert outcome["lost"] == [
        {"field": "title", "value": "soy milk", "stamp": 3000, "kept": "oat milk", "written_by": winner["id"]}
    ]
    assert mobync.get("ann", "todo", "a") == {"id": "a", "title": "oat milk", "done": True}


def test_what_came_too_late_for_a_deleted_record_is_dropped_and_says_why(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", title="milk")], "ann")
    delete = diff("delete", "a")
    mobync.apply(1, [delete], "ann")

    answer = mobync.apply(1, [diff("update", "a", title="soy milk")], "ann", explain=True)

    (outcome,) = answer["outcomes"]
    assert outcome["result"] == "dropped"
    assert delete["id"] in outcome["reason"]
    assert told(answer) == [("delete", {"id": "a"})]


def test_timestamps_stay_readable_however_great_they_are_sent(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 2**53 - 1, n=0)], "ann")
    for n in range(1, 4):
        mobync.apply(n, [diff("update", "a", 2**53 - 1, n=n)], "ann")

    (one,) = mobync.apply(0, [], "ann", atomic=True)["diffs"]

    assert one["utc_timestamp"] == 2**53 - 1
    pair = mobync.apply(0, [], "ann")["diffs"]
    assert [(one["type"], one["utc_timestamp"]) for one in pair] == [("delete", 2**53 - 2), ("create", 2**53 - 1)]
