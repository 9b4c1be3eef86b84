"""What cannot be taken is refused with a code that says why, and nothing else is lost by it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from mobync_core import InvalidClock, InvalidData, Limits, Mobync, Storage, SyncRequest, TooLarge

from .sent import diff, told


@pytest.fixture
def mobync(memory: Storage) -> Mobync:
    return Mobync(memory)


def outcome(answer: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in answer["outcomes"] if one["id"] == sent["id"])
    return found


BAD_DIFFS = {
    "a timestamp beyond 2^53": ("invalid_data", {"utc_timestamp": 2**53}),
    "a negative timestamp": ("invalid_data", {"utc_timestamp": -1}),
    "a timestamp that is text": ("invalid_data", {"utc_timestamp": "1000"}),
    "an unknown type": ("invalid_data", {"type": "upsert"}),
    "a model that is SQL": ("invalid_data", {"model": "todo; drop table todo"}),
    "a model too long": ("invalid_data", {"model": "m" * 256}),
    "an empty model": ("invalid_data", {"model": ""}),
    "a model that is no text": ("invalid_data", {"model": 7}),
    "a diff id too long": ("invalid_data", {"id": "i" * 256}),
    "a record id too long": ("invalid_data", {"json_data": f'{{"id": "{"ü" * 128}"}}'}),
    "a record id with NUL": ("invalid_data", {"json_data": '{"id": "a\\u0000b"}'}),
    "a record id that is a number": ("invalid_data", {"json_data": '{"id": 7}'}),
    "no record id": ("invalid_data", {"json_data": '{"title": "milk"}'}),
    "json_data that is no JSON": ("invalid_data", {"json_data": "{"}),
    "json_data that is a list": ("invalid_data", {"json_data": "[]"}),
    "json_data that is an object": ("invalid_data", {"json_data": {"id": "bad"}}),
    "NaN": ("invalid_data", {"json_data": '{"id": "bad", "n": NaN}'}),
    "1e400": ("invalid_data", {"json_data": '{"id": "bad", "n": 1e400}'}),
    "an integer beyond 64 bit": ("invalid_data", {"json_data": '{"id": "bad", "n": 9223372036854775808}'}),
    "400 digits": ("invalid_data", {"json_data": '{"id": "bad", "n": ' + "1" * 400 + "}"}),
    "5000 digits": ("invalid_data", {"json_data": '{"id": "bad", "n": ' + "1" * 5000 + "}"}),
    "a lone surrogate": ("invalid_data", {"json_data": '{"id": "bad", "n": "\\ud800"}'}),
    "a lone surrogate unescaped": ("invalid_data", {"json_data": '{"id": "bad", "n": "\ud800"}'}),
    "a field name that is SQL": ("invalid_data", {"json_data": '{"id": "bad", "a = 1; --": 1}'}),
    "an empty field name": ("invalid_data", {"json_data": '{"id": "bad", "": 1}'}),
    "nesting too deep": ("invalid_data", {"json_data": '{"id": "bad", "n": ' + "[" * 33 + "]" * 33 + "}"}),
    "nesting far too deep": ("invalid_data", {"json_data": '{"id": "bad", "n": ' + "[" * 9999 + "]" * 9999 + "}"}),
    "json_data over its limit": ("too_large", {"json_data": f'{{"id": "bad", "n": "{"x" * 2**20}"}}'}),
    "an update without fields": ("malformed_update", {"type": "update", "json_data": '{"id": "bad"}'}),
    "an update to null": ("malformed_update", {"type": "update", "json_data": '{"id": "bad", "title": null}'}),
    "an update without an id": ("malformed_update_uuid", {"type": "update", "json_data": '{"title": "milk"}'}),
    "an update of what is not there": ("no_such_object", {"type": "update"}),
}


@pytest.mark.parametrize(("code", "wrong"), BAD_DIFFS.values(), ids=BAD_DIFFS.keys())
def test_a_bad_diff_is_refused_alone(mobync: Mobync, code: str, wrong: dict[str, Any]) -> None:
    good, bad = diff("create", "good", title="milk"), diff("create", "bad", title="eggs") | wrong
    later = diff("create", "later", title="tea")

    answer = mobync.apply(0, [good, bad, later], "ann", explain=True)

    assert [one["result"] for one in answer["outcomes"]] == ["applied", "refused", "applied"]
    assert answer["outcomes"][1]["code"] == code
    assert answer["outcomes"][1]["reason"]
    assert {record["id"] for record in mobync.records("ann", "todo")} == {"good", "later"}
    assert all(one["json_data"] and one["model"] for one in answer["diffs"])


@pytest.mark.parametrize("bad", [None, 7, "x", [], {}, {"id": 5}, {"id": "\ud800", "model": "\ud800"}])
def test_what_is_no_diff_at_all_is_refused_alone(mobync: Mobync, bad: Any) -> None:
    answer = mobync.apply(0, [bad, diff("create", "good", title="milk")], "ann", explain=True)

    assert [one["result"] for one in answer["outcomes"]] == ["refused", "applied"]
    assert answer["outcomes"][0]["code"] == "invalid_data"
    assert answer["success"] is True


def test_the_device_is_put_right_about_a_record_whose_diff_was_refused(mobync: Mobync) -> None:
    mobync.apply(0, [diff("create", "a", title="milk")], "ann")

    answer = mobync.apply(1, [diff("update", "a", title=None), diff("create", "b", n=2**70)], "ann")

    assert told(answer) == [
        ("delete", {"id": "a"}),
        ("create", {"id": "a", "title": "milk"}),
        ("delete", {"id": "b"}),
    ]


def test_an_id_used_twice_in_a_request_is_refused_the_second_time(mobync: Mobync) -> None:
    first = diff("create", "a", title="milk")
    answer = mobync.apply(0, [first, diff("create", "b", title="eggs") | {"id": first["id"]}], "ann", explain=True)

    assert [one["result"] for one in answer["outcomes"]] == ["applied", "refused"]


def test_null_in_updates_can_be_allowed(memory: Storage) -> None:
    mobync = Mobync(memory, limits=Limits(null_in_updates=True))
    mobync.apply(0, [diff("create", "a", due="friday")], "ann")
    mobync.apply(1, [diff("update", "a", due=None)], "ann")

    assert mobync.get("ann", "todo", "a") == {"id": "a", "due": None}


def test_a_record_that_grows_over_its_limit_refuses_only_its_own_diffs(memory: Storage) -> None:
    mobync = Mobync(memory, limits=Limits(record_bytes=2000))
    mobync.apply(0, [diff("create", "a", x="x" * 1000)], "ann")

    answer = mobync.apply(
        1, [diff("update", "a", y="y" * 1000), diff("create", "b", title="eggs")], "ann", explain=True
    )

    assert [(one["result"], one["code"]) for one in map(_filled, answer["outcomes"])] == [
        ("refused", "too_large"),
        ("applied", ""),
    ]
    assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "x" * 1000}


def _filled(one: dict[str, Any]) -> dict[str, Any]:
    return {"code": ""} | one


@pytest.mark.parametrize("clock", [-1, "-1", "x", "", "1.5", 1.5, None, True, 2**53, "9" * 400, "٣"])
def test_a_base_that_is_no_clock_refuses_the_request(mobync: Mobync, clock: Any) -> None:
    with pytest.raises(InvalidData):
        mobync.apply(clock, [diff("create", "a", title="milk")], "ann")
    assert mobync.get("ann", "todo", "a") is None


def test_a_base_may_be_a_numeric_string(mobync: Mobync) -> None:
    mobync.apply("0", [diff("create", "a", title="milk")], "ann")

    assert mobync.apply("1", [], "ann") == {"success": True, "message": "", "logical_clock": 1, "diffs": []}


@pytest.mark.parametrize("diffs", [None, "x", 7, {"id": "d"}])
def test_diffs_that_are_no_list_refuse_the_request(mobync: Mobync, diffs: Any) -> None:
    with pytest.raises(InvalidData, match="diffs must be a list"):
        mobync.apply(0, diffs, "ann")


@pytest.mark.parametrize("owner", ["", "o" * 256, "a\0b", "\ud800", None, 7])
def test_an_owner_that_no_storage_could_index_is_refused(mobync: Mobync, owner: Any) -> None:
    with pytest.raises(InvalidData, match="the owner"):
        mobync.apply(0, [], owner)


def test_a_typed_request_is_checked_like_one_from_the_wire(mobync: Mobync) -> None:
    for wrong in (SyncRequest(logical_clock=-1), SyncRequest(logical_clock=0, limit=0)):
        with pytest.raises(InvalidData):
            mobync.sync("ann", wrong)


def test_a_base_ahead_of_the_server_changes_nothing(mobync: Mobync) -> None:
    with pytest.raises(InvalidClock, match="ahead"):
        mobync.apply(5, [diff("create", "a", title="milk")], "ann")
    assert mobync.get("ann", "todo", "a") is None


def test_another_epoch_changes_nothing(mobync: Mobync) -> None:
    epoch = mobync.apply(0, [diff("create", "a", title="milk")], "ann", epoch=None)["epoch"]

    assert mobync.apply(1, [], "ann", epoch=epoch)["epoch"] == epoch
    with pytest.raises(InvalidClock, match="restored"):
        mobync.apply(1, [diff("delete", "a")], "ann", epoch="another")
    assert mobync.get("ann", "todo", "a") is not None


def test_too_many_diffs_refuse_the_request(memory: Storage) -> None:
    with pytest.raises(TooLarge, match="2 diffs, more than 1"):
        Mobync(memory, limits=Limits(diffs=1)).apply(0, [diff("create", "a", x=1), diff("create", "b", x=1)], "ann")


class OnlyMilk:
    """Refuses to buy anything but milk, and to delete at all; lets nobody else be spoken for."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        assert owner_id == diff["owner"]
        return "milk" in diff["json_data"]

    def validate_update(self, owner_id: str, **diff: Any) -> bool:
        assert diff["type"] == "update"
        return "milk" in diff["json_data"]

    def validate_delete(self, owner_id: str, **diff: Any) -> bool:
        return False


