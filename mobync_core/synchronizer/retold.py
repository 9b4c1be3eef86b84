"""What two processes wrote at the same clocks, told anew: a device that was answered in between knows of one alone."""

from __future__ import annotations

import uuid
from collections.abc import Collection

import msgspec

from mobync_core.limits import TIMESTAMP_MAX
from mobync_core.records import Entry
from mobync_core.storage import Key
from mobync_core.synchronizer.log import Log
from mobync_core.wire import Diff, DiffType

_encode = msgspec.json.Encoder().encode


def retold(log: Log, keys: Collection[Key], since: int) -> list[Diff]:
    """Return diffs that change nothing of these records but when they changed.

    A record whose life began at or after `since` is begun anew, and a deleted one deleted anew: a device that has not
    heard of it would do nothing with an update.
    """
    diffs: list[Diff] = []
    for key in keys:
        entry = log.entry(key)
        if entry is None:
            continue
        kinds: tuple[DiffType, ...]
        if entry.deleted:
            kinds = "create", "delete"
        elif entry.body.created >= since or not entry.body.fields:
            kinds = "delete", "create"
        else:
            kinds = ("update",)
        for kind in kinds:
            diffs.append(_diff(log, entry, kind, log.clock + len(diffs)))
    return diffs


def _diff(log: Log, entry: Entry, kind: DiffType, clock: int) -> Diff:
    model, record = entry.key
    fields = {} if kind == "delete" else entry.values()
    stamp = max((register.stamp for register in entry.body.fields.values()), default=entry.body.floor)
    return Diff(
        id=str(uuid.uuid4()),
        owner=log.owner,
        logical_clock=clock,
        utc_timestamp=min(max(stamp, 0), TIMESTAMP_MAX),
        type=kind,
        model=model,
        json_data=_encode({"id": record, **fields}).decode(),
    )
