"""What the server keeps of a record beside its clock: its lives, and a register per field.

This is the `body` of a stored record, which no storage understands (protocol, "What the server keeps").
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from mobync_core.storage import Key, Record


class Register(Struct, array_like=True):
    """A field: its value, the stamp that a concurrent edit must reach, and the write that set it.

    `clock` is when the server took the write, `written_by` the id of its diff.
    """

    value: Any
    stamp: int
    clock: int
    written_by: str


class Body(Struct, omit_defaults=True):
    """The lives of a record.

    `created` is the clock at which its present life began, `created_by` the diff that began it, `life` its
    number. `floor` is the greatest stamp of lives past and of what was dropped. `deleted_by` is the diff that ended
    the last life; it is kept when the next begins, to know a repeated delete.
    """

    created: int
    created_by: str
    life: int = 1
    floor: int = -1
    deleted_by: str = ""
    fields: dict[str, Register] = {}  # a mutable default is copied by msgspec


class Entry(Struct):
    """A record, read: what the merge works on."""

    key: Key
    clock: int
    deleted: bool
    changed_at: int
    body: Body

    def values(self) -> dict[str, Any]:
        """Return the fields' values."""
        return {name: register.value for name, register in self.body.fields.items()}


_decode = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode


def entry_of(record: Record) -> Entry:
    """Read a stored record."""
    return Entry(record.key, record.clock, record.deleted, record.changed_at, _decode(record.body))


def record_of(entry: Entry) -> Record:
    """Write a record as it is stored."""
    model, name = entry.key
    return Record(model, name, entry.clock, entry.deleted, entry.changed_at, _encode(entry.body).decode())
