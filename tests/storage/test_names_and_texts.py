"""Names are told apart by their bytes, and every text comes back as it was."""

from __future__ import annotations

import json

import pytest

from mobync_core import Commit, Note, Storage, StorageError
from tests.storage.examples import everything, named, put, record

NAMES = [
    "a",
    "A",
    "á",
    "a\u0301",  # the same to the eye, decomposed
    "\uff41",
    "a ",
    " a",
    "a  ",
    "a\t",
    "a\n",
    "ß",
    "ss",
    "\u0131",
    "i",
    "İ",
    "1",
    "01",
    "1.0",
    "null",
    "NULL",
    "true",
    "{a}",
    "}x{",
    "{",
    "}",
    "[0]",
    "$.x",
    "a.b",
    "'",
    "''",
    '"',
    '\\"',
    "\\",
    "\\\\",
    "\\u0041",
    "\\N",
    "%",
    "%s",
    "%(owner)s",
    "%%",
    "_",
    ":owner",
    ":1",
    "?",
    "a?b",
    "/",
    "a/b",
    "a,b",
    "(1,2)",
    "--",
    ";",
    "a;b",
    "\u200b",
    "\ufeffa",
    "\uffff",
    "😀",
    "👩‍👩‍👧",
    "\U0010ffff",
    "\x01",
    "\x7f",
    "\u2028",
    "א",
    "a" * 255,
    "é" * 127 + "a",
    "😀" * 63 + "abc",
    "😀" * 63 + "abC",
]

BODIES = {
    "empty object": "{}",
    "spaces kept": '{ "b" :1,\n\t"a": 2 }',
    "numbers kept": '{"n": [1.0, 1.50, 1e400, -0, 123456789012345678901234567890, 0.1]}',
    "keys twice": '{"a": 1, "a": 2}',
    "NUL as an escape": '{"a": "\\u0000"}',
    "surrogates as escapes": '{"a": "\\ud83d\\ude00 \\ud800"}',
    "emoji": '{"a": "😀\u200d👩"}',
    "quotes and backslashes": json.dumps({"a'\"\\": "%s :x ?"}),
    "lines": '"\r\n\u2028\u2029"',
    "not JSON": "a 'text' that no storage need understand {",
    "no text": "",
    "one mebibyte": json.dumps("x" * (2**20 - 2)),
    "one mebibyte of emoji": json.dumps("😀" * (2**18 - 1), ensure_ascii=False),
    "one mebibyte of quotes": json.dumps('"' * (2**19 - 1)),
}


class TestNames:
    def test_ids_are_told_apart_by_their_bytes(self, storage: Storage) -> None:
        records = [record(name, clock, json.dumps(clock)) for clock, name in enumerate(NAMES)]
        put(storage, "ada", *records)
        assert list(storage.load("ada", since=0).changed) == records
        assert named(storage, "ada", *(found.key for found in records)) == {found.key: found for found in records}
        for found in records:
            assert named(storage, "ada", found.key) == {found.key: found}

    def test_models_are_told_apart_by_their_bytes(self, storage: Storage) -> None:
        records = [record("id", clock, model=name) for clock, name in enumerate(NAMES)]
        put(storage, "ada", *records)
        assert list(storage.load("ada", since=0).changed) == records
        assert named(storage, "ada", *(found.key for found in records)) == {found.key: found for found in records}

    def test_owners_are_told_apart_by_their_bytes(self, storage: Storage) -> None:
        for clock, owner in enumerate(NAMES):
            put(storage, owner, record("id", clock, json.dumps(owner)))
        assert sorted(storage.owners()) == sorted(NAMES)
        for clock, owner in enumerate(NAMES):
            held = storage.load(owner, since=0, keys=[("task", "id")])
            assert held.clock == clock + 1
            assert list(held.changed) == list(held.named) == [record("id", clock, json.dumps(owner))]

    def test_keys_of_notes_are_told_apart_by_their_bytes_and_so_ordered(self, storage: Storage) -> None:
        put(storage, "ada", notes=[Note("history", name, name) for name in NAMES])
        in_order = sorted(NAMES, key=str.encode)
        assert [note.key for note in storage.notes("ada", "history")] == in_order
        assert [note.body for note in storage.notes("ada", "history")] == in_order
        for name in NAMES:
            assert name in [note.key for note in storage.notes("ada", "history", prefix=name)]

    def test_removal_takes_only_the_very_name(self, storage: Storage) -> None:
        records = [record(name, clock) for clock, name in enumerate(NAMES)]
        put(storage, "ada", *records)
        for found in records[::2]:
            held = storage.load("ada", since=0)
            storage.commit("ada", remove_one(held.clock, held.epoch, found.key))
        assert list(storage.load("ada", since=0).changed) == records[1::2]

    def test_owner_model_and_id_of_full_length_go_together(self, storage: Storage) -> None:
        full = "é" * 127 + "a"
        new = record(full, 0, model=full)
        put(storage, full, new, notes=[Note("k" * 32, "é" * 512, "body")])
        assert named(storage, full, new.key) == {new.key: new}
        assert [note.key for note in storage.notes(full, "k" * 32)] == ["é" * 512]


def remove_one(clock: int, epoch: str, key: tuple[str, str]) -> Commit:
    return Commit(expected=clock, clock=clock + 1, epoch=epoch, remove=[key])


class TestTexts:
    @pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
    def test_a_body_comes_back_as_it_was(self, storage: Storage, body: str) -> None:
        put(
            storage, "ada", record("a", 0, body), record("b", 1, body, deleted=True), notes=[Note("history", "1", body)]
        )
        held = storage.load("ada", since=0, keys=[("task", "b")])
        assert [found.body for found in held.changed] == [body, body]
        assert [found.body for found in held.named] == [body]
        assert [note.body for note in storage.notes("ada", "history")] == [body]

    def test_many_large_bodies_go_in_one_commit(self, storage: Storage) -> None:
        records = [record(f"r{i}", i, json.dumps("x" * 2**20)) for i in range(16)]
        put(storage, "ada", *records)
        assert list(storage.load("ada", since=0).changed) == records

    @pytest.mark.parametrize("where", ["owner", "model", "id", "body", "note"])
    def test_what_utf_8_cannot_hold_is_refused_and_leaves_no_trace(self, storage: Storage, where: str) -> None:
        put(storage, "ada", record("a", 0))
        before = everything(storage, "ada")
        text = dict.fromkeys(("model", "id", "body", "note"), "b") | {"owner": "ada"} | {where: "\udc80"}
        with pytest.raises(StorageError):
            storage.commit(
                text["owner"],
                Commit(
                    expected=1 if text["owner"] == "ada" else 0,
                    clock=3,
                    epoch="e",
                    put=[record(text["id"], 2, text["body"], model=text["model"])],
                    notes=[Note("history", "1", text["note"])],
                ),
            )
        assert everything(storage, "ada") == before
        assert list(storage.owners()) == ["ada"]
