"""What a table of diffs says: every record of an owner, recovered by merging the diffs again in their order.

A diff of the log took effect when it was taken, so each is merged as one whose device had seen everything before it.
The log in order is the diffs by clock and, within that, by timestamp.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from hashlib import blake2b

import msgspec

from mobync_core.diffs import Edit
from mobync_core.limits import TIMESTAMP_MAX, identifier_fault
from mobync_core.merge import replay
from mobync_core.records import Entry, entry_of, record_of
from mobync_core.storage import Key, Snapshot
from mobync_core.wire import Diff

logger = logging.getLogger("mobync")

_decode = msgspec.json.Decoder().decode


class Log:
    """One owner's diffs: `diffs` by their ids, `clock`, the next one, and each record as it is, read when asked for."""

    def __init__(self, owner: str, diffs: Iterable[Diff] = ()) -> None:
        self.owner = owner
        self._inorder = sorted(diffs, key=lambda diff: (diff.logical_clock, diff.utc_timestamp))
        self.diffs = {diff.id: diff for diff in reversed(self._inorder)}  # of diffs that share an id the first counts
        self.clock = self._inorder[-1].logical_clock + 1 if self._inorder else 0
        self._edits: dict[Key, list[tuple[int, Edit]]] | None = None
        self._entries: dict[Key, Entry | None] = {}

    @property
    def epoch(self) -> str:
        """What names this log: another has another first diff. "" for an empty one."""
        if not self._inorder:
            return ""
        return blake2b(self._inorder[0].id.encode(errors="replace"), digest_size=16).hexdigest()

    def add(self, diff: Diff) -> None:
        """Take the next diff of the log."""
        edit = edit_of(diff)
        if edit is not None and edit.key is not None:
            self._entries[edit.key] = replay(self._entry(edit.key), edit, diff.logical_clock)
            self._by_key().setdefault(edit.key, []).append((diff.logical_clock, edit))
        self._inorder.append(diff)
        self.diffs.setdefault(diff.id, diff)
        self.clock = max(self.clock, diff.logical_clock + 1)

    def entry(self, key: Key) -> Entry | None:
        """Return a record, to keep or to change; None if there has never been one."""
        held = self._entry(key)
        return entry_of(record_of(held)) if held is not None else None

    def snapshot(self, since: int, keys: Collection[Key] = ()) -> Snapshot:
        """Return what a storage would load."""
        late: list[Key] = []
        if since < self.clock:
            late = [key for key, edits in self._by_key().items() if edits[-1][0] >= since]
        changed = [entry for entry in map(self._entry, late) if entry is not None and entry.clock >= since]
        named = [entry for entry in map(self._entry, set(keys)) if entry is not None]
        return Snapshot(
            clock=self.clock,
            epoch=self.epoch,
            purged=-1,
            changed=[record_of(entry) for entry in sorted(changed, key=lambda entry: entry.clock)],
            named=[record_of(entry) for entry in named],
        )

    def _entry(self, key: Key) -> Entry | None:
        if key not in self._entries:
            entry = None
            for clock, edit in self._by_key().get(key, ()):
                entry = replay(entry, edit, clock)
            self._entries[key] = entry
        return self._entries[key]

    def _by_key(self) -> dict[Key, list[tuple[int, Edit]]]:
        """Return the diffs of each record in their order, as the merge sees them, with their clocks."""
        if self._edits is None:
            self._edits = {}
            unreadable = 0
            for diff in self._inorder:
                edit = edit_of(diff)
                if edit is not None and edit.key is not None:
                    self._edits.setdefault(edit.key, []).append((diff.logical_clock, edit))
                else:
                    unreadable += 1
            if unreadable:
                logger.warning("%d diffs of a log could not be read and are left out", unreadable)
        return self._edits


def edit_of(diff: Diff) -> Edit | None:
    """Read a diff of the log; None if it cannot be. A timestamp that no device could read is cut to what it can."""
    try:
        data = _decode(diff.json_data)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    if type(data) is not dict:
        return None
    record = data.pop("id", None)
    if identifier_fault(record) or identifier_fault(diff.model):
        return None
    timestamp = min(max(diff.utc_timestamp, 0), TIMESTAMP_MAX)
    return Edit(diff.id, diff.type, (diff.model, record), timestamp, data)


def key_of(diff: Diff) -> Key | None:
    """Return the record that a diff of the log is about; None if it cannot be read."""
    edit = edit_of(diff)
    return edit.key if edit is not None else None
