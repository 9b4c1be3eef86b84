"""Edits made here: each is written together with its diff, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from mobync_core.diffs import DiffReader
from mobync_core.errors import InvalidRecord, NoSuchObject, ObjectExists
from mobync_core.limits import TIMESTAMP_MAX, Limits, utf8_size
from mobync_core.replica import queue
from mobync_core.replica.drafts import as_user_sees, current, put_draft
from mobync_core.replica.records import decode_fields, encode_fields
from mobync_core.replica.rows import Entry
from mobync_core.replica.state import read_state
from mobync_core.replica.store import Store
from mobync_core.storage import Key
from mobync_core.wire import DiffType


class Edits:
    """Makes edits in a store, by the limits that the server has: what it would refuse is refused here.

    `now` returns the device's UTC time in ms, `new_id` an id that nothing else has.
    """

    def __init__(self, store: Store, limits: Limits, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._store = store
        self._limits = limits
        self._reader = DiffReader(limits)
        self._now = now
        self._new_id = new_id

    def create(self, model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        values = _mapping(fields)
        record = values.pop("id", None)
        key = model, self._new_id() if record is None else record
        data = self._data("create", key, values)
        with self._store.write() as connection:
            held = current(connection, key)
            if held is not None and held[0] is not None:
                raise ObjectExists(f"{model}/{key[1]} exists already")
            life = held[1] + 1 if held is not None and held[1] else 0
            self._append(connection, "create", key, data, life)
            put_draft(connection, key, values, life)
        return as_user_sees(key[1], encode_fields(values))

    def update(self, model: str, record: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        values = _mapping(fields)
        if values.get("id") == record:  # what `get` returned may be written back
            del values["id"]
        key = model, record
        data = self._data("update", key, values)
        with self._store.write() as connection:
            held, life = _live(connection, "update", key)
            self._append(connection, "update", key, data, life)
            merged = {**decode_fields(held), **values}
            put_draft(connection, key, merged, life)
        return as_user_sees(record, encode_fields(merged))

    def delete(self, model: str, record: str) -> None:
        key = model, record
        data = self._data("delete", key, {})
        with self._store.write() as connection:
            _, life = _live(connection, "delete", key)
            self._append(connection, "delete", key, data, life)
            put_draft(connection, key, None, life)

    def _data(self, kind: DiffType, key: Key, fields: dict[str, Any]) -> str:
        """Return the JSON of an edit's diff. Raises `InvalidRecord` if the server would not take it."""
        fault = self._reader.key_fault(*key) or self._reader.fields_fault(fields)
        if "id" in fields:
            fault = "a record's id cannot be updated"
        if not fault and kind == "update":
            if not fields:
                fault = "an update must set a field"
            elif not self._limits.null_in_updates and None in fields.values():
                name = next(name for name, value in fields.items() if value is None)
                fault = f"an update may not set {name!r} to None, unless null_in_updates is among the limits"
        if fault:
            raise InvalidRecord(f"{kind} of {str(key[0])[:64]}/{str(key[1])[:64]}: {fault}")
        data = encode_fields({"id": key[1], **fields})
        size = utf8_size(data) or 0
        if kind != "delete" and size > self._limits.diff_bytes:
            raise InvalidRecord(
                f"{kind} of {key[0]}/{key[1]}: its JSON has {size} bytes, more than {self._limits.diff_bytes}"
            )
        return data

    def _append(self, connection: sqlite3.Connection, kind: DiffType, key: Key, data: str, life: int) -> None:
        timestamp = min(max(self._now(), 0), TIMESTAMP_MAX)
        clock = read_state(connection).clock
        queue.append(connection, Entry(0, self._new_id(), kind, *key, data, timestamp, clock, life))


def _live(connection: sqlite3.Connection, kind: DiffType, key: Key) -> tuple[str, int]:
    """Return the fields of a live record, as JSON, and its life."""
    held = current(connection, key)
    if held is None or held[0] is None:
        raise NoSuchObject(f"there is no {key[0]}/{key[1]} to {kind}")
    return held[0], held[1]


def _mapping(fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(fields, Mapping):
        raise InvalidRecord(f"the fields of a record must be a mapping, not a {type(fields).__name__}")
    return dict(fields)
