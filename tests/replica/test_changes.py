"""What callbacks are told of what others changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mobync_core import Storage
from mobync_core.replica import (
    Change,
)
from tests.replica.devices import Picky, Server, filled


def test_changes_of_others_are_told_and_own_ones_are_not(server: Server) -> None:
    ann, phone = server.device(), server.device(skew=10)
    told: list[Change] = []
    seen: list[Any] = []

    def tell(changes: Sequence[Change]) -> None:
        told.extend(changes)
        seen.append(phone.rows())

    end = phone.on_change(tell)
    ann.create("todo", {"id": "a", "title": "Milk"})
    ann.create("todo", {"id": "b"})
    ann.synchronize()
    phone.create("todo", {"id": "own"})
    phone.synchronize()
    assert sorted(told, key=lambda change: change.record) == [
        Change("create", "todo", "a", {"id": "a", "title": "Milk"}),
        Change("create", "todo", "b", {"id": "b"}),
    ]
    assert seen[-1] == phone.rows()
    told.clear()
    ann.update("todo", "a", {"title": "Bread"})
    ann.delete("todo", "b")
    ann.synchronize()
    phone.update("todo", "own", {"x": 1})
    phone.synchronize()
    assert sorted(told, key=lambda change: change.record) == [
        Change("update", "todo", "a", {"id": "a", "title": "Bread"}),
        Change("delete", "todo", "b", None),
    ]
    told.clear()
    phone.synchronize()
    end()
    ann.delete("todo", "a")
    ann.synchronize()
    phone.synchronize()
    assert told == []


def test_changes_are_told_once_a_list_in_pages_is_whole(server: Server) -> None:
    first = filled(server, 25)
    phone = server.device(page=10)
    told: list[Change] = []
    phone.on_change(told.extend)
    phone.synchronize()
    assert sorted(change.record for change in told) == sorted(server.rows())
    assert {change.type for change in told} == {"create"}
    told.clear()
    for number in range(20):
        first.update("todo", f"r{number:03}", {"x": -1})
    first.delete("todo", "r020")
    first.synchronize()
    phone.create("todo", {"id": "own"})
    phone.synchronize()
    assert sorted((change.record, change.type) for change in told) == [
        *((f"r{number:03}", "update") for number in range(20)),
        ("r020", "delete"),
    ]


def test_a_callback_that_fails_ends_nothing(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    ann, phone = server.device(), server.device()
    told: list[Change] = []

    def fail(_changes: Sequence[Change]) -> None:
        raise ValueError("of the callback")

    phone.on_change(fail)
    phone.on_change(told.extend)
    ann.create("todo", {"id": "a"})
    ann.synchronize()
    assert phone.synchronize().received == 1
    assert len(told) == 1
    assert "a callback of a replica failed" in caplog.text


def test_what_a_refusal_takes_back_is_told_as_a_change(memory: Storage) -> None:
    ann = Server(memory, Picky()).device()
    told: list[Change] = []
    ann.on_change(told.extend)
    ann.create("secret", {"id": "x"})
    ann.synchronize()
    assert told == [Change("delete", "secret", "x", None)]
