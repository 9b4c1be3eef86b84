"""Folds what the application wrote into tables of its own into the records.

The application writes as one more device, which has always seen everything: a column that differs from the record's
field is an edit of that field, at the time of the write; a row that is gone is a delete.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

from mobync_core.diffs import Edit
from mobync_core.limits import TIMESTAMP_MAX
from mobync_core.records import entry_of
from mobync_core.storage import Outside, Snapshot
from mobync_core.wire import DiffType


def edits_of(snapshot: Snapshot, outside: Collection[Outside]) -> list[Edit]:
    """Return the edits that make the snapshot's records what the rows are; `named` must hold these records."""
    held = {record.key: record for record in snapshot.named}
    edits = []
    for written in outside:
        record = held.get(written.key)
        if record is None or record.deleted:
            if written.fields is not None:
                edits.append(_edit("create", written, dict(written.fields)))
        elif written.fields is None:
            edits.append(_edit("delete", written, {}))
        elif differing := _differing(entry_of(record).values(), written.fields):
            edits.append(_edit("update", written, differing))
    return edits


def _differing(held: dict[str, Any], row: Any) -> dict[str, Any]:
    # A row says nothing of a column that is null, and a record may never have had the field.
    names = row.keys() | {name for name, value in held.items() if value is not None}
    return {name: row.get(name) for name in sorted(names) if not same(held.get(name), row.get(name))}


def same(one: Any, other: Any) -> bool:
    """Say whether two values are the same JSON: to Python alone True is 1, and 1 is 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _edit(kind: DiffType, written: Outside, fields: dict[str, Any]) -> Edit:
    return Edit(str(uuid.uuid4()), kind, written.key, min(max(written.at, 0), TIMESTAMP_MAX), fields)
