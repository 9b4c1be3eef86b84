"""A record as a replica knows it, and what edits and told diffs make of it. It does no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mobync_core.storage import Key
from mobync_core.wire import DiffType

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Row(Struct):
    """A record: its `fields`, None if it is deleted, and which `life` it is in, or ended; 0 if that is not known.

    `stamps` are those of the fields whose stamp is not `stamp`, which of a tombstone is when it was deleted.
    """

    fields: dict[str, Any] | None
    stamp: int
    stamps: dict[str, int]
    life: int

    def stamp_of(self, name: str) -> int:
        return self.stamps.get(name, self.stamp)

    def edited(self, fields: dict[str, Any], stamp: int, stamps: dict[str, int] | None = None) -> Row:
        """Return the record with some fields set, of which all have the same stamp but those in `stamps`."""
        assert self.fields is not None
        merged = dict(self.stamps)
        for name in fields:
            new = (stamps or {}).get(name, stamp)
            if new == self.stamp:
                merged.pop(name, None)
            else:
                merged[name] = new
        return Row({**self.fields, **fields}, self.stamp, merged, self.life)


class Entry(Struct):
    """A diff in the queue. `data` is its `json_data`; `clock` the base that was complete when it was made.

    `life` is the one of the record that was known then, or that a create begins, 0 for unknown. `state` is one of the
    three below. `offer` counts the times that it was tried, if it is no edit of the user's but offers what the server
    may have lost, else it is 0. `unseen` are the fields that others were found to have set since it was made, as JSON.
    """

    seq: int
    id: str
    type: DiffType
    model: str
    record: str
    data: str
    timestamp: int
    clock: int
    life: int = 0
    state: int = 0
    offer: int = 0
    unseen: str | None = None

    @property
    def key(self) -> Key:
        return self.model, self.record

    def fields(self) -> dict[str, Any]:
        fields = _decode(self.data)
        del fields["id"]
        return fields


PENDING = 0
"""The server has not answered it."""
TAKEN = 1
"""The server has taken it, and what that made of the record is to be read."""
WITNESS = 2
"""`records` has what it did; it is kept as long as a later diff of the record is pending, which had seen it."""


class Told(Struct):
    """A diff that the server told, read. `life` is 0 if the server says of none."""

    key: Key
    type: DiffType
    fields: dict[str, Any]
    timestamp: int
    stamps: dict[str, int]
    life: int


def after(row: Row | None, entry: Entry, lost: Collection[str] = ()) -> Row | None:
    """Return what a record becomes by an edit that counts, but for the fields that it `lost`."""
    if entry.type == "delete":
        return _deleted(row, entry)
    fields = {name: value for name, value in entry.fields().items() if name not in lost}
    if row is not None and row.fields is not None and not (entry.type == "create" and entry.life > row.life > 0):
        return row.edited(fields, entry.timestamp)
    if entry.type == "update":
        return row
    life = entry.life or (row.life + 1 if row is not None and row.life else 0)
    return Row(fields, entry.timestamp, {}, life)


def _deleted(row: Row | None, entry: Entry) -> Row | None:
    if row is None:
        return Row(None, entry.timestamp, {}, entry.life) if entry.life else None
    if row.fields is None:
        return row
    stamps = (row.stamp_of(name) for name in row.fields)
    return Row(None, max(entry.timestamp, *stamps, 0), {}, max(row.life, entry.life))


class Standing:
    """Follows which of a record's pending edits, in order, the server will have count, as far as can be known."""

    def __init__(self, held: Row | None) -> None:
        self._held = held
        self._own = False  # a create made here counts, and what was made over it does too

    def counts(self, entry: Entry, row: Row | None) -> bool:
        """Say whether an edit counts, of a record that the edits before made `row` of."""
        if entry.type == "create":
            # Over a tombstone that was not known when it was made, it does not: the delete wins.
            held = self._held
            dead = held is not None and held.fields is None and held is row and entry.life <= held.life
            self._own = self._own or not dead
            return not dead
        # What was meant for an earlier life does not.
        late = row is not None and 0 < entry.life < row.life and (entry.type == "delete" or not self._own)
        self._own = self._own and entry.type != "delete"
        return not late


def shown(held: Row | None, entries: Iterable[Entry]) -> Row | None:
    """Return what the user sees of a record: what is held of it, with the edits that it lacks.

    Those that only bear witness are among the `entries`.
    """
    standing = Standing(held)
    row = held
    for entry in entries:
        if standing.counts(entry, row) and entry.state != WITNESS:
            row = after(row, entry)
    return row


def needed(taken: Sequence[Entry]) -> list[Entry]:
    """Return those of a record's diffs that the record may remember on the server: what a later diff had seen of it.

    That is the last create or delete, and for each field the last that set it since.
    """
    kept: list[Entry] = []
    names: set[str] = set()
    for entry in reversed(taken):
        fields = entry.fields().keys()
        if entry.type != "update" or not names >= fields:
            kept.append(entry)
            names |= fields
        if entry.type != "update":
            break
    return kept[::-1]


def told_over(row: Row | None, told: Told) -> Row | None:
    """Return what a record becomes by what the server told of it."""
    life = told.life or max(row.life if row is not None else 0, 1)
    if told.type == "delete":
        return Row(None, told.timestamp, {}, life)
    if told.type == "create":
        return Row(told.fields, told.timestamp, told.stamps, life)
    if row is None or row.fields is None:
        return row
    edited = row.edited(told.fields, told.timestamp, told.stamps)
    edited.life = life
    return edited
