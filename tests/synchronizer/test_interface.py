"""What a class written for the original library may rely on, and what it is told if it is not one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mobync_core import Diff, Mobync, OperationType, ReadFilter, SchemaError, Synchronizer
from tests.core.sent import diff, told

from .application import Application

Rows = list[dict[str, Any]]


def row(**changed: Any) -> dict[str, Any]:
    return {**diff("create", "a"), "owner": "ann", **changed}


class Text(str):
    """As SQLAlchemy's names of columns are."""


class Answering(Application):
    """Returns rows in a form of its own."""

    def __init__(self, form: Callable[[Rows], Any]) -> None:
        super().__init__("todo")
        self.form = form

    def read(self, where: str, filters: list[ReadFilter]) -> Any:
        return self.form(json.loads(super().read(where, filters)))


@pytest.mark.parametrize(
    "form",
    [
        json.dumps,
        lambda rows: json.dumps(rows).encode(),
        lambda rows: rows,
        tuple,
        iter,
        lambda rows: [row | {"type": OperationType[row["type"]]} if "owner" in row else row for row in rows],
        lambda rows: [
            {Text(name): Text(value) if name == "model" else value for name, value in row.items()} for row in rows
        ],
        lambda rows: [row | {"made_by_the_database": 7} for row in rows],
    ],
    ids=["text", "bytes", "list", "tuple", "iterator", "enum", "derived from str", "further columns"],
)
def test_rows_may_be_json_or_dicts(form: Callable[[Rows], Any]) -> None:
    mobync = Mobync(Answering(form))
    mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")

    mobync.apply(1, [diff("update", "a", 2000, x=2)], "ann")

    assert told(mobync.apply(0, [], "ann"))[-1] == ("update", {"id": "a", "x": 2})


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (None, TypeError, r"Answering\.read\('diffs'\) must return rows: .* not a NoneType"),
        ({}, TypeError, "not a dict"),
        (["{}"], TypeError, "rows that are dicts"),
        ("no JSON", SchemaError, "no JSON that can be read"),
        ([{"id": "1"}], SchemaError, "missing required field `owner`.*It needs id, owner"),
        ([row(logical_clock="7")], SchemaError, r"Expected `int`, got `str` - at `\$.logical_clock`"),
        ([row(utc_timestamp=1.5)], SchemaError, r"`\$.utc_timestamp`"),
        ([row(type=0)], SchemaError, r"`\$.type`"),
        ([row(json_data={"id": "a"})], SchemaError, r"`\$.json_data`"),
    ],
)
def test_what_is_no_row_is_named(answer: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Mobync(Answering(lambda _: answer)).apply(0, [], "ann")


def test_the_table_of_diffs_may_have_another_name() -> None:
    application = Application("todo")
    application.tables["history"] = application.tables.pop("diffs")

    Mobync(application, "history").apply(0, [diff("create", "a")], "ann")

    assert len(application.rows("history")) == 1


def test_the_callers_diffs_get_the_clocks_of_the_log() -> None:
    mobync = Mobync(Application("todo"))
    mobync.apply(0, [diff("create", "a")], "ann")
    pushed = [diff("create", "b", 1000), diff("update", "b", 2000, x=1), diff("create", "c", 3000)]

    mobync.apply(1, pushed, "ann")

    assert [one["logical_clock"] for one in pushed] == [1, 1, 2]
    assert pushed[0]["owner"] == "asdf"


def test_answered_diffs_are_those_of_the_log_as_they_came() -> None:
    mobync = Mobync(Application("todo"))
    create = diff("create", "a", 1000, y="é", x=1)
    update = diff("update", "a", 2000, x=2)
    mobync.apply(0, [create], "ann")
    mobync.apply(1, [update], "ann")

    answer = mobync.apply(0, [], "ann")

    assert answer["diffs"] == [create | {"owner": "ann"}, update | {"owner": "ann"}]


def test_who_is_offline_for_long_is_told_no_diff_that_was_overtaken() -> None:
    mobync = Mobync(Application("todo"))
    kept = diff("update", "a", 3000, x=3)
    for base, one in enumerate([diff("create", "a", x=1), diff("update", "a", 2000, x=2), kept]):
        mobync.apply(base, [one], "ann")

    assert [one["id"] for one in mobync.apply(1, [], "ann")["diffs"]] == [kept["id"]]


def test_a_pull_moves_no_clock_and_writes_nothing() -> None:
    application = Application("todo")
    mobync = Mobync(application)
    mobync.apply(0, [diff("create", "a")], "ann")
    writes = application.writes

    assert mobync.apply(1, [], "ann") == {"success": True, "message": "", "logical_clock": 1, "diffs": []}
    assert application.writes == writes


def test_a_rule_that_says_no_refuses_one_diff_and_puts_the_device_right() -> None:
    class Strict(Application):
        def validate_update(self, owner_id: str, **kwargs: Any) -> bool:
            assert kwargs["owner"] == owner_id == "ann"
            return "forbidden" not in kwargs["json_data"]

    application = Strict("todo")
    mobync = Mobync(application)
    mobync.apply(0, [diff("create", "a", x=1)], "ann")

    answer = mobync.apply(1, [diff("update", "a", 2000, x="forbidden"), diff("create", "b")], "ann", explain=True)

    assert [one["result"] for one in answer["outcomes"]] == ["refused", "applied"]
    assert told(answer) == [("delete", {"id": "a"}), ("create", {"id": "a", "x": 1})]
    assert [row["id"] for row in application.rows("todo")] == ["a", "b"]


def test_a_rule_may_answer_with_what_counts_as_true() -> None:
    class Loose(Application):
        def validate_create(self, owner_id: str, **kwargs: Any) -> Any:
            return kwargs["id"] if "x" in kwargs["json_data"] else None

    application = Loose("todo")

    Mobync(application).apply(0, [diff("create", "a", x=1), diff("create", "b")], "ann")

    assert [row["id"] for row in application.rows("todo")] == ["a"]


@pytest.mark.filterwarnings("ignore:coroutine")
def test_a_rule_that_would_have_to_be_awaited_is_no_yes() -> None:
    class Awaited(Application):
        async def validate_create(self, owner_id: str, **kwargs: Any) -> Any:  # type: ignore[override]
            return False

    with pytest.raises(TypeError, match="must return True or False"):
        Mobync(Awaited("todo")).apply(0, [diff("create", "a")], "ann")


def test_the_application_writes_as_one_more_device() -> None:
    application = Application("todo")
    mobync = Mobync(application)
    milk = mobync.create("ann", "todo", {"title": "Milk"})
    mobync.update("ann", "todo", milk["id"], {"title": "Oat milk"})

    answer = mobync.apply(0, [], "ann")

    assert application.rows("todo") == [{"id": milk["id"], "title": "Oat milk"}]
    assert told(answer) == [
        ("create", {"id": milk["id"], "title": "Milk"}),
        ("update", {"id": milk["id"], "title": "Oat milk"}),
    ]
    assert mobync.get("ann", "todo", milk["id"]) == {"id": milk["id"], "title": "Oat milk"}
    mobync.delete("ann", "todo", milk["id"])
    assert application.rows("todo") == []
    assert list(mobync.records("ann", "todo")) == []


def test_pages_and_an_epoch_are_told_to_who_asks() -> None:
    mobync = Mobync(Application("todo"))
    first = mobync.apply(0, [diff("create", "a"), diff("create", "b")], "ann", epoch=None)

    page = mobync.apply(0, [], "ann", limit=1, epoch=first["epoch"])

    assert page["has_more"]
    assert page["epoch"] == first["epoch"]
    assert told(page) == [("create", {"id": "a"})]


def test_what_only_looks_like_a_synchronizer_is_none() -> None:
    class Like:
        def read(self, where: str, filters: list[ReadFilter]) -> str:
            return "[]"

    with pytest.raises(TypeError, match=r"derived from mobync_core.Synchronizer, not a Like"):
        Mobync(Like())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not the class Application itself"):
        Mobync(Application)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="has its own rules"):
        Mobync(Application(), rules=Application())
    with pytest.raises(TypeError, match="abstract"):
        Synchronizer()  # type: ignore[abstract]


def test_a_diff_is_validated_as_by_the_original() -> None:
    whole = diff("create", "a")

    assert Diff.validate(whole)
    assert Diff.validate(json.dumps(whole))
    assert [Diff.ID, Diff.LOGICAL_CLOCK, Diff.UTC_TIMESTAMP] == ["id", "logical_clock", "utc_timestamp"]
    for name in (Diff.ID, Diff.OWNER, Diff.TYPE, Diff.MODEL, Diff.JSON_DATA):
        assert not Diff.validate(whole | {name: ""})
    for name in (Diff.LOGICAL_CLOCK, Diff.UTC_TIMESTAMP):
        assert not Diff.validate(whole | {name: -1})
        assert not Diff.validate({key: value for key, value in whole.items() if key != name})
    assert not Diff.validate("no JSON")
    assert OperationType.validate("update")
    assert not OperationType.validate(OperationType.update)
