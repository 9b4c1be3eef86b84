"""What a replica asks of the server next."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from mobync_core.replica import queue
from mobync_core.replica.rows import PENDING, Entry
from mobync_core.replica.state import State, read_state
from mobync_core.storage import Key

_encode = msgspec.json.Encoder().encode


class Exchange(Struct):
    """A request: where the replica stood when it was made, its base, and the diffs that it pushes."""

    state: State
    base: int
    chunk: list[Entry]

    @property
    def reads(self) -> bool:
        """Whether it reads; else, in an offer or a resync, it only pushes, and what it is told is of no use."""
        return self.state.reading or self.state.mode == "normal" or not self.chunk


def next_exchange(connection: sqlite3.Connection, *, diffs: int, size: int) -> Exchange:
    """Go on with a reading that was begun; else push; else ask what is new.

    At most about `diffs` diffs of `size` bytes are pushed.
    """
    state = read_state(connection)
    if state.cursor is not None:
        return Exchange(state, state.cursor, [])
    chunk = queue.next_chunk(connection, diffs=diffs, size=size)
    if state.mode == "resync" and not chunk:
        return Exchange(state, 0, [])  # the whole list
    return Exchange(state, state.clock, chunk)


def body_of(exchange: Exchange, *, page: int, token: str | None) -> bytes:
    """Return the JSON to post. A reading is told at most `page` records at a time."""
    state = exchange.state
    request: dict[str, Any] = {
        "auth_token": token,
        "logical_clock": exchange.base,
        "diffs": _diffs(exchange.chunk, state.owner),
        "atomic": True,
        "explain": True,
        "registers": True,
        "epoch": state.epoch,
        "owner": state.owner,
        "page": state.page,
    }
    if not exchange.reads:
        request["limit"] = 1
        request["resync"] = state.mode == "resync"
    else:
        # The records that are pushed change by that, and would fill the page.
        request["limit"] = page + len({entry.key for entry in exchange.chunk})
    return _encode(request)


def _diffs(entries: Sequence[Entry], owner: str | None) -> list[dict[str, Any]]:
    diffs = []
    deleted: set[Key] = set()
    for entry in entries:
        diff = _diff(entry, owner)
        if entry.type == "create" and entry.key in deleted:
            # If that delete is refused, the create is to be an edit, and to begin no other life.
            diff.pop("life", None)
        elif entry.type == "delete" and entry.state == PENDING and not entry.offer:
            deleted.add(entry.key)
        diffs.append(diff)
    return diffs


def _diff(entry: Entry, owner: str | None) -> dict[str, Any]:
    diff = {
        "id": entry.id,
        "owner": owner or "",
        "logical_clock": entry.clock,
        "utc_timestamp": entry.timestamp,
        "type": entry.type,
        "model": entry.model,
        "json_data": entry.data,
    }
    if entry.life:
        diff["life"] = entry.life
    return diff
