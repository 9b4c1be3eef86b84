"""Pending edits that had not seen what others did to the record since they were made.

The server judges an edit by that. When it is offered all that is held here, an edit sent with that would seem to have
seen it all: so what no longer counts is then found out here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from mobync_core.fold import same
from mobync_core.replica import queue
from mobync_core.replica.records import encode_fields, get_row
from mobync_core.replica.results import Report
from mobync_core.replica.rows import PENDING, WITNESS, Entry, Row, Standing
from mobync_core.storage import Key
from mobync_core.wire import Lost

_decode = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


def mark_unseen(connection: sqlite3.Connection, made_here: Mapping[Key, Row | None]) -> None:
    """Note at the pending diffs of these records what the records have now beside what was `made_here` of them."""
    for key, before in made_here.items():
        pending = [entry for entry in queue.of_record(connection, key) if entry.state == PENDING and not entry.offer]
        if pending and (names := _set_by_others(before, get_row(connection, key))):
            for entry in pending:
                entry.unseen = _encode(sorted(_unseen_by(entry) | names)).decode()
            queue.set_unseen(connection, pending)


def _unseen_by(entry: Entry) -> set[str]:
    """Return the fields that others have set since an edit was made."""
    return set() if entry.unseen is None else set(_decode(entry.unseen))


def _set_by_others(before: Row | None, now: Row | None) -> set[str]:
    if now is None or now.fields is None:
        return set()
    old = before.fields if before is not None and before.fields is not None else {}
    return {name for name, value in now.fields.items() if name not in old or not same(old[name], value)}


def resolve(connection: sqlite3.Connection, key: Key, now: int) -> list[Report]:
    """Take out of the pending edits of a record what does not count, and name the life that the rest is meant for.

    What bears witness is dropped with it.
    """
    judging = _Judging(get_row(connection, key), now)
    gone: list[Entry] = []
    kept: list[Entry] = []
    for entry in queue.of_record(connection, key):
        (kept if judging.counts(entry) else gone).append(entry)
    queue.drop(connection, gone)
    queue.rewrite(connection, kept)
    return judging.reports


class _Judging:
    """Judges the pending edits of one record, in order, against what is held of it."""

    def __init__(self, held: Row | None, now: int) -> None:
        self.reports: list[Report] = []
        self._held = held
        self._standing = Standing(held)
        self._now = now
        self._replaced = False  # by an edit that counts, the record is in no life that others know
        self._won: set[str] = set()  # fields set by an edit that counts: whatever is made over that counts too

    def counts(self, entry: Entry) -> bool:
        """Say whether an edit counts, less the fields that do not."""
        held = self._held
        if held is None and entry.type == "create" and not self._replaced:
            # It may have been taken, and others may hold it: a delete that follows must leave a tombstone for them.
            entry.life = entry.life or 1
            self._replaced = True
        if held is None or self._replaced:
            return entry.state != WITNESS
        stands = self._standing.counts(entry, held)
        if entry.state == WITNESS:
            return False
        if held.fields is None and not (stands and entry.type == "create"):
            return self._dropped(entry, "the record was deleted, which this device had not seen")
        if not stands:
            return self._dropped(entry, "it was meant for an earlier life: the record was created again")
        self._replaced = held.fields is None or (entry.type == "create" and entry.life > held.life)
        if self._replaced:
            return True
        entry.life = held.life
        self._replaced = entry.type == "delete"
        return self._replaced or self._edits(entry, held)

    def _edits(self, entry: Entry, held: Row) -> bool:
        assert held.fields is not None
        fields = entry.fields()
        overtaken = (_unseen_by(entry) & fields.keys()) - self._won
        lost = {name for name in overtaken if entry.timestamp < held.stamp_of(name)}
        if lost:
            told = tuple(
                Lost(field=name, value=fields[name], stamp=held.stamp_of(name), kept=held.fields[name])
                for name in sorted(lost)
            )
            reason = "edits that this device had not seen keep these fields: it did not reach their stamps"
            report = Report("conflict", self._now, *entry.key, entry.type, fields, reason=reason, lost=told)
            self.reports.append(report)
            fields = {name: value for name, value in fields.items() if name not in lost}
            entry.data = encode_fields({"id": entry.record, **fields})
        self._won |= fields.keys()
        return bool(fields) or entry.type == "create"

    def _dropped(self, entry: Entry, reason: str) -> bool:
        self.reports.append(Report("conflict", self._now, *entry.key, entry.type, entry.fields(), reason=reason))
        return False
