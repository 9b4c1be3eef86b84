"""Syncs of replicas with an engine: what goes up, what comes down, and what is told of it."""

from __future__ import annotations

import json

import pytest

from mobync_core import Storage
from mobync_core.replica import (
    ServerUnreachable,
)
from tests.replica.devices import START, Picky, Server


def test_two_devices_and_the_server_come_to_the_same(server: Server) -> None:
    ann, phone = server.device(), server.device()
    ann.create("todo", {"id": "a", "title": "Milk", "done": False})
    ann.create("todo", {"id": "b", "title": "Bread"})
    assert ann.synchronize().pushed == 2
    assert phone.synchronize().received == 2
    phone.update("todo", "a", {"done": True})
    phone.delete("todo", "b")
    ann.update("todo", "a", {"title": "Oat milk"})
    ann.synchronize()
    phone.synchronize()
    ann.synchronize()
    assert ann.rows() == phone.rows() == server.rows() == {"a": {"title": "Oat milk", "done": True}}
    assert ann.status().pending == 0
    assert ann.status().last_sync == START


def test_a_sync_with_nothing_new_is_one_request(server: Server) -> None:
    ann = server.device()
    ann.synchronize()
    result = ann.synchronize()
    assert (result.requests, result.pushed, result.received) == (1, 0, 0)


def test_an_edit_is_not_undone_by_one_that_it_was_made_over(server: Server) -> None:
    ann, slow = server.device(), server.device(skew=-1_000_000)
    ann.create("todo", {"id": "a", "title": "Milk"})
    ann.synchronize()
    slow.synchronize()
    slow.update("todo", "a", {"title": "Bread"})
    slow.synchronize()
    ann.synchronize()
    assert ann.rows() == slow.rows() == {"a": {"title": "Bread"}}


def test_a_lost_answer_leaves_all_pending_and_doubles_nothing(server: Server) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "count": 1})
    ann.line.lose_answer = True
    with pytest.raises(ServerUnreachable, match="the answer was lost"):
        ann.synchronize()
    assert ann.status().pending == 1
    assert ann.status().last_error == "the answer was lost"
    ann.line.lose_answer = False
    ann.update("todo", "a", {"count": 2})
    ann.synchronize()
    assert server.rows() == ann.rows() == {"a": {"count": 2}}
    assert ann.status().last_error is None
    assert [diff["id"] for diff in ann.line.requests[0]["diffs"]] == [ann.line.requests[1]["diffs"][0]["id"]]


def test_what_is_refused_is_told_and_taken_back(memory: Storage) -> None:
    server = Server(memory, Picky())
    ann = server.device()
    ann.create("todo", {"id": "a", "title": "Milk"})
    ann.create("secret", {"id": "x"})
    ann.update("todo", "a", {"title": "bad"})
    result = ann.synchronize()
    assert [(report.model, report.record, report.diff_type, report.code) for report in result.refused] == [
        ("secret", "x", "create", "unauthorized"),
        ("todo", "a", "update", "unauthorized"),
    ]
    assert result.refused[1].fields == {"title": "bad"}
    assert "does not allow this update" in result.refused[1].reason
    assert ann.rows() == server.rows() == {"a": {"title": "Milk"}}
    assert ann.models() == ["todo"]
    assert ann.status().refused == result.refused
    ann.delete("todo", "a")
    ann.synchronize()
    assert ann.rows() == {"a": {"title": "Milk"}}
    assert len(ann.status().refused) == 3
    ann.dismiss()
    assert ann.status().refused == []


@pytest.mark.parametrize("meanwhile", [False, True])
def test_a_create_after_a_delete_that_is_refused_is_an_edit(memory: Storage, meanwhile: bool) -> None:
    server = Server(memory, Picky())
    ann = server.device()
    ann.create("todo", {"id": "a", "x": 1, "y": 2})
    ann.synchronize()
    ann.delete("todo", "a")

    def create() -> None:
        ann.create("todo", {"id": "a", "x": 3})

    if meanwhile:
        ann.line.during = create
    else:
        create()
    assert len(ann.synchronize().refused) == 1
    assert ann.rows() == server.rows() == {"a": {"x": 3, "y": 2}}


def test_what_lost_is_told(server: Server) -> None:
    ann, phone = server.device(), server.device(skew=10)
    ann.create("todo", {"id": "a", "title": "Milk", "done": False})
    ann.create("todo", {"id": "b"})
    ann.synchronize()
    phone.synchronize()
    phone.update("todo", "a", {"title": "Bread"})
    phone.delete("todo", "b")
    phone.synchronize()
    ann.update("todo", "a", {"title": "Tea", "done": True})
    ann.update("todo", "b", {"title": "gone"})
    result = ann.synchronize()
    assert ann.rows() == server.rows() == {"a": {"title": "Bread", "done": True}}
    merged, dropped = result.conflicts
    assert [(lost.field, lost.value, lost.kept) for lost in merged.lost] == [("title", "Tea", "Bread")]
    assert (dropped.record, dropped.fields) == ("b", {"title": "gone"})
    assert "was deleted by" in dropped.reason
    assert ann.status().conflicts == [merged, dropped]
    assert result.refused == []


