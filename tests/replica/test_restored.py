"""Servers that lost data, and replicas that were away for too long."""

from __future__ import annotations

import pytest

from mobync_core import ObjectExists, Storage
from mobync_core.replica import Change, ServerUnreachable
from tests.replica.devices import Server


class _Children:
    """Takes a child only after its parent, as a foreign key does."""

    def __init__(self) -> None:
        self.server: Server

    def validate_create(self, owner_id: str, **diff: str) -> bool:
        return diff["model"] != "child" or bool(self.server.rows("parent"))

    def validate_update(self, owner_id: str, **diff: str) -> bool:
        return True

    validate_delete = validate_update


def test_what_the_backup_lacks_comes_back_from_the_devices(server: Server) -> None:
    ann, phone, fresh = server.device(), server.device(skew=7), server.device()
    for record in "abcd":
        ann.create("todo", {"id": record, "x": 0, "y": 0})
    ann.synchronize()
    phone.synchronize()
    backup = server.copy()
    server.time += 100
    ann.update("todo", "a", {"x": "after"})
    ann.delete("todo", "b")
    ann.delete("todo", "c")
    ann.synchronize()
    ann.create("todo", {"id": "c", "x": "again"})
    ann.create("todo", {"id": "e", "x": "after"})
    ann.synchronize()
    phone.synchronize()
    phone.update("todo", "a", {"y": "after"})
    phone.synchronize()
    whole = server.rows()
    server.restore(backup)
    phone.update("todo", "d", {"x": "pending"})
    result = phone.synchronize()
    assert result.restored
    assert (result.refused, result.conflicts) == ([], [])
    ann.synchronize()
    phone.synchronize()
    fresh.synchronize()
    assert ann.rows() == phone.rows() == fresh.rows() == server.rows()
    assert server.rows() == {**whole, "d": {"x": "pending", "y": 0}}
    for device in (ann, phone):
        assert [report.kind for report in device.status().notices] == ["restored"]
        assert device.status().mode == "normal"
    assert fresh.status().notices == []


def test_a_restore_that_nobody_told_of_is_found_by_the_clock(server: Server) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "x": 0})
    ann.synchronize()
    backup = server.copy()
    ann.update("todo", "a", {"x": "after"})
    ann.delete("todo", ann.create("todo", {})["id"])
    ann.synchronize()
    server.restore(backup, renew=False)
    assert ann.synchronize().restored
    assert ann.rows() == server.rows() == {"a": {"x": "after"}}


def test_what_was_written_on_the_restored_server_stays(server: Server) -> None:
    ann, phone = server.device(), server.device()
    ann.create("todo", {"id": "a", "x": 0, "y": 0})
    ann.synchronize()
    backup = server.copy()
    server.time += 100
    ann.update("todo", "a", {"x": "lost", "y": "lost"})
    ann.synchronize()
    server.restore(backup)
    server.time += 100
    phone.synchronize()
    phone.update("todo", "a", {"x": "new"})
    phone.synchronize()
    ann.synchronize()
    phone.synchronize()
    assert ann.rows() == phone.rows() == server.rows() == {"a": {"x": "new", "y": "lost"}}


def test_an_empty_server_gets_all_back(server: Server) -> None:
    ann = server.device(batch=7, page=5)
    for number in range(30):
        ann.create("todo", {"id": f"r{number:02}", "x": number})
    ann.synchronize()
    for number in range(0, 30, 3):
        server.time += 1
        ann.update("todo", f"r{number:02}", {"y": number})
        ann.synchronize()
    before = ann.rows()
    server.storage.erase("ann")
    result = ann.synchronize()
    assert result.restored
    assert ann.rows() == server.rows() == before
    assert ann.status().pending == 0
    assert len(server.copy().changed) == 30


def test_a_restore_shows_the_user_no_change_where_nothing_was_lost(server: Server) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "x": 0})
    ann.synchronize()
    told: list[Change] = []
    ann.on_change(told.extend)
    server.mobync.restored()
    assert ann.synchronize().restored
    assert told == []
    assert ann.rows() == server.rows() == {"a": {"x": 0}}


@pytest.mark.parametrize(("passed", "wins"), [(20, "of the phone"), (80, "meanwhile")])
def test_a_pending_edit_that_had_not_seen_another_has_not_seen_it_in_an_offer(
    server: Server, passed: int, wins: str
) -> None:
    ann, phone = server.device(), server.device(skew=50)
    ann.create("todo", {"id": "a", "title": "Milk", "done": False})
    ann.synchronize()
    phone.synchronize()
    backup = server.copy()
    phone.update("todo", "a", {"title": "of the phone"})
    phone.synchronize()
    server.time += passed

    def meanwhile() -> None:
        ann.update("todo", "a", {"title": "meanwhile", "done": True})
        server.restore(backup)  # before that is sent

    ann.line.during = meanwhile
    result = ann.synchronize()
    assert result.restored
    assert ann.rows() == server.rows() == {"a": {"title": wins, "done": True}}
    assert len(result.conflicts) == (wins != "meanwhile")


