"""Where things lie in the store, and how a record is written there.

An owner has five keys, all in one slot of a cluster: its hash tag is its name, percent-encoded so that no brace in it
ends the tag. Below ``mobync:{ada}:``

- ``head`` is a hash: clock, epoch, purged;
- ``records`` is a hash from model, NUL, id to ``clock deleted changed_at body``;
- ``clocks`` is a sorted set of the same fields, by clock;
- ``notes`` is a hash from kind, NUL, key to the body;
- ``notekeys`` is a sorted set of the same fields, all of score 0, which orders them by their bytes.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from mobync_core.storage import Record

LAYOUT = 1
"""The version of the layout that this adapter writes, and the newest that it reads."""

CLOCK_MAX = 2**53
"""The greatest clock of a record: scores are doubles, which are exact up to here."""

_PARTS = ("head", "records", "clocks", "notes", "notekeys")
HEAD, RECORDS, CLOCKS, NOTES, NOTEKEYS = range(1, 6)  # as a script counts them


def check_prefix(prefix: str) -> None:
    """Raise `ValueError` if `prefix` holds what a hash tag or a pattern of SCAN would read otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", prefix):
        raise ValueError(f"the prefix {prefix!r} is not 1 to 64 of the characters A-Z a-z 0-9 _ . : -")


def version_key(prefix: str) -> bytes:
    return f"{prefix}:version".encode()


def keys_of(prefix: str, owner: str) -> list[bytes]:
    tag = quote(owner, safe="")
    return [f"{prefix}:{{{tag}}}:{part}".encode() for part in _PARTS]


def heads_pattern(prefix: str, owner_prefix: str) -> bytes:
    """What SCAN finds the heads of the owners by whose name begins so. Encoded names have no character of patterns."""
    return f"{prefix}:{{{quote(owner_prefix, safe='')}*}}:head".encode()


def owner_of(prefix: str, head: bytes) -> str:
    return unquote(head[len(prefix) + 2 : -len("}:head")].decode())


def field_of(first: str, second: str) -> bytes:
    """One name of two, neither of which has a NUL."""
    return f"{first}\0{second}".encode()


def pack(record: Record) -> bytes:
    return f"{record.clock} {record.deleted:d} {record.changed_at} {record.body}".encode()


def unpack(field: bytes, value: bytes) -> Record:
    model, _, id = field.decode().partition("\0")
    clock, deleted, changed_at, body = value.decode().split(" ", 3)
    return Record(model, id, int(clock), deleted == "1", int(changed_at), body)