def test_only_the_newest_thousand_reports_are_kept(memory: Storage) -> None:
    ann = Server(memory, Picky()).device()
    for number in range(1100):
        ann.create("secret", {"id": f"{number:04}"})
    assert len(ann.synchronize().refused) == 1100
    kept = [report.record for report in ann.status().refused]
    assert kept == [f"{number:04}" for number in range(100, 1100)]


def test_an_edit_made_meanwhile_is_kept_and_sent_next(server: Server) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "title": "Milk"})

    def edit() -> None:
        ann.update("todo", "a", {"title": "Bread"})
        ann.create("todo", {"id": "b"})

    ann.line.during = edit
    assert ann.synchronize().pushed == 3
    assert ann.rows() == server.rows() == {"a": {"title": "Bread"}, "b": {}}
    assert ann.status().pending == 0


@pytest.mark.parametrize(("passed", "wins"), [(20, "of the phone"), (80, "meanwhile")])
def test_an_edit_made_meanwhile_has_not_seen_what_the_answer_tells(server: Server, passed: int, wins: str) -> None:
    ann, phone = server.device(), server.device(skew=50)
    ann.create("todo", {"id": "a", "title": "Milk"})
    ann.synchronize()
    phone.synchronize()
    phone.update("todo", "a", {"title": "of the phone"})
    phone.synchronize()
    server.time += passed
    ann.line.during = lambda: ann.update("todo", "a", {"title": "meanwhile"})
    ann.synchronize()
    phone.synchronize()
    assert ann.rows() == phone.rows() == {"a": {"title": wins}}


def test_an_edit_made_meanwhile_has_seen_what_was_under_way(server: Server) -> None:
    ann = server.device(skew=1000)
    ann.create("todo", {"id": "a", "title": "Milk"})

    def edit() -> None:
        server.time -= 5000  # the device's clock goes back
        ann.update("todo", "a", {"title": "Bread"})

    ann.line.during = edit
    ann.synchronize()
    assert ann.rows() == server.rows() == {"a": {"title": "Bread"}}
    assert ann.status().conflicts == []


def test_an_update_made_meanwhile_of_a_record_that_a_delete_took_is_dropped(server: Server) -> None:
    ann, phone = server.device(), server.device()
    ann.create("todo", {"id": "a"})
    ann.synchronize()
    phone.synchronize()
    phone.delete("todo", "a")
    phone.create("todo", {"id": "a", "of": "the next life"})
    phone.synchronize()
    ann.line.during = lambda: ann.update("todo", "a", {"of": "the first life"})
    ann.synchronize()
    assert ann.rows() == server.rows() == {"a": {"of": "the next life"}}
    assert len(ann.status().conflicts) == 1


def test_an_update_that_is_sent_after_its_create_became_an_edit_of_a_later_life(server: Server) -> None:
    ann, phone = server.device(batch=1), server.device(batch=1)
    ann.create("todo", {"id": "a", "x": 1})
    ann.delete("todo", "a")
    ann.synchronize()
    phone.synchronize()
    ann.create("todo", {"id": "a", "x": 2})
    server.time += 1
    phone.create("todo", {"id": "a", "x": 3})
    phone.delete("todo", "a")
    phone.create("todo", {"id": "a", "x": 4})
    server.time += 1
    ann.update("todo", "a", {"x": 5})
    phone.synchronize()
    ann.synchronize()
    phone.synchronize()
    assert ann.rows() == phone.rows() == server.rows() == {"a": {"x": 5}}


def test_edits_that_keep_coming_do_not_keep_a_sync_for_ever(server: Server) -> None:
    ann = server.device()

    def edit() -> None:
        ann.create("todo", {})
        ann.line.during = edit

    ann.line.during = edit
    result = ann.synchronize()
    assert 5 < result.requests < 20
    assert ann.status().pending == 1
    ann.line.during = None
    ann.synchronize()
    assert ann.rows() == server.rows()


def test_values_come_back_as_they_were(server: Server) -> None:
    ann, phone = server.device(), server.device()
    fields = {"a": 1.0, "b": 2**63 - 1, "c": [True, None, {"x": "ü\u2028"}], "d": "", "e": -0.5, "f": {}, "g": 1e300}
    ann.create("todo", {"id": "ü/ö", **fields})
    ann.synchronize()
    phone.synchronize()
    got = phone.get("todo", "ü/ö")
    assert got == {"id": "ü/ö", **fields}
    assert json.dumps(got) == json.dumps(ann.get("todo", "ü/ö"))
