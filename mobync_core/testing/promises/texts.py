"""Every text comes back as it was, and every value of JSON through a sync."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mobync_core.engine import Mobync
from mobync_core.errors import StorageError
from mobync_core.limits import Limits
from mobync_core.storage import Commit, Note, Storage
from mobync_core.testing.examples import EPOCH, changed, everything, put, record, refused

BODIES = {
    "empty object": "{}",
    "spaces kept": '{ "b" :1,\n\t"a": 2 }',
    "numbers kept": '{"n": [1.0, 1.50, 1e400, -0, 9007199254740993, 123456789012345678901234567890, 0.1]}',
    "a bare number": "9007199254740993",
    "keys twice": '{"a": 1, "a": 2}',
    "NUL as an escape": '{"a": "\\u0000"}',
    "surrogates as escapes": '{"a": "\\ud83d\\ude00 \\ud800"}',
    "operators": '{"$set": {"a.b": 1}, "": {"": 0}, ".": "$where", "__proto__": 1}',
    "emoji": '{"a": "😀\u200d👩"}',
    "quotes and backslashes": json.dumps({"a'\"\\": "%s :x ?"}),
    "lines and spaces at the ends": ' "\r\n\u2028\u2029" \t\n',
    "deep": "[" * 500 + "]" * 500,
    "not JSON": "a 'text' that no storage need understand {",
    "no text": "",
    "one mebibyte": json.dumps("x" * (2**20 - 2)),
    "one mebibyte of emoji": json.dumps("😀" * (2**18 - 1), ensure_ascii=False),
    "one mebibyte of quotes": json.dumps('"' * (2**19 - 1)),
}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth // 2):
        value = {"a": [value]}
    return value


VALUES: dict[str, Any] = {
    "null": None,
    "true and false": [True, False, 0, 1],
    "the greatest integers": [2**63 - 1, -(2**63), 2**53 + 1, -(2**53) - 1],
    "floats": [0.1, 1e308, 5e-324, -0.0, 1.0, 1e21, 123456789.125],
    "NUL": "a\0b",
    "operators": {"$set": {"a.b": 1}, "$where": 0, "a.b": 2},
    "empty keys": {"": {"": ""}},
    "texts": ["", " a ", "á", "a\u0301", "😀", "\u2028", "'\"\\", "\uffff"],
    "empty lists": [[], {}, [[]], [{}]],
    "order of keys": {"b": 1, "a": 2, "10": 3, "9": 4},
    "deep nesting": _nested(32),
    "almost one mebibyte": "x" * (2**20 - 2000),
}


class Texts:
    """Data comes back exactly."""

    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_a_body_comes_back_as_it_was(self, storage: Storage, owner: str, body: str) -> None:
        records = [record("a", 0, body), record("b", 1, body, deleted=True)]
        put(storage, owner, *records, notes=[Note("history", "1", body)])
        held = storage.load(owner, since=0, keys=[("task", "b")])
        assert [found.body for found in held.changed] == [body, body]
        assert [found.body for found in held.named] == [body]
        assert [note.body for note in storage.notes(owner, "history")] == [body]

    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
    def test_a_value_comes_back_through_a_sync_as_it_was(self, storage: Storage, owner: str, value: Any) -> None:
        mobync = Mobync(storage, setup=False, limits=Limits(null_in_updates=True))
        diff = {
            "id": "d1",
            "owner": "",
            "logical_clock": 0,
            "utc_timestamp": 1_700_000_000_000,
            "type": "create",
            "model": "task",
            "json_data": json.dumps({"id": "a", "value": value}),
        }
        sent = mobync.apply(0, [diff], owner, explain=True)
        assert [outcome["result"] for outcome in sent["outcomes"]] == ["applied"], sent
        told = json.loads(mobync.apply(0, [], owner)["diffs"][0]["json_data"])
        assert repr(told) == repr({"id": "a", "value": value})

    def test_many_large_bodies_go_in_one_commit(self, storage: Storage, owner: str) -> None:
        records = [record(f"r{i}", i, json.dumps("x" * 2**20)) for i in range(16)]
        put(storage, owner, *records)
        assert changed(storage, owner) == records

    @pytest.mark.parametrize("where", ["owner", "model", "id", "body", "note"])
    def test_what_utf_8_cannot_hold_is_refused_and_leaves_no_trace(
        self, storage: Storage, owner: str, prefix: str, where: str
    ) -> None:
        put(storage, owner, record("a", 0))
        before = everything(storage, owner)
        text = dict.fromkeys(("model", "id", "body", "note"), "b") | {where: "\udc80"}
        commit = Commit(
            expected=0 if where == "owner" else 1,
            clock=3,
            epoch=EPOCH,
            put=[record(text["id"], 2, text["body"], model=text["model"])],
            notes=[Note("history", "1", text["note"])],
        )
        with refused("a commit of a lone surrogate, which UTF-8 cannot hold,", StorageError):
            storage.commit(prefix + "\udc80" if where == "owner" else owner, commit)
        assert everything(storage, owner) == before
        assert list(storage.owners(prefix=prefix)) == [owner]