def test_a_delete_is_not_undone_by_a_create_that_had_not_seen_it_in_an_offer(server: Server) -> None:
    ann, phone = server.device(), server.device()
    ann.create("todo", {"id": "other"})
    ann.synchronize()
    backup = server.copy()
    phone.create("todo", {"id": "a"})
    phone.synchronize()
    phone.delete("todo", "a")
    phone.synchronize()
    phone.create("todo", {"id": "a"})
    phone.synchronize()
    ann.line.during = lambda: ann.update("todo", "a", {"x": 1}) if ann.get("todo", "a") else None
    ann.synchronize()
    phone.delete("todo", "a")
    phone.synchronize()

    def meanwhile() -> None:
        ann.update("todo", "a", {"x": "meanwhile"})
        server.restore(backup)

    ann.line.during = meanwhile
    ann.synchronize()
    assert ann.rows() == server.rows() == {"other": {}}


def test_what_refers_to_what_is_offered_later_is_tried_again(memory: Storage) -> None:
    rules = _Children()
    server = rules.server = Server(memory, rules)
    ann = server.device(batch=1)
    ann.create("parent", {"id": "p"})
    ann.synchronize()
    ann.create("child", {"id": "c", "of": "p"})
    ann.synchronize()
    ann.update("child", "c", {"x": 1})
    memory.erase("ann")
    result = ann.synchronize()
    assert result.refused == []
    assert server.rows("child") == ann.rows("child") == {"c": {"of": "p", "x": 1}}


def test_what_is_refused_for_good_is_told_once(memory: Storage) -> None:
    rules = _Children()
    server = rules.server = Server(memory, rules)
    ann = server.device(batch=1)
    ann.create("parent", {"id": "p"})
    ann.synchronize()
    ann.create("child", {"id": "c", "of": "p"})
    ann.delete("parent", "p")
    ann.synchronize()
    memory.erase("ann")
    result = ann.synchronize()
    assert [(report.model, report.record, report.code) for report in result.refused] == [("child", "c", "unauthorized")]
    assert ann.models() == []


def test_a_server_that_is_restored_again_during_the_offer(server: Server) -> None:
    ann = server.device(batch=2, page=2)
    for record in "abcdef":
        ann.create("todo", {"id": record, "x": 0})
    ann.synchronize()
    backup = server.copy()
    server.time += 1
    for record in "abc":
        ann.update("todo", record, {"x": "lost"})
    ann.synchronize()
    server.restore(backup)
    ann.update("todo", "a", {"y": "pending"})
    ann.create("todo", {"id": "new"})
    left = 1

    def again(_progress: object) -> None:
        nonlocal left
        if left and not ann.line.requests[-1]["diffs"]:  # all was pushed, and the list is being read
            left = 0
            server.restore(backup)
            ann.create("todo", {"id": "newer"})

    ann.synchronize(progress=again)
    assert not left
    assert ann.rows() == server.rows()
    assert server.rows()["a"] == {"x": "lost", "y": "pending"}
    assert set(server.rows()) == {*"abcdef", "new", "newer"}


def test_deleted_records_do_not_come_back_after_a_long_absence(server: Server) -> None:
    ann, away = server.device(), server.device(page=3)
    for number in range(20):
        ann.create("note", {"id": f"n{number:02}", "text": "old"})
    ann.synchronize()
    away.synchronize()
    for number in range(15):
        ann.delete("note", f"n{number:02}")
    ann.update("note", "n15", {"text": "new"})
    ann.synchronize()
    server.time += 1000
    assert server.mobync.purge(server.time).tombstones == 15
    away.update("note", "n00", {"text": "of a deleted note"})
    away.update("note", "n16", {"text": "made away"})
    away.delete("note", "n17")
    away.create("note", {"id": "new", "text": "made away"})
    told: list[Change] = []
    away.on_change(told.extend)
    result = away.synchronize()
    assert result.resynced
    assert [(report.record, report.code) for report in result.refused] == [("n00", "no_such_object")]
    ann.synchronize()
    assert away.rows("note") == ann.rows("note") == server.rows("note")
    assert away.rows("note") == {
        "n15": {"text": "new"},
        "n16": {"text": "made away"},
        "n18": {"text": "old"},
        "n19": {"text": "old"},
        "new": {"text": "made away"},
    }
    assert sorted((change.type, change.record) for change in told) == [
        *(("delete", f"n{number:02}") for number in range(15)),
        ("update", "n00"),  # what was refused is taken back before the list is there
        ("update", "n15"),
    ]
    assert [report.kind for report in away.status().notices] == ["resynced"]
    away.create("note", {"id": "n00", "text": "anew"})
    with pytest.raises(ObjectExists):
        away.create("note", {"id": "n16"})
    away.synchronize()
    assert server.rows("note")["n00"] == {"text": "anew"}


def test_a_first_list_is_read_to_its_end_although_tombstones_were_purged(server: Server) -> None:
    ann = server.device()
    for number in range(20):
        ann.create("todo", {"id": f"r{number:02}"})
    ann.synchronize()
    ann.delete("todo", "r00")
    ann.synchronize()
    server.time += 1
    server.mobync.purge(server.time)
    fresh = server.device(page=3)
    result = fresh.synchronize()
    assert not result.resynced
    assert fresh.rows() == server.rows()


