"""Names are told apart by their bytes: no case folded, no space trimmed, nothing normalised or unescaped."""

from __future__ import annotations

import pytest

from mobync_core.limits import IDENTIFIER_BYTES
from mobync_core.storage import Commit, Note, Storage
from mobync_core.testing.examples import changed, everything, named, put, record

FAMILIES = {
    "case": ["a", "A", "ß", "ss", "SS", "\u0131", "i", "I", "İ"],
    "accents": ["a", "á", "a\u0301", "\uff41", "ᵃ", "n\u0303", "ñ", "\u212b", "Å", "A\u030a"],
    "spaces": ["a", "a ", " a", "a  ", "a\t", "a\n", "a\r\n", "a\u00a0", "a\u200b", "\ufeffa", "\u2028"],
    "numbers and words": ["1", "01", "1.0", "1e0", "null", "NULL", "true", "None", "undefined"],
    "braces": ["{a}", "}x{", "{", "}", "{}", "{{a}}", "[0]", "[", "*", "a*", "?", "a?b", "[a]", "^a"],
    "quotes": ["'", "''", '"', '\\"', "\\", "\\\\", "\\u0041", "\\N", "`", "';--", "--", ";"],
    "placeholders": ["%", "%s", "%(owner)s", "%%", "_", "%25", "%7Ba%7D", ":owner", ":1", "$1", "$set", "$.x", "{0}"],
    "separators": ["a.b", ".a", "a.", "/", "a/b", "a:b", "a,b", "a|b", "(1,2)", "a-b", "a#b", "a&b", "a=b"],
    "far characters": ["😀", "👩\u200d👩\u200d👧", "\uffff", "\U0010ffff", "\x01", "\x7f", "א", "漢"],
    "full length": ["a" * 255, "a" * 254 + "b", "é" * 127 + "a", "😀" * 63 + "abc", "😀" * 63 + "abC"],
}
ALL = [name for names in FAMILIES.values() for name in names]

by_family = pytest.mark.parametrize("names", FAMILIES.values(), ids=FAMILIES)


class Names:
    """Names are told apart by their bytes."""

    @by_family
    def test_ids_are_told_apart_by_their_bytes(self, storage: Storage, owner: str, names: list[str]) -> None:
        records = [record(name, clock, str(clock)) for clock, name in enumerate(names)]
        put(storage, owner, *records)
        assert changed(storage, owner) == records
        assert named(storage, owner, *(found.key for found in records)) == {found.key: found for found in records}
        for found in records:
            assert named(storage, owner, found.key) == {found.key: found}

    @by_family
    def test_models_are_told_apart_by_their_bytes(self, storage: Storage, owner: str, names: list[str]) -> None:
        records = [record("id", clock, model=name) for clock, name in enumerate(names)]
        put(storage, owner, *records)
        assert changed(storage, owner) == records
        for found in records:
            assert named(storage, owner, found.key) == {found.key: found}

    @by_family
    def test_owners_are_told_apart_by_their_bytes(self, storage: Storage, prefix: str, names: list[str]) -> None:
        owners = [_owner(prefix, name) for name in names]
        for clock, owner in enumerate(owners):
            put(storage, owner, record("id", clock, owner))
        assert sorted(storage.owners(prefix=prefix)) == sorted(owners)
        for clock, owner in enumerate(owners):
            held = storage.load(owner, since=0, keys=[("task", "id")])
            assert held.clock == clock + 1
            assert list(held.changed) == list(held.named) == [record("id", clock, owner)]
        for owner in owners[::2]:
            storage.erase(owner)
        assert sorted(storage.owners(prefix=prefix)) == sorted(owners[1::2])
        for clock, owner in list(enumerate(owners))[1::2]:
            assert changed(storage, owner) == [record("id", clock, owner)]

    @by_family
    def test_keys_of_notes_are_told_apart_by_their_bytes_and_so_ordered(
        self, storage: Storage, owner: str, names: list[str]
    ) -> None:
        put(storage, owner, notes=[Note("history", name, name) for name in names])
        in_order = sorted(names, key=str.encode)
        assert [(note.key, note.body) for note in storage.notes(owner, "history")] == [
            (name, name) for name in in_order
        ]
        for name in names:
            wanted = [other for other in in_order if other.startswith(name)]
            assert [note.key for note in storage.notes(owner, "history", prefix=name)] == wanted

    @by_family
    def test_a_removal_takes_only_the_very_name(self, storage: Storage, owner: str, names: list[str]) -> None:
        records = [record(name, clock) for clock, name in enumerate(names)]
        put(storage, owner, *records, notes=[Note("history", name, "") for name in names])
        for name in names[::2]:
            held = storage.load(owner, since=2**53)
            removal = Commit(
                expected=held.clock,
                clock=held.clock + 1,
                epoch=held.epoch,
                remove=[("task", name)],
                forget=[("history", name)],
            )
            storage.commit(owner, removal)
        snapshot, notes = everything(storage, owner)
        assert list(snapshot.changed) == records[1::2]
        assert sorted(note.key for note in notes) == sorted(names[1::2])

    def test_a_model_and_an_id_are_not_run_together(self, storage: Storage, owner: str) -> None:
        pairs = [
            ("a", "b:c"),
            ("a:b", "c"),
            ("a", "b/c"),
            ("a/b", "c"),
            ("a", "bc"),
            ("ab", "c"),
            ("a,b", "c"),
            ("a", "b,c"),
        ]
        records = [record(id, clock, model=model) for clock, (model, id) in enumerate(pairs)]
        put(storage, owner, *records)
        assert changed(storage, owner) == records

    def test_an_owner_and_a_model_are_not_run_together(self, storage: Storage, owner: str) -> None:
        for separator in "/:.|,%":
            put(storage, owner, record("c", 0, "short", model=f"a{separator}b"))
            put(storage, f"{owner}{separator}a", record("c", 0, "long", model="b"))
            assert [found.body for found in changed(storage, owner)] == ["short"]
            assert [found.body for found in changed(storage, f"{owner}{separator}a")] == ["long"]
            storage.erase(owner)
            assert [found.body for found in changed(storage, f"{owner}{separator}a")] == ["long"]

    def test_owner_model_id_and_key_of_full_length_go_together(self, storage: Storage, prefix: str) -> None:
        owner, full = _owner(prefix, "é" * 127 + "a"), "é" * 127 + "a"
        new = record(full, 0, model=full)
        put(storage, owner, new, notes=[Note("k" * 32, "é" * 512, "body")])
        assert named(storage, owner, new.key) == {new.key: new}
        assert [note.key for note in storage.notes(owner, "k" * 32)] == ["é" * 512]


def _owner(prefix: str, name: str) -> str:
    """The name of an owner that begins with `prefix`, as long as `name` if that is as long as a name may be."""
    if len(name.encode()) < IDENTIFIER_BYTES:
        return prefix + name
    while len((prefix + name).encode()) > IDENTIFIER_BYTES:
        name = name[1:]
    return prefix + "x" * (IDENTIFIER_BYTES - len((prefix + name).encode())) + name
