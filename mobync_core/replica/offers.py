"""When the server lost data, or this replica was away for too long.

A server that lost data is offered all that is held here, with the stamps and lives that it had. A replica that was away
for longer than tombstones are kept only pushes what is pending. Both read the whole list then (protocol, "Restored
servers" and "Purges").
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from mobync_core.limits import TIMESTAMP_MAX
from mobync_core.replica import queue, records, reports
from mobync_core.replica.drafts import redraw_all
from mobync_core.replica.requests import Exchange
from mobync_core.replica.results import Report
from mobync_core.replica.rows import PENDING, Entry, Row
from mobync_core.replica.state import State, read_state, write_state
from mobync_core.replica.store import Store
from mobync_core.replica.unseen import resolve
from mobync_core.wire import DiffType


def begin_offer(store: Store, exchange: Exchange, *, now: int, new_id: Callable[[], str]) -> list[Report] | None:
    """Queue an offer of all that is held here, in front of what is pending; None if another sync came between."""
    with store.write() as connection:
        state = _begin(connection, exchange)
        if state is None:
            return None
        queue.forget_offers(connection)
        queue.take_back(connection)
        queue.forget_bases(connection)
        told = [Report("restored", now, reason="the server had lost data: all that is held here was offered to it")]
        for key in queue.keys_in(connection):
            told += resolve(connection, key, now)
        redraw_all(connection)
        queue.put_first(connection, _offers(connection, new_id))
        state.mode, state.clock, state.epoch = "offer", 0, None
        return _end(connection, state, told)


def begin_resync(store: Store, exchange: Exchange, *, now: int) -> list[Report] | None:
    """Turn to pushing what is pending and reading the whole list; None if another sync came between."""
    with store.write() as connection:
        state = _begin(connection, exchange)
        if state is None:
            return None
        state.mode, state.epoch = "resync", None  # whatever it is now: this replica has nothing to offer
        reason = "this replica was away for longer than the server remembers deletes: it fetched everything anew"
        return _end(connection, state, [Report("resynced", now, reason=reason)])


def resync_again(store: Store, exchange: Exchange) -> None:
    """Begin a resync anew, as the server lost data meanwhile.

    Who was away for too long offers nothing: what is held here may long be deleted. But what the server took is pushed
    again, at the base 0 if it does not know the other.
    """
    with store.write() as connection:
        state = _begin(connection, exchange)
        if state is None:
            return
        queue.take_back(connection)
        state.epoch = None
        if not exchange.state.reading:
            queue.forget_bases(connection)
            state.clock = 0
        _end(connection, state, [])


def begin_again(store: Store, exchange: Exchange) -> None:
    """Drop the pages of a reading that cannot go on."""
    with store.write() as connection:
        state = _begin(connection, exchange)
        if state is not None:
            _end(connection, state, [])


def _begin(connection: sqlite3.Connection, exchange: Exchange) -> State | None:
    state = read_state(connection)
    if state.generation != exchange.state.generation:
        return None
    state.generation += 1
    state.cursor = state.page = None
    records.drop_staged(connection)
    return state


def _end(connection: sqlite3.Connection, state: State, told: list[Report]) -> list[Report]:
    reports.add(connection, told)
    write_state(connection, state)
    return told


def _offers(connection: sqlite3.Connection, new_id: Callable[[], str]) -> Iterator[Entry]:
    for key, row in records.each_row(connection):
        for kind, fields, stamp in _parts(row):
            data = records.encode_fields({"id": key[1], **fields})
            timestamp = min(max(stamp, 0), TIMESTAMP_MAX)
            yield Entry(0, new_id(), kind, *key, data, timestamp, 0, row.life, PENDING, 1)


def _parts(row: Row) -> Iterator[tuple[DiffType, dict[str, Any], int]]:
    """Cut a record into the diffs that make it what it is, each with fields of one stamp."""
    if row.fields is None:
        yield "delete", {}, row.stamp
        return
    by_stamp: dict[int, dict[str, Any]] = {}
    for name, value in row.fields.items():
        by_stamp.setdefault(row.stamp_of(name), {})[name] = value
    kind: DiffType = "create"
    for stamp, fields in sorted(by_stamp.items(), key=lambda part: part[0]) or [(row.stamp, {})]:
        yield kind, fields, stamp
        kind = "update"
