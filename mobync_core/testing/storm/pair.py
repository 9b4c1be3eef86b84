"""A server and two devices with one record, in small: their whole state can be taken, compared, and put back."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mobync_core.engine import Mobync
from mobync_core.records import Entry, entry_of
from mobync_core.testing.storm.checks import Violation, check_answer, check_equal
from mobync_core.testing.storm.cloned import Clonable, ClonedStorage, DartClone, ReplicaClone

START = 1_700_000_000_000  # ms
RECORD = "r"
OPERATIONS = ("write", "delete", "sync", "lose")
"""What a device does. To lose is a sync whose answer is lost; where the request is lost there was no sync at all."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a history may have come to: what everybody holds, and what was seen.

    An edit is named by its value, or, if it is a delete, by its diff's id. Of each device, `seen` are the edits that it
    had seen, `ancestors` what each edit's device had seen when it made that, and `arrived` what came to the server. Of
    the deletes, `told` are those that did something there: of what came and went in one request nobody is told.
    """

    held: object
    devices: tuple[object, ...]
    seen: tuple[frozenset[str], ...]
    ancestors: Mapping[str, frozenset[str]]
    arrived: frozenset[str]
    told: frozenset[str]


class Pair:
    """A server and two devices of these `kinds`. The second one's clock is `offset` ms ahead.

    What an operation makes is named and dated by its device and its number there, whatever was between.
    """

    def __init__(self, kinds: tuple[str, str], offset: int) -> None:
        self.kinds = kinds
        self._offsets = (0, offset)
        self._storage = ClonedStorage()
        self._mobync = Mobync(self._storage, now=lambda: START)
        self._operation = 0
        self._devices = [self._install(kind, number) for number, kind in enumerate(kinds)]
        self._seen: list[frozenset[str]] = [frozenset(), frozenset()]
        self._ancestors: Mapping[str, frozenset[str]] = {}
        self._arrived: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()

    def save(self) -> State:
        """Take the state."""
        held = tuple(device.save() for device in self._devices)
        return State(self._storage.held, held, tuple(self._seen), self._ancestors, self._arrived, self._told)

    def load(self, state: State) -> None:
        """Put a state back."""
        self._storage.held = state.held  # type: ignore[assignment]
        for device, saved in zip(self._devices, state.devices, strict=True):
            device.load(saved)
        self._seen, self._ancestors = list(state.seen), state.ancestors
        self._arrived, self._told = state.arrived, state.told

    def key(self) -> Hashable:
        """What two states must have in common to go on alike."""
        return (
            self._storage.held,
            tuple(device.key() for device in self._devices),
            tuple(self._seen),
            frozenset(self._ancestors.items()),
            self._arrived,
            self._told,
        )

    def do(self, number: int, operation: int, what: str) -> bool:
        """Have a device do something, as its operation of that number, and say whether it can. Raises `Violation`."""
        self._operation = operation
        device = self._devices[number]
        there = device.row(RECORD) is not None
        if what == "write":
            value = f"v{number}.{operation}"
            self._make(number, value)
            device.write(RECORD, {"x": value}, create=not there)
        elif what == "delete":
            if not there:
                return False
            self._make(number, f"{number}.{operation}")
            device.delete(RECORD)
        else:
            device.sync(lose=what == "lose")
            self._learn(number, *(self._told if what == "sync" else ()))
        return True

    def heal(self) -> None:
        """Let all sync until there is nothing new. Raises `Violation` if something is not as it was promised."""
        for _ in range(2):
            for device in self._devices:
                device.sync()
        if len(self._storage.held.records) > 1:
            raise Violation("one entry for each record", f"{len(self._storage.held.records)} entries of one record")
        row = self._mobync.get("ann", "todo", RECORD)
        wanted = {} if row is None else {RECORD: {"x": row["x"]}}
        told = [(f"device {number} ({kind})", self._devices[number]) for number, kind in enumerate(self.kinds)]
        for number, kind in enumerate(("dart", "replica"), 2):
            fresh = self._install(kind, number)
            fresh.sync()
            told.append((f"a fresh {kind}", fresh))
        for name, device in told:
            shown = device.row(RECORD)
            check_equal(name, {} if shown is None else {RECORD: shown}, wanted, "the server")

    def _install(self, kind: str, number: int) -> Clonable:
        made: type[DartClone] | type[ReplicaClone] = DartClone if kind == "dart" else ReplicaClone
        return made(
            self._post,
            lambda: self._time(number, self._operation),
            lambda: f"{number}.{self._operation}",
        )

    def _time(self, number: int, operation: int) -> int:
        """When a device does its operation of that number, by its own clock."""
        return START + 1_000 * operation + 100 * number + (self._offsets[number] if number < 2 else 0)

    def _make(self, number: int, edit: str) -> None:
        self._learn(number)
        self._ancestors = {**self._ancestors, edit: self._seen[number]}
        self._seen[number] |= {edit}

    def _learn(self, number: int, *edits: str) -> None:
        """A device sees these edits, and those that it shows: with them, what their devices had seen."""
        seen = self._seen[number]
        for row in (self._devices[number].row(RECORD), self._devices[number].told_row(RECORD)):
            if row is not None:
                edits = *edits, row["x"]
        for edit in edits:
            if edit not in seen:
                seen |= {edit, *self._ancestors[edit]}
        self._seen[number] = seen

    def _post(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Serve a request, twice: the second time must change nothing."""
        asked = {name: value for name, value in request.items() if name not in ("logical_clock", "diffs", "auth_token")}
        before = self._entry()
        answer = self._mobync.apply(request["logical_clock"], request["diffs"], "ann", **asked)
        stored = self._storage.held
        self._mobync.apply(request["logical_clock"], request["diffs"], "ann", **asked)
        if self._storage.held != stored:
            raise Violation("a request that is sent again changes nothing", json.dumps(request["diffs"]))
        check_answer(answer)
        sent = {
            diff["id"] if diff["type"] == "delete" else json.loads(diff["json_data"])["x"] for diff in request["diffs"]
        }
        edits = sent & self._ancestors.keys()
        self._arrived |= edits
        after = self._entry()
        if before != after:
            self._told |= {edit for edit in edits if _is_delete(edit)}
        self._check_change(before, after, request["diffs"])
        self._check_kept(after)
        return answer

    def _entry(self) -> Entry | None:
        return next((entry_of(record) for record in self._storage.held.records), None)

    def _check_change(self, before: Entry | None, after: Entry | None, diffs: Sequence[Mapping[str, Any]]) -> None:
        """What a request changed takes the place of what it had seen, or came to the stamp of that."""
        if before is None or after is None or before.deleted or after.deleted or before.body.life != after.body.life:
            return
        old, new = before.body.fields["x"], after.body.fields["x"]
        known = self._ancestors[new.value]
        if old.value == new.value or old.value in known:
            return
        sent = [diff for diff in diffs if json.loads(diff["json_data"]).get("x") in {new.value, *known}]
        reached = max((diff["utc_timestamp"] for diff in sent), default=-1)
        if reached < old.stamp:
            raise Violation(
                "of two edits that knew nothing of each other the later one counts",
                f"{new.value}, of {reached}, took the place of {old.value}, whose stamp was {old.stamp}",
            )

    def _check_kept(self, entry: Entry | None) -> None:
        """No edit is undone, and none is lost but to one that had seen it, to a later one, or to a delete."""
        stands = None if entry is None or entry.deleted else entry.body.fields["x"]
        overtaken = frozenset[str]().union(*(self._ancestors[edit] for edit in self._arrived))
        if stands is not None and stands.value in overtaken:
            raise Violation(
                "no edit is undone by what it had seen",
                f"{stands.value} stands, though an edit was taken that had seen it",
            )
        deletes = {edit for edit in self._arrived if _is_delete(edit)}
        for edit in self._arrived - deletes - overtaken:
            if (stands is not None and stands.value == edit) or not deletes <= self._ancestors[edit]:
                continue
            number, operation = map(int, edit.removeprefix("v").split("."))
            if stands is None or stands.stamp < self._time(number, operation):
                raise Violation("no edit is lost", f"{edit} came to the server, and {stands and stands.value} stands")


def _is_delete(edit: str) -> bool:
    return not edit.startswith("v")
