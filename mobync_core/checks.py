"""Refuses a commit that is none, before a storage begins to write it.

An adapter whose store would take what the contract does not allow, or would find it out midway, calls
`check_commit` first: so that what runs on one storage runs on every other.
"""

from __future__ import annotations

from mobync_core.errors import StorageError
from mobync_core.limits import identifier_fault, utf8_size
from mobync_core.storage import Commit, Key, Note, Record

_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**63 - 1


def check_commit(owner: str, commit: Commit) -> None:
    """Raise `StorageError`, which names what is wrong, if the contract does not allow `commit`."""
    _identifier("owner", owner)
    _integer("expected clock", commit.expected)
    _integer("clock", commit.clock)
    _integer("purged", commit.purged)
    _text("epoch", commit.epoch, 255)
    _text("epoch", commit.renew, 255)
    check_clock(commit)
    for record in commit.put:
        _record(record)
    for key in commit.remove:
        _key(key)
    for note in commit.notes:
        _note(note)
    for kind, name in commit.forget:
        _note_key(kind, name)
    put = {record.key for record in commit.put}
    if len(put) < len(commit.put):
        raise StorageError("a commit puts one record twice")
    if len({(note.kind, note.key) for note in commit.notes}) < len(commit.notes):
        raise StorageError("a commit writes one note twice")
    if not put.isdisjoint(commit.remove):
        raise StorageError("a commit both puts and removes a record")


def check_clock(commit: Commit) -> None:
    """Raise `StorageError` unless the commit raises the clock, or has nothing that would."""
    if commit.clock <= commit.expected and (commit.clock < commit.expected or commit.put or not commit.folded):
        raise StorageError(f"a commit must raise the clock: {commit.clock} is not over {commit.expected}")


def _record(record: Record) -> None:
    _key(record.key)
    _integer("clock", record.clock)
    _integer("changed_at", record.changed_at)
    if not isinstance(record.deleted, bool):
        raise StorageError(f"a record's deleted is {record.deleted!r}, no bool")
    _text("body", record.body)


def _key(key: Key) -> None:
    model, id = key
    _identifier("model", model)
    _identifier("id", id)


def _note(note: Note) -> None:
    _note_key(note.kind, note.key)
    _text("note", note.body)


def _note_key(kind: str, key: str) -> None:
    _text("kind", kind, 32)
    if not kind.isascii():
        raise StorageError(f"the kind {kind!r} is not ASCII")
    _text("key", key, 1024)


def _identifier(what: str, text: str) -> None:
    if fault := identifier_fault(text):
        raise StorageError(f"the {what} {text!r} {fault}")


def _integer(what: str, number: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not _INTEGER_MIN <= number <= _INTEGER_MAX:
        raise StorageError(f"the {what} {number!r} is no integer of 64 bits")


def _text(what: str, text: str, most: int | None = None) -> None:
    if not isinstance(text, str):
        raise StorageError(f"a {what} is a {type(text).__name__}, no str")
    if "\0" in text:
        raise StorageError(f"a {what} holds a NUL character")
    size = utf8_size(text)
    if size is None:
        raise StorageError(f"a {what} holds a lone surrogate")
    if most is not None and size > most:
        raise StorageError(f"a {what} has {size} bytes of UTF-8, more than {most}")
