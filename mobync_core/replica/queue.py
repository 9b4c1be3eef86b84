"""The table ``queue``: edits that the server has not answered, or whose effect is still to be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import msgspec

from mobync_core.replica.rows import PENDING, TAKEN, WITNESS, Entry, needed
from mobync_core.storage import Key

_COLUMNS = "seq, id, type, model, record, data, timestamp, clock, life, state, offer, unseen"
_APPEND = f"INSERT INTO queue ({_COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, NULL)"
_INSERT = f"INSERT INTO queue ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_ROOM = 2**32
"""Numbers left for what is put in front."""


def append(connection: sqlite3.Connection, entry: Entry) -> None:
    """Queue an edit of the user's behind all others."""
    connection.execute(
        _APPEND,
        (entry.id, entry.type, entry.model, entry.record, entry.data, entry.timestamp, entry.clock, entry.life),
    )


def next_chunk(connection: sqlite3.Connection, *, diffs: int, size: int) -> list[Entry]:
    """Return what to push next: all pending diffs of the records that were edited first, in the order of the queue.

    They come to no more than about `diffs` diffs and `size` bytes; of a record with more of them, only the first go.
    With them go those that the server has taken already and a pending one had seen.
    """
    chunk: list[Entry] = []
    keys: set[Key] = set()
    for model, record in connection.execute("SELECT model, record FROM queue WHERE state = 0 ORDER BY seq"):
        if (model, record) in keys:
            continue
        keys.add((model, record))
        entries = of_record(connection, (model, record))
        pending = [entry for entry in entries if entry.state == PENDING]
        seen = needed([entry for entry in entries if entry.state != PENDING])
        size -= sum(map(_size, seen))
        fitting = _fitting(pending, diffs, size)
        if chunk and fitting < len(pending):
            break
        pending = pending[: max(fitting, 1)]
        chunk += seen
        chunk += pending
        diffs -= len(pending)
        size -= sum(map(_size, pending))
    chunk.sort(key=lambda entry: entry.seq)
    return chunk


def _fitting(entries: Sequence[Entry], diffs: int, size: int) -> int:
    for fitting, entry in enumerate(entries):
        size -= _size(entry)
        if fitting == diffs or size < 0:
            return fitting
    return len(entries)


def _size(entry: Entry) -> int:
    return len(entry.data) + 250


def of_record(connection: sqlite3.Connection, key: Key) -> list[Entry]:
    """Return all entries of a record, in order."""
    return _read(connection.execute(f"SELECT {_COLUMNS} FROM queue WHERE model = ? AND record = ? ORDER BY seq", key))


def drafted(connection: sqlite3.Connection, key: Key) -> list[Entry]:
    """Return the user's edits of a record, if `records` lacks some of them."""
    entries = [entry for entry in of_record(connection, key) if not entry.offer]
    return entries if any(entry.state != WITNESS for entry in entries) else []


def keys_in(connection: sqlite3.Connection, *, state: int | None = None) -> list[Key]:
    """Return the records that have entries, or have some of one state."""
    only = "" if state is None else f"WHERE state = {state}"
    return connection.execute(f"SELECT DISTINCT model, record FROM queue {only}").fetchall()


def count_pending(connection: sqlite3.Connection, *, offers: bool = False) -> int:
    """Count the diffs that the server has not answered: the user's edits, or what is offered too."""
    only = "" if offers else "AND offer = 0"
    (count,) = connection.execute(f"SELECT count(*) FROM queue WHERE state = 0 {only}").fetchone()
    return int(count)


def last_pending(connection: sqlite3.Connection) -> int:
    """Return the `seq` of the last diff that the server has not answered; if there is none, one before all others."""
    (seq,) = connection.execute("SELECT max(seq) FROM queue WHERE state = 0").fetchone()
    return -(2**62) if seq is None else int(seq)


def set_state(connection: sqlite3.Connection, entries: Iterable[Entry], state: int) -> None:
    connection.executemany("UPDATE queue SET state = ? WHERE seq = ?", ((state, entry.seq) for entry in entries))


