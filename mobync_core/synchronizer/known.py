"""What the log knows of the diffs of a batch: which are echoes, which were taken before, and which may be either."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from mobync_core.diffs import ECHO, Edit, Refusal
from mobync_core.merge import Batch, Merged
from mobync_core.synchronizer.log import Log


def without_echoes(batch: Batch, log: Log) -> Batch:
    """Leave out the diffs of other devices that a client, killed before it moved its clock, sends beside its own.

    It sends them with the clock that they have in the log, and what it made itself with its base.
    """
    own = {edit.key for edit in batch.edits if _logged_at(edit, log) != edit.order[0]}
    edits = [
        Edit(f"{ECHO}{edit.id}", edit.type, None, 0, {})
        if edit.key in own and batch.base < _logged_at(edit, log) == edit.order[0]
        else edit
        for edit in batch.edits
    ]
    return msgspec.structs.replace(batch, edits=edits)


def refusing(batch: Batch, ids: Collection[str]) -> Batch:
    """Refuse diffs that the log has already and that would take effect again."""
    refusal = Refusal("invalid_data", "a diff of this id was taken before")
    edits = [
        msgspec.structs.replace(edit, refusal=refusal) if edit.id in ids and edit.refusal is None else edit
        for edit in batch.edits
    ]
    return msgspec.structs.replace(batch, edits=edits)


def mark_doubtful(batch: Batch, merged: Merged, log: Log) -> None:
    """Mark the records of which a diff of the batch may be an echo and another one is the client's own.

    A diff that has the client's base for its clock in the log may be its own, sent again, or another device's. In what
    order the client did these two nobody knows, unless the log took both together.
    """
    for named in merged.named.values():
        clocks = {_logged_at(edit, log) for edit, _ in named.judged}
        if len(clocks) > 1 and any(_logged_at(edit, log) == edit.order[0] >= batch.base for edit, _ in named.judged):
            named.unsure = True


def _logged_at(edit: Edit, log: Log) -> int:
    """Return the clock that a diff has in the log; -1 if it is not there."""
    diff = log.diffs.get(edit.id)
    return diff.logical_clock if diff is not None else -1