def test_a_rule_refuses_one_diff_and_puts_the_device_right(memory: Storage) -> None:
    mobync = Mobync(memory, rules=OnlyMilk())
    sent = [diff("create", "a", title="milk"), diff("create", "b", title="beer"), diff("delete", "a")]

    answer = mobync.apply(0, sent, "ann", explain=True)

    assert [(one["result"], one.get("code")) for one in answer["outcomes"]] == [
        ("applied", None),
        ("refused", "unauthorized"),
        ("refused", "unauthorized"),
    ]
    assert sorted(told(answer), key=str) == [
        ("create", {"id": "a", "title": "milk"}),
        ("delete", {"id": "a"}),
        ("delete", {"id": "b"}),
    ]


class BrokenRule(OnlyMilk):
    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        raise ZeroDivisionError


def test_a_rule_that_raises_refuses_the_request_and_changes_nothing(memory: Storage) -> None:
    mobync = Mobync(memory, rules=BrokenRule())

    with pytest.raises(ZeroDivisionError):
        mobync.apply(0, [diff("create", "a", title="milk")], "ann")
    assert memory.load("ann", since=0).clock == 0


def test_values_come_back_exactly(mobync: Mobync) -> None:
    fields: dict[str, Any] = {
        "null": None,
        "yes": True,
        "least": -(2**63),
        "most": 2**63 - 1,
        "float": 0.1 + 0.2,
        "zero": -0.0,
        "nul": "\0",
        "text": "Füße 東京 🚲 e\u0301",
        "mongo": {"$set": {"a.b": 1}, "": []},
        "deep": [[[[[{}]]]]],
    }
    mobync.apply(0, [diff("create", "a", **fields)], "ann")

    held = mobync.get("ann", "todo", "a")
    assert held == {"id": "a", **fields}
    assert math.copysign(1, held["zero"]) == -1
    assert told(mobync.apply(0, [], "ann")) == [("create", {"id": "a", **fields})]


class AsyncRules(OnlyMilk):
    async def validate_create(self, owner_id: str, **diff: Any) -> bool:  # type: ignore[override]
        return False


class WordyRules(OnlyMilk):
    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        return "no, not allowed"  # type: ignore[return-value]


def test_rules_that_could_not_refuse_are_refused(memory: Storage) -> None:
    for wrong in (AsyncRules(), OnlyMilk, object()):
        with pytest.raises(TypeError, match="validate_create"):
            Mobync(memory, rules=wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must return True or False, not a str"):
        Mobync(memory, rules=WordyRules()).apply(0, [diff("create", "a", title="milk")], "ann")
    assert memory.load("ann", since=0).clock == 0


@pytest.mark.parametrize("wrong", [None, 7, b"sqlite://", object()])
def test_what_is_no_storage_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="storage must be a URL"):
        Mobync(wrong)
