"""Takes an answer into the store, in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec import Struct

from mobync_core.replica import queue, records, reports
from mobync_core.replica.answers import Answer
from mobync_core.replica.changes import Looks
from mobync_core.replica.drafts import redraw, redraw_all
from mobync_core.replica.requests import Exchange
from mobync_core.replica.results import Report
from mobync_core.replica.rows import PENDING, TAKEN, WITNESS, Entry, Row, Told, after, told_over
from mobync_core.replica.state import State, read_state, write_state
from mobync_core.replica.store import Store
from mobync_core.replica.unseen import mark_unseen
from mobync_core.storage import Key
from mobync_core.wire import Outcome

_COUNTS = ("applied", "merged", "repeated")
_TRIES = 5
"""How often a record is offered that is refused: it may refer to one that is offered after it."""


class Applied(Struct):
    """What an answer did here.

    `changed` are the records that look different to the user now, each with whether it was live before; `complete` says
    that the store has all that the server had.
    """

    pushed: int = 0
    received: int = 0
    reports: list[Report] = []
    changed: list[tuple[Key, bool]] = []
    complete: bool = False


class _Judged(Struct):
    """A diff that was pushed, and what became of it: all is well, if the server does not say."""

    entry: Entry
    outcome: Outcome

    @property
    def counts(self) -> bool:
        return self.outcome.result in _COUNTS


def apply(store: Store, exchange: Exchange, answer: Answer, *, now: int, watched: bool) -> Applied | None:
    """Take an answer; None, with nothing done, if another sync has changed the store since its request was made.

    `now` is the UTC time in ms. Which records look different is only found out if that is `watched`.
    """
    with store.write() as connection:
        state = read_state(connection)
        if state.generation != exchange.state.generation:
            return None
        state.generation += 1
        state.epoch = answer.epoch or state.epoch
        state.owner = answer.owner or state.owner
        taking = _Taking(connection, state, exchange.chunk, answer, watched=watched)
        if not exchange.reads:
            taking.only_push()
        elif state.mode == "normal" and not state.reading and not answer.has_more:
            taking.all_at_once()
        else:
            taking.page()
            if not answer.has_more:
                taking.end_reading()
        applied = taking.applied
        applied.reports = taking.reports(now)
        reports.add(connection, applied.reports)
        if applied.complete:
            state.last_sync, state.last_error = now, None
        write_state(connection, state)
        return applied


class _Taking:
    """The taking of one answer, within a transaction."""

    def __init__(
        self, connection: sqlite3.Connection, state: State, chunk: Sequence[Entry], answer: Answer, *, watched: bool
    ) -> None:
        self.applied = Applied()
        self._connection = connection
        self._state = state
        self._answer = answer
        self._watched = watched
        outcomes = {outcome.id: outcome for outcome in answer.outcomes}
        self._judged = [
            _Judged(entry, outcomes.get(entry.id) or Outcome(id=entry.id, result="applied"))
            for entry in chunk
            if entry.state == PENDING
        ]

    def reports(self, now: int) -> list[Report]:
        found = [reports.report_of(one.entry, one.outcome, now) for one in self._judged]
        return [report for report in found if report is not None]

    def only_push(self) -> None:
        """Take what became of the diffs; what was told is left to the reading that follows."""
        again = {
            one.entry.key
            for one in self._judged
            if 0 < one.entry.offer < _TRIES and one.entry.type == "create" and one.outcome.result == "refused"
        }
        queue.try_again(self._connection, again)
        self._judged = [one for one in self._judged if one.entry.key not in again]
        with_looks = {one.entry.key for one in self._judged if not one.entry.offer}
        looks = Looks(self._connection, with_looks) if self._watched else None
        self._settle(TAKEN)
        redraw(self._connection, with_looks)
        self.applied.changed = looks.changed() if looks else []

    def all_at_once(self) -> None:
        """Take an answer that holds all that changed since the base."""
        pushed = {one.entry.key for one in self._judged}
        told = self._to_keep()
        keys = pushed | {one.key for one in told}
        looks = Looks(self._connection, keys) if self._watched else None
        busy = set(queue.keys_in(self._connection))
        held = {key: records.get_row(self._connection, key) for key in keys}
        rows = dict(held)
        for one in self._judged:
            if one.counts:
                lost = {lost.field for lost in one.outcome.lost}
                rows[one.entry.key] = after(rows[one.entry.key], one.entry, lost)
        made_here = dict(rows)
        for diff in told:
            rows[diff.key] = told_over(rows[diff.key], diff)
        records.put_rows(
            self._connection, [(key, row) for key, row in rows.items() if row is not None and row is not held[key]]
        )
        self._settle(WITNESS)
        queue.drop_witnesses(self._connection, pushed)
        mark_unseen(self._connection, {key: row for key, row in made_here.items() if key in busy})
        redraw(self._connection, keys & busy)
        self._state.clock = self._answer.clock
        self.applied.complete = True
        self.applied.changed = looks.changed() if looks else []

    def page(self) -> None:
        """Take what became of the diffs, and stage what was told."""
        pushed = {one.entry.key for one in self._judged}
        looks = Looks(self._connection, pushed) if self._watched and self._answer.has_more else None
        rows: dict[Key, Row | None] = {}
        for diff in self._to_keep():
            before = None
            if diff.type == "update":  # a page tells records whole, unless it is an older server's
                before = rows.get(diff.key) or records.get_row(self._connection, diff.key, "staged")
                before = before or records.get_row(self._connection, diff.key)
            rows[diff.key] = told_over(before, diff)
        records.put_rows(self._connection, [(key, row) for key, row in rows.items() if row is not None], "staged")
        self._settle(TAKEN)
        if self._answer.has_more:  # else all is redrawn in a moment
            redraw(self._connection, pushed)
        self._state.cursor, self._state.page = self._answer.clock, self._answer.page
        self.applied.changed = looks.changed() if looks else []

    def end_reading(self) -> None:
        """Let what was staged take its place, all at once."""
        connection = self._connection
        whole = self._state.mode != "normal"
        looks = Looks.before_moving(connection, whole=whole) if self._watched else None
        made_here = {}
        for key in queue.keys_in(connection, state=TAKEN) + queue.keys_in(connection, state=PENDING):
            if key not in made_here:
                made_here[key] = _with_taken(connection, key)
        if not whole:
            records.put_rows(connection, [(key, row) for key, row in made_here.items() if row is not None])
        records.move_staged(connection, whole=whole)
        queue.bear_witness(connection)
        mark_unseen(connection, made_here)
        redraw_all(connection)
        self._state.mode, self._state.clock = "normal", self._answer.clock
        self._state.cursor = self._state.page = None
        self.applied.complete = True
        self.applied.changed = looks.changed() if looks else []

    def _settle(self, state: int) -> None:
        """Give the diffs that count this state, and drop the others."""
        self.applied.pushed = sum(not one.entry.offer for one in self._judged)
        queue.set_state(self._connection, [one.entry for one in self._judged if one.counts], state)
        queue.drop(self._connection, [one.entry for one in self._judged if not one.counts])
        for one in self._judged:
            if one.entry.type == "delete" and one.outcome.result == "refused":
                queue.lower_lives(self._connection, one.entry)

    def _to_keep(self) -> list[Told]:
        """Return what was told, less the deletes of what never came to be."""
        self.applied.received = len({diff.key for diff in self._answer.told})
        return [
            diff
            for diff in self._answer.told
            if diff.type != "delete"
            or diff.life
            or not self._answer.owner  # a server that tells no lives
            or records.get_row(self._connection, diff.key) is not None
        ]


def _with_taken(connection: sqlite3.Connection, key: Key) -> Row | None:
    """Return what a record becomes by the user's edits that the server has taken."""
    row = records.get_row(connection, key)
    for entry in queue.of_record(connection, key):
        if entry.state == TAKEN and not entry.offer:
            row = after(row, entry)
    return row
