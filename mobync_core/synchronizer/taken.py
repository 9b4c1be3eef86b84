"""What a merge took of a batch, as diffs for the log: each says what it did, and no more."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import msgspec

from mobync_core.diffs import ECHO, Edit
from mobync_core.merge import Batch, Merged, Verdict, replay
from mobync_core.records import Entry, record_of
from mobync_core.synchronizer.log import Log, edit_of
from mobync_core.wire import Diff, DiffType

_encode = msgspec.json.Encoder().encode


def taken(log: Log, batch: Batch, merged: Merged, sent: Mapping[str, str]) -> list[Diff]:
    """Return the diffs that bring `log` from what it was to what `merged` says, in the order to write them.

    `sent` are the texts of `json_data` by the diffs' ids: what took effect as a whole is logged as it came. Fields that
    lost are left out. A create of a record that is there is logged as the update that it was taken for, and so is what
    a delete dropped: it does nothing to a deleted record but raise its floor. The diffs of one record share a
    clock as long as their timestamps keep them in order.
    """
    diffs: list[Diff] = []
    clock = log.clock
    for wanted in merged.changed:
        entry = log.entry(wanted.key)
        changed = entry is None or entry.clock != wanted.clock  # or else only its floor rose
        at = clock if changed else log.clock
        last = -1
        for edit, verdict in merged.named[wanted.key].judged:
            effect = _effect(edit, verdict, entry)
            if effect is None:
                continue
            kind, fields = effect
            place = at if edit.timestamp > last else at + 1
            whole = fields == edit.fields and edit.id in sent
            diff = Diff(
                id=edit.id,
                owner=log.owner,
                logical_clock=place,
                utc_timestamp=edit.timestamp,
                type=kind,
                model=wanted.key[0],
                json_data=sent[edit.id] if whole else _encode({"id": wanted.key[1], **fields}).decode(),
            )
            logged = edit_of(diff)
            assert logged is not None
            before = record_of(entry) if entry is not None else None
            entry = replay(entry, logged, place)
            if entry is not None and record_of(entry) != before:
                diffs.append(diff)
                at, last = place, edit.timestamp
        if changed:
            clock = at + 1
    if not diffs and merged.clock > log.clock:
        diffs.append(_mark(log.owner, batch, merged.clock - 1))
    return diffs


def _effect(edit: Edit, verdict: Verdict, entry: Entry | None) -> tuple[DiffType, dict[str, object]] | None:
    """Return what an edit did to a record as it was: a type, and the fields that it set. None if nothing."""
    alive = entry is not None and not entry.deleted
    if verdict.result == "dropped":
        return None if alive or entry is None else ("update", edit.fields)
    if verdict.result not in ("applied", "merged"):
        return None
    if edit.type == "delete":
        return "delete", {}
    lost = {one.field for one in verdict.lost}
    fields = {name: value for name, value in edit.fields.items() if name not in lost}
    return ("update" if alive else edit.type), fields


def _mark(owner: str, batch: Batch, clock: int) -> Diff:
    """Return a diff that does nothing: a client must be advanced, and the log has to remember how far."""
    name = f"{ECHO}{clock}:nothing:{uuid.uuid4().hex}"
    model, record = next((edit.key for edit in batch.edits if edit.key is not None), ("mobync", name))
    data = _encode({"id": record}).decode()
    return Diff(id=name, owner=owner, logical_clock=clock, utc_timestamp=0, type="update", model=model, json_data=data)
