"""The application writes as one more device that has always seen everything."""

from __future__ import annotations

from typing import Any

import pytest

from mobync_core import InvalidRecord, Mobync, NoSuchObject, ObjectExists, Storage

from .sent import diff, told


@pytest.fixture
def mobync(memory: Storage) -> Mobync:
    return Mobync(memory, now=lambda: 5000)


def test_a_record_that_the_application_creates_reaches_the_devices(mobync: Mobync) -> None:
    created = mobync.create("ann", "todo", {"title": "milk"})

    assert created["title"] == "milk"
    assert mobync.get("ann", "todo", created["id"]) == created
    assert told(mobync.apply(0, [], "ann")) == [("create", created)]


def test_an_update_wins_over_what_a_device_with_a_fast_clock_wrote(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", 10**12, title="milk", done=False)], "ann")

    assert mobync.update("ann", "todo", "a", {"title": "oat milk"}) == {"id": "a", "title": "oat milk", "done": False}
    assert told(mobync.apply(1, [], "ann")) == [("update", {"id": "a", "title": "oat milk"})]


def test_a_delete_reaches_the_devices(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", title="milk")], "ann")

    mobync.delete("ann", "todo", "a")

    assert mobync.get("ann", "todo", "a") is None
    assert told(mobync.apply(1, [], "ann")) == [("delete", {"id": "a"})]


def test_a_deleted_record_can_be_created_again(mobync: Mobync) -> None:
    mobync.create("ann", "todo", {"id": "a", "title": "milk"})
    mobync.delete("ann", "todo", "a")

    mobync.create("ann", "todo", {"id": "a", "title": "tea"})

    assert list(mobync.records("ann", "todo")) == [{"id": "a", "title": "tea"}]


def test_what_cannot_be_done_says_so_and_changes_nothing(mobync: Mobync, memory: Storage) -> None:
    mobync.create("ann", "todo", {"id": "a", "title": "milk"})
    before = memory.load("ann", since=0)

    with pytest.raises(ObjectExists, match="todo/a exists"):
        mobync.create("ann", "todo", {"id": "a"})
    with pytest.raises(NoSuchObject, match="no todo/b to update"):
        mobync.update("ann", "todo", "b", {"title": "x"})
    with pytest.raises(NoSuchObject, match="no todo/b to delete"):
        mobync.delete("ann", "todo", "b")

    assert memory.load("ann", since=0) == before


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("todo", {"n": float("nan")}),
        ("todo", {"n": float("inf")}),
        ("todo", {"n": 2**63}),
        ("todo", {"n": "\ud800"}),
        ("todo", {"n": {1: 2}}),
        ("todo", {1: 2}),
        ("todo", None),
        ("todo", {"n": object()}),
        ("todo", {"a b": 1}),
        ("todo", {"id": 7}),
        ("to do", {"n": 1}),
    ],
)
def test_what_no_device_could_take_is_refused(mobync: Mobync, model: str, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRecord):
        mobync.create("ann", model, fields)


@pytest.mark.parametrize("fields", [{}, {"id": "b"}])
def test_an_update_needs_fields_other_than_the_id(mobync: Mobync, fields: dict[str, Any]) -> None:
    mobync.create("ann", "todo", {"id": "a", "title": "milk"})

    with pytest.raises(InvalidRecord):
        mobync.update("ann", "todo", "a", fields)


def test_the_application_may_set_a_field_to_null(mobync: Mobync) -> None:
    mobync.create("ann", "todo", {"id": "a", "due": "friday"})

    assert mobync.update("ann", "todo", "a", {"due": None}) == {"id": "a", "due": None}


def test_records_reads_more_than_a_page_of_one_model(mobync: Mobync) -> None:
    sent = [diff("create", f"r{n}", model="todo" if n % 2 else "note", n=n) for n in range(2500)]
    mobync.apply(0, sent, "ann")

    assert [record["n"] for record in mobync.records("ann", "todo")] == list(range(1, 2500, 2))
    assert list(mobync.records("bob", "todo")) == []


def test_a_record_that_changes_while_records_are_read_is_told_once(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", f"r{n}", n=n) for n in range(1500)], "ann")

    reading = mobync.records("ann", "todo")
    read = [next(reading)]
    mobync.update("ann", "todo", "r0", {"n": -1})
    mobync.update("ann", "todo", "r1499", {"n": -2})
    read += list(reading)

    assert sorted(record["id"] for record in read) == sorted(f"r{n}" for n in range(1500))
