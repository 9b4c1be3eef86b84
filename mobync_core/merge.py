"""The merge: a pure function from what an owner held and what a client sent to what it holds then.

The rules, and their numbers in the comments, are those of `docs/protocol.md`, "The merge".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from mobync_core.diffs import Edit, Refusal
from mobync_core.fold import same
from mobync_core.records import Body, Entry, Register, entry_of
from mobync_core.storage import Key, Snapshot
from mobync_core.ties import in_order_made
from mobync_core.wire import Lost, Result

_ALL_SEEN = 2**62  # a base that no clock reaches


class Batch(Struct, frozen=True):
    """What a client sent: its edits in the order that they came, echoes among them.

    It has seen every change whose clock is smaller than `base`. `in_order` says that it keeps its queue in the
    order made, even within a millisecond; `dated` that it had seen less when it made an edit whose own clock is
    smaller.
    """

    base: int
    edits: Sequence[Edit]
    in_order: bool = False
    dated: bool = False


class Verdict(Struct):
    """What became of one edit."""

    result: Result
    code: str = ""
    reason: str = ""
    lost: list[Lost] = []


class Named(Struct):
    """A record that the batch is about: how it is now (None: there is none), and its edits in the order judged.

    `unsure` says that the client may have made them in another order, and have another row than that leaves.
    """

    entry: Entry | None
    judged: list[tuple[Edit, Verdict]]
    unsure: bool


class Merged(Struct):
    """What the merge found.

    `clock` is the owner's next one. `changed` are the records to write; those at the end may have only a risen
    floor. `verdicts` go with the batch's edits.
    """

    clock: int
    changed: list[Entry]
    named: dict[Key, Named]
    verdicts: list[Verdict]


def merge(snapshot: Snapshot, batch: Batch, *, now: int, rejected: Mapping[Key, Refusal] | None = None) -> Merged:
    """Judge every edit of `batch` against what the owner held.

    `snapshot.named` must hold the records that the batch is about. `now` is the UTC time in ms. The edits of the
    records in `rejected` are refused, for the reason given there.
    """
    held = {record.key: record for record in snapshot.named}
    verdicts: list[Verdict] = []
    sent: dict[Key, list[tuple[Edit, Verdict]]] = {}
    slots: list[Key] = []
    for edit in batch.edits:
        verdict = _first_verdict(edit, rejected)
        verdicts.append(verdict)
        if edit.key is not None:
            sent.setdefault(edit.key, []).append((edit, verdict))
            slots.append(edit.key)

    merges: dict[Key, _RecordMerge] = {}
    for key, pairs in sent.items():
        record = held.get(key)
        merges[key] = _RecordMerge(key, entry_of(record) if record is not None else None, pairs, batch)

    # Every record that changes gets a clock of its own, in the order in which the batch first changes it.
    clock = snapshot.clock
    changed: list[Entry] = []
    for key in slots:
        one = merges[key]
        if one.step(clock, now):
            assert one.entry is not None
            changed.append(one.entry)
            clock += 1
    changed += [one.entry for one in merges.values() if one.entry and one.floor_rose and not one.changed]
    if changed:
        clock = max(clock, snapshot.clock + 1)
    elif batch.edits:  # the client must be advanced, or it would not take what it is told
        clock = max(clock, batch.base + 1)
    return Merged(
        clock,
        changed,
        {key: Named(one.entry, one.pairs, one.unsure) for key, one in merges.items()},
        verdicts,
    )


def replay(entry: Entry | None, edit: Edit, clock: int) -> Entry | None:
    """Do to a record what an edit once did, which was taken at this clock; `entry` itself is changed.

    All that such an edit could have lost to has been left out of it: it is merged as one that had seen everything.
    For `changed_at` its timestamp stands in.
    """
    assert edit.key is not None
    one = _RecordMerge(edit.key, entry, [(edit, _first_verdict(edit, None))], Batch(_ALL_SEEN, (edit,), in_order=True))
    one.step(clock, edit.timestamp)
    return one.entry


def _first_verdict(edit: Edit, rejected: Mapping[Key, Refusal] | None) -> Verdict:
    if edit.is_echo:
        return Verdict("echo", reason="this server issued it; it is no edit")
    refusal = edit.refusal
    if refusal is None and rejected and edit.key is not None:
        refusal = rejected.get(edit.key)
    if refusal is not None:
        return Verdict("refused", refusal.code, refusal.reason)
    return Verdict("applied")


class _RecordMerge:
    """The merge of one record: judges its edits one at a time, in order."""

    def __init__(self, key: Key, entry: Entry | None, pairs: list[tuple[Edit, Verdict]], batch: Batch) -> None:
        self.key = key
        self.entry = entry
        self.pairs = pairs
        self.changed = False
        self.floor_rose = False
        self._batch = batch
        self._base = batch.base  # of the edit that is judged
        self._earlier: set[str] = set()  # ids of the batch's diffs of this record so far
        self._own_life = False  # a create earlier in the batch was taken, and not deleted since
        self._next = 0
        self.unsure = False
        if len(pairs) > 1 and not batch.in_order:
            edits, self.unsure = in_order_made(entry, [edit for edit, _ in pairs], batch.base)
            verdicts = {id(edit): verdict for edit, verdict in pairs}
            self.pairs = [(edit, verdicts[id(edit)]) for edit in edits]
        if entry is not None:
            _mark_repeated(entry.body, self.pairs)
        if len(pairs) > 1:
            _mark_cancelled(entry, self.pairs)

    def step(self, clock: int, now: int) -> bool:
        """Judge the next edit. Return True if it is the first to change the record, which then has `clock`."""
        edit, verdict = self.pairs[self._next]
        self._next += 1
        if self._batch.dated:
            self._base = min(self._batch.base, edit.order[0])
        first = False
        if verdict.result == "applied":
            before = self.changed
            if edit.type == "delete":
                self._delete(edit, verdict, clock, now)
            else:
                self._edit(edit, verdict, clock, now)
                if edit.ignored and verdict.result in ("applied", "merged"):
                    _tell_ignored(edit, verdict, self.entry)
            first = self.changed and not before
        elif verdict.result in ("repeated", "cancelled") and edit.type != "update":
            self._own_life = edit.type == "create"
        self._earlier.add(edit.id)
        return first

    def _seen(self, clock: int, written_by: str) -> bool:
        return clock < self._base or written_by in self._earlier

    def _is_that_write(self, register: Register, value: Any, edit: Edit) -> bool:
        """Say whether another device tells of the write that the register has; who had seen it means another one."""
        return (
            edit.timestamp == register.stamp
            and same(value, register.value)
            and not self._seen(register.clock, register.written_by)
        )

    def _knows_life(self, body: Body, edit: Edit) -> bool:
        """Say whether an update or a delete is meant for the life that the record is in."""
        if edit.life:
            return edit.life >= body.life
        return body.life == 1 or self._seen(body.created, body.created_by)

    def _touch(self, entry: Entry, clock: int, now: int) -> None:
        if not self.changed:
            self.changed = True
            entry.clock = clock
            entry.changed_at = now

    def _delete(self, edit: Edit, verdict: Verdict, clock: int, now: int) -> None:
        self._own_life = False
        entry = self.entry
        if entry is None and edit.life:  # 1, and nobody may bring it back who did not know
            self.entry = entry = Entry(self.key, 0, False, 0, Body(clock, "", edit.life))
        if entry is None or entry.deleted:  # 1
            verdict.reason = "there is no such record to delete"
            if entry is not None and edit.life > entry.body.life:
                entry.body.life = edit.life
                self.floor_rose = True
            return
        body = entry.body
        if not self._knows_life(body, edit):  # 3
            verdict.result = "dropped"
            verdict.reason = f"it was meant for an earlier life; the record was created again by {body.created_by}"
            return
        self._touch(entry, clock, now)  # 2
        entry.deleted = True
        body.life = max(body.life, edit.life)
        body.deleted_by = edit.id
        body.floor = max(body.floor, edit.timestamp, *(field.stamp for field in body.fields.values()))
        body.fields = {}

    def _edit(self, edit: Edit, verdict: Verdict, clock: int, now: int) -> None:
        entry = self.entry
        if entry is None:  # 4
            if edit.type == "update":
                verdict.result, verdict.code = "refused", "no_such_object"
                verdict.reason = "there is no such record to update"
                return
            # Where devices offer what they hold, others may still bring something of the lives before.
            floor = edit.timestamp - 1 if edit.life > 1 and self._base == 0 else -1
            self.entry = entry = Entry(self.key, 0, False, 0, Body(0, "", floor=floor))
            self._begin_life(entry, edit, max(1, edit.life), clock, now)
        elif entry.deleted:
            self._edit_deleted(entry, edit, verdict, clock, now)
        else:
            self._edit_alive(entry, edit, verdict, clock, now)

    def _edit_deleted(self, entry: Entry, edit: Edit, verdict: Verdict, clock: int, now: int) -> None:
        body = entry.body
        if edit.type == "create" and (edit.life > body.life or self._seen(entry.clock, body.deleted_by)):  # 5
            entry.deleted = False
            self._begin_life(entry, edit, max(body.life + 1, edit.life), clock, now)
            return
        verdict.result = "dropped"
        verdict.reason = f"the record was deleted by {body.deleted_by}, which this device had not seen"
        if edit.timestamp > body.floor:
            body.floor = edit.timestamp
            self.floor_rose = True

    def _begin_life(self, entry: Entry, edit: Edit, life: int, clock: int, now: int) -> None:
        self._touch(entry, clock, now)
        body = entry.body
        body.created, body.created_by, body.life = entry.clock, edit.id, life
        stamp = max(edit.timestamp, body.floor + 1)
        body.fields = {
            name: Register(value, stamp, entry.clock, edit.id)
            for name, value in edit.fields.items()
            if name not in edit.ignored
        }
        self._own_life = True

    def _edit_alive(self, entry: Entry, edit: Edit, verdict: Verdict, clock: int, now: int) -> None:
        body = entry.body
        if edit.type == "create" and edit.life > body.life and self._base == 0:  # 6, where a server lost a life
            body.floor = max([body.floor, *(field.stamp for field in body.fields.values())])
            self._begin_life(entry, edit, edit.life, clock, now)
            return
        seen_life = edit.life == body.life or self._seen(body.created, body.created_by)
        if edit.type == "create":
            self._own_life = True
        elif not (self._own_life or self._knows_life(body, edit)):  # 6
            verdict.result = "dropped"
            verdict.reason = f"it was meant for an earlier life; the record was created again by {body.created_by}"
            return
        self._edit_fields(entry, edit, verdict, clock, now, seen_life=seen_life)

    def _edit_fields(
        self, entry: Entry, edit: Edit, verdict: Verdict, clock: int, now: int, *, seen_life: bool
    ) -> None:
        body = entry.body
        won: dict[str, tuple[Any, int]] = {}
        lost: list[Lost] = []
        for name, value in edit.fields.items():  # 7
            if name in edit.ignored:
                continue
            register = body.fields.get(name)
            if register is None:
                if seen_life or edit.timestamp > body.floor:
                    won[name] = value, max(edit.timestamp, body.floor + 1)
                else:
                    lost.append(Lost(field=name, value=value, stamp=body.floor))
            elif self._is_that_write(register, value, edit):
                self._earlier.add(register.written_by)  # what comes after it had seen it
            elif edit.timestamp >= register.stamp or self._seen(register.clock, register.written_by):
                won[name] = value, max(edit.timestamp, register.stamp + 1)
            else:
                lost.append(
                    Lost(
                        field=name,
                        value=value,
                        stamp=register.stamp,
                        kept=register.value,
                        written_by=register.written_by,
                    )
                )
        if won:
            self._touch(entry, clock, now)
            for name, (value, stamp) in won.items():
                body.fields[name] = Register(value, stamp, entry.clock, edit.id)
        if lost:
            verdict.result, verdict.lost = "merged", lost
            verdict.reason = "edits that this device had not seen keep these fields: it did not reach their stamps"


def _tell_ignored(edit: Edit, verdict: Verdict, entry: Entry | None) -> None:
    """Say of the fields that a device may not write what became of them, unless it sent what they are anyway."""
    registers = entry.body.fields if entry is not None else {}
    lost = []
    for name in edit.fields.keys() & edit.ignored:
        register, value = registers.get(name), edit.fields[name]
        if register is None:
            if value is not None:
                lost.append(Lost(field=name, value=value, stamp=-1))
        elif register.value != value:
            lost.append(
                Lost(
                    field=name,
                    value=value,
                    stamp=register.stamp,
                    kept=register.value,
                    written_by=register.written_by,
                )
            )
    if lost:
        reason = f"devices may not write {', '.join(one.field for one in lost)}"
        verdict.reason = f"{verdict.reason}; {reason}" if verdict.lost else reason
        verdict.result, verdict.lost = "merged", [*verdict.lost, *lost]


def _mark_repeated(body: Body, pairs: Sequence[tuple[Edit, Verdict]]) -> None:
    """Mark the diffs that the record remembers, and all before them: an earlier delivery applied them."""
    remembered = {register.written_by for register in body.fields.values()}
    remembered.add(body.created_by)
    remembered.add(body.deleted_by)
    for last in range(len(pairs) - 1, -1, -1):
        edit, verdict = pairs[last]
        if verdict.result == "applied" and edit.id in remembered:
            for _, earlier in pairs[: last + 1]:
                if earlier.result == "applied":
                    earlier.result = "repeated"
                    earlier.reason = "an earlier delivery of this diff, or of a later one, was applied"
            return


def _mark_cancelled(entry: Entry | None, pairs: Sequence[tuple[Edit, Verdict]]) -> None:
    """Mark each create and all up to the delete that follows it: what came and went offline."""
    span: list[tuple[Edit, Verdict]] = []
    for edit, verdict in pairs:
        if edit.type == "delete" and verdict.result == "refused":
            return  # what comes after is about the record that is still there
        if verdict.result != "applied" or not (span or edit.type == "create"):
            continue
        span.append((edit, verdict))
        if edit.type == "delete":
            if not _may_be_there(entry, span[0][0], edit):
                for _, cancelled in span:
                    cancelled.result = "cancelled"
                    cancelled.reason = "the record was created and deleted before it was sent"
            span = []


def _may_be_there(entry: Entry | None, create: Edit, delete: Edit) -> bool:
    """Say whether the delete is of a record that came to the server before, as a create that names its life says."""
    if not create.life:
        return False
    if delete.life or entry is None or entry.deleted:
        return True
    # It came and was lost, and another device's is there, unless that is what this one had told it.
    registers = entry.body.fields
    return all(
        name in registers and registers[name].stamp == create.timestamp and same(value, registers[name].value)
        for name, value in create.fields.items()
    )
