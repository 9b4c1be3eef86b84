"""Edits without a connection: what is read is what was written, each together with its diff."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mobync_core import InvalidRecord, Limits, NoSuchObject, ObjectExists
from mobync_core.replica import Replica
from tests.replica.devices import Device, Killed, Server, fragile


def test_a_record_is_created_updated_and_deleted(server: Server) -> None:
    ann = server.device()
    milk = ann.create("todo", {"title": "Milk", "tags": ["a", {"b": 1}]})
    assert ann.get("todo", milk["id"]) == milk == {"id": milk["id"], "title": "Milk", "tags": ["a", {"b": 1}]}
    assert ann.update("todo", milk["id"], {"done": True}) == {**milk, "done": True}
    assert ann.all("todo") == [{**milk, "done": True}]
    ann.delete("todo", milk["id"])
    assert ann.get("todo", milk["id"]) is None
    assert ann.all("todo") == []
    assert ann.create("todo", milk) == milk
    assert ann.status().pending == 4
    assert ann.line.requests == []


def test_records_come_by_id_and_models_by_name(server: Server) -> None:
    ann = server.device()
    for record in ("b", "c", "a"):
        ann.create("todo", {"id": record})
    ann.create("note", {"id": "gone"})
    ann.delete("note", "gone")
    ann.create("list", {"id": "x"})
    assert [record["id"] for record in ann.all("todo")] == ["a", "b", "c"]
    assert ann.models() == ["list", "todo"]
    ann.synchronize()
    ann.delete("list", "x")
    assert ann.models() == ["todo"]


def test_what_get_returned_can_be_written_back(server: Server) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "title": "Milk"})
    got = ann.get("todo", "a")
    assert got is not None
    assert ann.update("todo", "a", {**got, "title": "Bread"}) == {"id": "a", "title": "Bread"}


def test_what_was_handed_in_is_not_what_is_kept(server: Server) -> None:
    ann = server.device()
    tags = ["a"]
    created = ann.create("todo", {"id": "a", "tags": tags})
    tags.append("b")
    created["tags"].append("c")
    assert ann.get("todo", "a") == {"id": "a", "tags": ["a"]}


@pytest.mark.parametrize(
    ("edit", "kind", "says"),
    [
        (lambda ann: ann.create("todo", {"id": "a"}), ObjectExists, "todo/a exists already"),
        (lambda ann: ann.update("todo", "b", {"x": 1}), NoSuchObject, "no todo/b to update"),
        (lambda ann: ann.delete("todo", "b"), NoSuchObject, "no todo/b to delete"),
        (lambda ann: ann.update("todo", "gone", {"x": 1}), NoSuchObject, "no todo/gone to update"),
        (lambda ann: ann.delete("todo", "gone"), NoSuchObject, "no todo/gone to delete"),
        (lambda ann: ann.update("todo", "a", {}), InvalidRecord, "must set a field"),
        (lambda ann: ann.update("todo", "a", {"x": None}), InvalidRecord, "may not set 'x' to None"),
        (lambda ann: ann.update("todo", "a", {"id": "b"}), InvalidRecord, "id cannot be updated"),
        (lambda ann: ann.update("todo", "a", {"x y": 1}), InvalidRecord, "'x y' does not match"),
        (lambda ann: ann.update("todo", "a", {"x": float("nan")}), InvalidRecord, "not a finite number"),
        (lambda ann: ann.update("todo", "a", {"x": {1, 2}}), InvalidRecord, "is a set"),
        (lambda ann: ann.update("todo", "a", {"x": 2**64}), InvalidRecord, "beyond 64 bit"),
        (lambda ann: ann.update("todo", "a", {"x": "y" * 2**20}), InvalidRecord, "more than 1048576"),
        (lambda ann: ann.update("todo", "a", ["x"]), InvalidRecord, "must be a mapping, not a list"),
        (lambda ann: ann.create("to do", {}), InvalidRecord, "the model does not match"),
        (lambda ann: ann.create("todo", {"id": 7}), InvalidRecord, "id is not a string"),
        (lambda ann: ann.create("todo", {"id": ""}), InvalidRecord, "id is empty"),
    ],
)
def test_what_the_server_would_not_take_is_refused_and_changes_nothing(
    server: Server, edit: Callable[[Device], Any], kind: type[Exception], says: str
) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "x": 1})
    ann.create("todo", {"id": "gone"})
    ann.delete("todo", "gone")
    before = ann.rows(), ann.status()
    with pytest.raises(kind, match=says):
        edit(ann)
    assert (ann.rows(), ann.status()) == before


def test_the_limits_may_be_others(server: Server) -> None:
    ann = server.device(limits=Limits(null_in_updates=True, names=r"[a-z ]+"))
    ann.create("to do", {"id": "a", "x y": 1})
    ann.update("to do", "a", {"x y": None})
    assert ann.all("to do") == [{"id": "a", "x y": None}]


@pytest.mark.parametrize(
    "edit",
    [
        lambda ann: ann.create("todo", {"id": "new", "title": "New"}),
        lambda ann: ann.update("todo", "a", {"title": "Bread"}),
        lambda ann: ann.delete("todo", "a"),
    ],
    ids=["create", "update", "delete"],
)
def test_an_edit_is_made_with_its_diff_or_not_at_all(server: Server, edit: Callable[[Device], Any]) -> None:
    deaths = 0
    for at in range(100):
        connection = fragile()
        ann = server.device(connection=connection)
        ann.create("todo", {"id": "a", "title": "Milk"})
        before = ann.rows(), ann.status().pending
        connection.at = at
        try:
            edit(ann)
        except Killed:
            deaths += 1
        connection.at = None
        again = server.device(connection=connection)
        done = again.rows(), again.status().pending
        if done != before:
            assert done[0] != before[0]
            assert done[1] == before[1] + 1
            _check_sent(again)
        if deaths <= at:
            assert done != before
            assert deaths > 4
            return
    pytest.fail("the edit never came to its end")


def _check_sent(device: Device) -> None:
    """Check that what is sent makes of nothing what is seen here."""
    rows = device.rows()
    device.line.lose_request = True
    with pytest.raises(Exception, match="was lost"):
        device.synchronize()
    made: dict[str, Any] = {}
    for diff in device.line.requests[-1]["diffs"]:
        data = json.loads(diff["json_data"])
        record = data.pop("id")
        if diff["type"] == "delete":
            del made[record]
        else:
            made.setdefault(record, {}).update(data)
    assert made == rows


def test_edits_of_threads_are_all_kept(server: Server) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    ann = Replica(connection, server.device().line, token="ann")
    ann.create("todo", {"id": "a"})

    def edit(number: int) -> None:
        for count in range(20):
            ann.update("todo", "a", {f"x{number}": count})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(edit, range(4)))
    assert ann.status().pending == 81
    assert ann.get("todo", "a") == {"id": "a", "x0": 19, "x1": 19, "x2": 19, "x3": 19}