def set_unseen(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    connection.executemany(
        "UPDATE queue SET unseen = ? WHERE seq = ?", ((entry.unseen, entry.seq) for entry in entries)
    )


def drop(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    connection.executemany("DELETE FROM queue WHERE seq = ?", ((entry.seq,) for entry in entries))


def name_life(connection: sqlite3.Connection, creates: Iterable[Entry]) -> None:
    """Have new records that are about to be pushed name their life if that happens again.

    The server lets what came and went leave nothing behind, unless it is named: and these may have arrived.
    """
    connection.executemany("UPDATE queue SET life = 1 WHERE seq = ? AND life = 0", ((entry.seq,) for entry in creates))


def lower_lives(connection: sqlite3.Connection, refused: Entry) -> None:
    """Say of what is pending of a record that it is meant for one life less: a delete was refused, and ended none."""
    connection.execute(
        "UPDATE queue SET life = life - 1 WHERE model = ? AND record = ? AND seq > ? AND state = 0 AND life > 1",
        (*refused.key, refused.seq),
    )


def drop_witnesses(connection: sqlite3.Connection, keys: Iterable[Key]) -> None:
    """Drop what only bears witness, of those of the records that have nothing pending."""
    connection.executemany(
        f"""DELETE FROM queue WHERE model = ?1 AND record = ?2 AND state = {WITNESS} AND NOT EXISTS (
        SELECT 1 FROM queue AS other WHERE other.model = ?1 AND other.record = ?2 AND other.state = {PENDING})""",
        keys,
    )


def bear_witness(connection: sqlite3.Connection) -> None:
    """Keep what the server has taken for a witness where something is pending, and drop it elsewhere."""
    connection.execute(
        f"""DELETE FROM queue WHERE state <> {PENDING} AND NOT EXISTS (SELECT 1 FROM queue AS other
        WHERE other.model = queue.model AND other.record = queue.record AND other.state = {PENDING})"""
    )
    connection.execute(f"UPDATE queue SET state = {WITNESS} WHERE state = {TAKEN}")


def forget_offers(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM queue WHERE offer > 0")


def take_back(connection: sqlite3.Connection) -> None:
    """Take all that `records` lacks for pending, although the server has taken some of it."""
    connection.execute(f"UPDATE queue SET state = {PENDING} WHERE state = {TAKEN}")


def forget_bases(connection: sqlite3.Connection) -> None:
    """Take all edits as made at the base 0."""
    connection.execute("UPDATE queue SET clock = 0")


def put_first(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Put entries in front of all others."""
    (first,) = connection.execute("SELECT min(seq) FROM queue").fetchone()
    numbers = count(min(first or 0, 0) - _ROOM)
    connection.executemany(_INSERT, (_values(entry, seq) for entry, seq in zip(entries, numbers, strict=False)))


def try_again(connection: sqlite3.Connection, keys: Iterable[Key]) -> None:
    """Put what is pending of these records behind all else, and count the tries of what is offered."""
    for key in keys:
        (last,) = connection.execute("SELECT max(seq) FROM queue").fetchone()
        pending = [entry for entry in of_record(connection, key) if entry.state == PENDING]
        connection.executemany(
            "UPDATE queue SET seq = ?, offer = offer + (offer > 0) WHERE seq = ?",
            [(seq, entry.seq) for seq, entry in enumerate(pending, last + 1)],
        )


def rewrite(connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Write what is said of entries anew; what they had not seen is settled."""
    connection.executemany(
        "UPDATE queue SET data = ?, life = ?, unseen = NULL WHERE seq = ?",
        ((entry.data, entry.life, entry.seq) for entry in entries),
    )


def _read(rows: Iterable[tuple[Any, ...]]) -> list[Entry]:
    return [Entry(*row) for row in rows]


def _values(entry: Entry, seq: int) -> tuple[Any, ...]:
    return seq, *msgspec.structs.astuple(entry)[1:]
