"""What must hold: of each answer, of what each request changes, and of what is left when everything has healed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mobync_core.testing.storm.ledger import Edit, Ledger, Rows
from mobync_core.testing.storm.server import Held

_SLACK = 50
"""ms by which stamps may have grown only because others came before them."""


class Violation(AssertionError):
    """Something that is promised did not hold: `promise` names it, `why` says what happened."""

    def __init__(self, promise: str, why: str) -> None:
        super().__init__(f"{promise}: {why}")
        self.promise = promise
        self.why = why


def check_answer(answer: Mapping[str, Any]) -> None:
    """The published client can read and order the answer, and sends nothing of it back as its own."""
    promise = "an answer can be applied by every client"
    diffs = answer["diffs"]
    places = [(diff["logical_clock"], diff["utc_timestamp"]) for diff in diffs]
    if len(set(places)) != len(places):
        raise Violation(promise, "two told diffs are equal in (clock, timestamp)")
    if places != sorted(places):
        raise Violation(promise, "the told diffs are not in the order of their clocks")
    if len({diff["id"] for diff in diffs}) != len(diffs):
        raise Violation(promise, "two told diffs have one id")
    for diff in diffs:
        if not 0 <= diff["logical_clock"] < answer["logical_clock"] or diff["utc_timestamp"] < 0:
            raise Violation(promise, f"the told diff {diff['id']} has an impossible clock or timestamp")


def check_names(answer: Mapping[str, Any], told: dict[tuple[int, str, int], str], generation: int) -> None:
    """A change that is told again keeps its id. `told` are the ids so far; each restored backup is a new generation."""
    for diff in answer["diffs"]:
        change = f"{diff['type']} of {json.loads(diff['json_data'])['id']}", diff["logical_clock"]
        name = diff["id"].rstrip("+")  # marked if the request holds that very id
        before = told.setdefault((generation, *change), name)
        if before != name:
            raise Violation(
                "a change told again keeps its id", f"the {change[0]} at clock {change[1]} is {name}, and was {before}"
            )


def check_served(before: Held, after: Held, diffs: Sequence[Mapping[str, Any]], ledger: Ledger) -> None:
    """No edit is undone: what a request changed takes the place of what it had seen, or reached the stamp of.

    `before` and `after` are what the server held before and after the request with these diffs.
    """
    times: dict[str, int] = {}
    kinds: dict[str, set[str]] = {}
    for diff in diffs:
        data = json.loads(diff["json_data"])
        kinds.setdefault(data.pop("id"), set()).add(diff["type"])
        for value in data.values():
            times[value] = max(diff["utc_timestamp"], times.get(value, 0))
    for record, entry in after.records.items():
        held = before.records.get(record)
        if held is not None and held.clock == entry.clock:
            continue
        was_alive = held is not None and not held.deleted
        if was_alive == entry.deleted and not kinds.get(record, set()) & {"delete" if was_alive else "create"}:
            raise Violation(
                "a record comes and goes only by a diff", f"{record} is not what it was, and nobody said so"
            )
        for name, register in entry.body.fields.items():
            value = register.value
            ledger.stamps[value] = max(register.stamp, ledger.stamps.get(value, 0))
            if value in ledger.overtaken.get((record, name), ()):
                raise Violation(
                    "no edit is undone by what it had seen",
                    f"{record}.{name} is {value}, though an edit was taken that had seen that",
                )
            old = held.body.fields.get(name) if held is not None and held.body.life == entry.body.life else None
            if old is None or old.value == value or old.value in ledger.ancestors(value):
                continue
            # It may have come over one that was sent along, and came to the stamp.
            reached = max(times.get(one, -1) for one in [value, *ledger.ancestors(value)])
            if reached < old.stamp:
                raise Violation(
                    "of two edits that knew nothing of each other the later one counts",
                    f"{record}.{name} became {value}, sent with the timestamp {times.get(value)}, in place of "
                    f"{old.value} with the stamp {old.stamp}",
                )
    for record, held in before.records.items():
        if record not in after.records:
            raise Violation(
                "a record comes and goes only by a diff", f"{record} ({held.clock}) is gone without a trace"
            )


def check_stored(held: Held, ledger: Ledger) -> None:
    """One entry for each record, live or deleted."""
    promise = "one entry for each record"
    if held.count != len(held.records):
        raise Violation(promise, f"{held.count} entries of {len(held.records)} records")
    clocks = {entry.clock for entry in held.records.values()}
    if len(clocks) != held.count or max(clocks, default=-1) >= held.clock:
        raise Violation(promise, f"the clocks {sorted(clocks)} of {held.count} entries, under the clock {held.clock}")
    if unknown := held.records.keys() - ledger.by_record.keys():
        raise Violation(promise, f"nobody ever wrote {', '.join(sorted(unknown))}")


def check_equal(who: str, rows: Rows, wanted: Rows, whose: str) -> None:
    """Both show the same."""
    if rows == wanted:
        return
    told = [
        f"{record} is {_shown(rows.get(record))} on {who}, {_shown(wanted.get(record))} on {whose}"
        for record in sorted(rows.keys() | wanted.keys())
        if rows.get(record) != wanted.get(record)
    ]
    raise Violation("all devices and the server are equal", "; ".join(told[:5]))


def check_kept(rows: Rows, ledger: Ledger) -> None:
    """No edit is lost, and nothing deleted is back. `rows` are what is left when everything has healed."""
    for record, edits in ledger.by_record.items():
        deletes = ledger.deletes(record)
        held = rows.get(record)
        if held is not None:
            _check_gone(record, edits, deletes)
        for edit in edits:
            if (
                edit.is_void
                or edit.kind == "delete"
                or any(not (edit.root or edit).has_heard(delete) for delete in deletes)
            ):
                continue
            for name, value in edit.values.items():
                now = None if held is None else held.get(name)
                if now == value or name in edit.excused or _is_below_floor(edit, edits, ledger):
                    continue
                if not _is_replaced(edit, name, edits, ledger):
                    raise Violation(
                        "no edit is lost",
                        f"{edit.name()}, which {'never arrived' if edit.arrived is None else 'arrived'}, is lost: "
                        f"{record}.{name} is {now}",
                    )


def _check_gone(record: str, edits: Sequence[Edit], deletes: Sequence[Edit]) -> None:
    creates = [edit for edit in edits if edit.kind == "create" and not edit.is_refused and edit.arrived is not None]
    for delete in deletes:
        if delete.is_void or delete.arrived is None or "" in delete.excused:
            continue
        if delete.root is not None and (delete.root.lost or (delete.root.last or 0) > (delete.last or 0)):
            continue  # the server was given both, of which nothing is left behind, and the create alone after that
        if all(delete.knows(create) and not create.is_back for create in creates):
            raise Violation(
                "what was deleted stays deleted",
                f"{record} is back, though {delete.name()} knew of every create of it",
            )


def _is_replaced(edit: Edit, name: str, edits: Iterable[Edit], ledger: Ledger) -> bool:
    """Say whether an edit that had seen this one took its place, or one that came to its stamp."""
    value = edit.values[name]
    least = ledger.stamps.get(value, edit.time) - _SLACK
    for other in edits:
        if other is edit or name not in other.values or other.is_refused or other.arrived is None:
            continue
        if value in other.seen[name]:
            return True
        if other.values[name] not in edit.seen[name] and ledger.stamps.get(other.values[name], other.time) >= least:
            return True
    return False


def _is_below_floor(edit: Edit, edits: Iterable[Edit], ledger: Ledger) -> bool:
    """Say whether an edit is beyond what is promised: of a life that two devices began without knowing of each other.

    A client that does not say which life it means must then come above all stamps of the last; its clock may be behind.
    """
    if edit.says_lives or (edit.root or edit).kind != "create":
        return False
    begun = any(other.kind == "create" and not edit.knows(other) for other in edits if other is not edit)
    stamps = [ledger.stamps.get(value, 0) for other in edits if other is not edit for value in other.values.values()]
    return begun and max([other.time for other in edits if edit.knows(other)] + stamps, default=0) >= edit.time


def _shown(fields: Mapping[str, str] | None) -> str:
    if fields is None:
        return "missing"
    return "{" + ", ".join(f"{name}={value}" for name, value in sorted(fields.items())) + "}"