def test_a_purge_while_a_list_is_read_begins_it_anew(server: Server) -> None:
    ann = server.device()
    for number in range(12):
        ann.create("todo", {"id": f"r{number:02}"})
    ann.synchronize()
    fresh = server.device(page=3)

    def purge() -> None:
        ann.delete("todo", "r00")
        ann.synchronize()
        server.time += 1
        assert server.mobync.purge(server.time).tombstones == 1

    fresh.line.during = purge
    fresh.synchronize()
    assert fresh.rows() == server.rows()
    assert len(fresh.rows()) == 11


@pytest.mark.parametrize("at", [1, 2, 3, 4])
@pytest.mark.parametrize("lost", [True, False], ids=["clock lost", "clock kept"])
def test_who_was_away_for_too_long_offers_nothing_to_a_restored_server(server: Server, at: int, lost: bool) -> None:
    ann, away = server.device(), server.device(page=2)
    for record in "abcde":
        ann.create("todo", {"id": record, "x": 0})
    ann.synchronize()
    ann.delete("todo", "a")
    ann.synchronize()
    backup = server.copy()
    for record in "cd":
        ann.update("todo", record, {"y": 1})
        ann.synchronize()
    away.synchronize()
    ann.delete("todo", "b")
    ann.synchronize()
    server.time += 1
    server.mobync.purge(server.time)
    purged = server.copy()
    away.update("todo", "e", {"x": "away"})
    away.create("todo", {"id": "new"})

    def restore() -> None:
        if len(away.line.answers) == at:
            server.restore(backup if lost else purged)
        else:
            away.line.during = restore

    away.line.answers.clear()
    away.line.during = restore
    assert away.synchronize().resynced
    for device in (ann, away, ann, away):
        device.synchronize()
    assert ann.rows() == away.rows() == server.rows()
    assert server.rows() == {"c": {"x": 0, "y": 1}, "d": {"x": 0, "y": 1}, "e": {"x": "away"}, "new": {}}


def test_what_was_made_over_an_own_create_counts_with_it_in_an_offer(server: Server) -> None:
    ann, phone = server.device(), server.device(skew=50)
    ann.create("todo", {"id": "a", "x": 1})
    ann.synchronize()
    phone.synchronize()
    ann.delete("todo", "a")
    ann.synchronize()
    phone.synchronize()
    backup = server.copy()
    phone.create("todo", {"id": "a", "x": "phone"})
    phone.synchronize()
    phone.delete("todo", "a")
    phone.synchronize()
    phone.create("todo", {"id": "a", "x": "phone again"})
    phone.synchronize()
    ann.create("todo", {"id": "a", "y": "ann"})

    def meanwhile() -> None:
        server.time += 100
        ann.update("todo", "a", {"x": "ann"})
        server.restore(backup)

    ann.line.during = meanwhile
    assert ann.synchronize().restored
    phone.synchronize()
    ann.synchronize()
    assert ann.rows() == phone.rows() == server.rows()
    assert server.rows()["a"]["x"] == "ann"


@pytest.mark.parametrize("pages", [True, False])
def test_what_others_hold_of_a_record_that_came_and_went_here_does_not_come_back(server: Server, pages: bool) -> None:
    ann, phone = server.device(page=1 if pages else 1000), server.device()
    ann.synchronize()
    for record in "abc":
        phone.create("todo", {"id": record})
    phone.synchronize()
    if not pages:
        ann.synchronize()
    backup = server.copy()
    ann.create("todo", {"id": "new"})

    def hear_of_it(_progress: object = None) -> None:
        phone.synchronize()
        ann.line.lose_answer = True

    ann.line.during = None if pages else hear_of_it
    with pytest.raises(ServerUnreachable):
        ann.synchronize(progress=hear_of_it)
    assert "new" in phone.rows()
    ann.delete("todo", "new")
    server.restore(backup)
    ann.line.lose_answer = False
    for device in (ann, phone, ann):
        device.synchronize()
    assert ann.rows() == phone.rows() == server.rows() == {"a": {}, "b": {}, "c": {}}


@pytest.mark.parametrize("held", [False, True], ids=["told the record", "told what changed of it"])
def test_a_field_is_offered_with_its_own_stamp_and_not_with_that_of_another(server: Server, held: bool) -> None:
    ann, late, old = server.device(), server.device(skew=-40), server.device()
    ann.create("todo", {"id": "a", "z": 0})
    ann.synchronize()
    if held:
        old.synchronize()
    ann.update("todo", "a", {"x": "first"})
    server.time += 100
    ann.update("todo", "a", {"y": "later"})
    ann.synchronize()
    old.synchronize()  # is told both at once
    late.synchronize()
    backup = server.copy()
    late.update("todo", "a", {"x": "second"})
    late.synchronize()
    server.restore(backup)
    for device in (late, old, late):
        device.synchronize()
    assert late.rows() == old.rows() == server.rows() == {"a": {"x": "second", "y": "later", "z": 0}}
