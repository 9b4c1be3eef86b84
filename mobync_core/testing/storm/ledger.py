"""Remembers every edit of a history and what its device had seen: what may take the place of what follows from that.

Every value that a device writes is unique, and so names its edit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Cell: TypeAlias = tuple[str, str]
"""(record, field)."""

Rows: TypeAlias = Mapping[str, Mapping[str, str]]
"""By the record's id, its fields."""


@dataclass(eq=False, slots=True, kw_only=True)
class Edit:
    """One edit.

    `device` is the number of the installation that made it, `time` that device's own in ms. `known` is the moment until
    which the device had been told everything. `values` are by field, and `seen` the values of it that the device had
    seen.
    """

    kind: Literal["create", "update", "delete"]
    device: int
    record: str
    time: int
    known: int
    is_refused: bool
    """Whether the application's rules refuse it."""

    is_void: bool
    """Whether it has, or may have, no effect: it is refused, or what it stands on is."""

    says_lives: bool
    """Whether its client says which life of a record it means, as the published one does not."""

    values: Mapping[str, str]
    seen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    number: int = 0
    arrived: int | None = None
    """The moment at which the server was first given it; None if it never was."""

    first: int | None = None
    last: int | None = None
    """The first and the last moment at which the server was given it, since it last lost it if it did."""

    lost: int = 0
    """The moment at which the server last lost it, as a backup was restored; 0 if it never did."""

    heard: frozenset[int] = frozenset()
    """Of what the server lost, the devices that had been told of it before, in so many words."""

    excused: set[str] = field(default_factory=set)
    """The fields, "" for a delete, of which nothing need be left: all who held them are gone."""

    holders: dict[str, set[int]] = field(default_factory=dict)
    is_forgotten: bool = False
    """The server has purged the tombstone of what this created: sent again, nothing tells that it was deleted."""

    is_back: bool = False
    """And it was sent again."""

    root: Edit | None = None
    """The create of the record, if the device had yet to hear what became of it: what it did not know, this did not.

    Of a delete it is set for the published client alone, which cannot say that the create may have arrived.
    """

    def knows(self, other: Edit) -> bool:
        """Say whether the device had seen the other edit when it made this one."""
        return self._was_told(other, other.first)

    def has_heard(self, other: Edit) -> bool:
        """Say whether, besides, the other edit did not come to the server again since."""
        return self._was_told(other, other.last)

    def _was_told(self, other: Edit, moment: int | None) -> bool:
        if other.device == self.device:
            return other.number < self.number
        if other.lost and self.known < other.lost:
            if other.kind == "delete" and self.device not in other.heard:
                return False  # of what came and went nothing was there to be told
            moment = other.arrived
        elif other.lost and self.device in other.heard:
            return True
        return moment is not None and moment <= self.known

    def arrives(self, moment: int) -> None:
        """The server is given the edit."""
        if self.arrived is None:
            self.arrived = moment
        if self.first is None:
            self.first = moment
        self.last = moment

    def is_lost(self, moment: int, heard: frozenset[int]) -> None:
        """The server loses the edit at this moment; these devices had been told of it."""
        self.lost, self.heard, self.first, self.last = moment, heard | self.heard, None, None

    def name(self) -> str:
        """How people are told of it."""
        if self.kind == "delete":
            return f"the delete of {self.record} (edit {self.number})"
        values = ", ".join(f"{name}={value}" for name, value in self.values.items())
        return f"the {self.kind} of {self.record} with {values}"


class Ledger:
    """All edits of a history, and what each device has seen.

    A moment is the number of the request that was last served.
    """

    def __init__(self) -> None:
        self.edits: list[Edit] = []
        self.by_record: dict[str, list[Edit]] = {}
        self.of_value: dict[str, tuple[Edit, str]] = {}
        self.overtaken: dict[Cell, set[str]] = {}
        self.stamps: dict[str, int] = {}
        """The greatest stamp that the server was seen to give a value."""

        self._values = itertools.count(1)
        self._numbers = itertools.count(1)
        self._seen: dict[int, dict[Cell, set[str]]] = {}
        self._deletes: dict[str, Edit] = {}  # by the id of the diff

    def new_values(self, names: Iterable[str]) -> dict[str, str]:
        """Make a value for each field."""
        return {name: f"v{next(self._values)}" for name in names}

    def add(self, edit: Edit, diff: str) -> None:
        """Remember an edit that a device has made, as the diff of that id."""
        edit.number = next(self._numbers)
        held = self._seen.setdefault(edit.device, {})
        edit.seen = {name: frozenset(held.get((edit.record, name), ())) for name in edit.values}
        for name, value in edit.values.items():
            held.setdefault((edit.record, name), set()).add(value)
            self.of_value[value] = edit, name
        if edit.kind == "delete":
            self._deletes[diff] = edit
        self.edits.append(edit)
        self.by_record.setdefault(edit.record, []).append(edit)

    def ancestors(self, value: str) -> frozenset[str]:
        """The values that the device had seen of the field when it wrote this one."""
        edit, name = self.of_value[value]
        return edit.seen[name]

    def learn(self, device: int, rows: Rows) -> None:
        """A device shows these rows."""
        seen = self._seen.setdefault(device, {})
        for record, fields in rows.items():
            for name, value in fields.items():
                known = seen.setdefault((record, name), set())
                if value not in known:
                    known.add(value)
                    known.update(self.ancestors(value))

    def arrive(self, moment: int, written: Iterable[str], deletes: Iterable[tuple[str, str]]) -> None:
        """The server was given these values, and deletes: the id of each diff, and the record."""
        for value in written:
            edit, name = self.of_value[value]
            edit.arrives(moment)
            edit.is_back |= edit.is_forgotten
            if not edit.is_refused:
                self.overtaken.setdefault((edit.record, name), set()).update(edit.seen[name])
        for diff, record in deletes:
            known = self._deletes.get(diff)
            # A device that offers what it holds after a restore tells of a delete under another name.
            for delete in [known] if known is not None else self.deletes(record):
                if known is not None or delete.lost:
                    delete.arrives(moment)

    def purged(self, records: Iterable[str]) -> None:
        """The server has forgotten that these records were deleted."""
        for record in records:
            for edit in self.by_record.get(record, ()):
                edit.is_forgotten = edit.kind == "create" and edit.arrived is not None

    def restored(
        self,
        backup: int,
        moment: int,
        known: Mapping[int, int],
        holding: Mapping[int, Rows],
        complete_since: Mapping[int, int],
    ) -> None:
        """At this moment the server has again what it had at that of the backup.

        `known` is for each installation the moment until which it was told everything. What the server was given since
        the backup must come back if one still has it: `holding` are the rows that some show, and `complete_since` when
        they last read the whole list, before which they remember no deletes.
        """
        self.overtaken = {}
        for edit in self.edits:
            if edit.first is None:
                continue
            if edit.first <= backup:
                if not edit.is_refused:
                    self._overtake(edit)
                continue
            first = edit.first
            edit.is_lost(moment, frozenset(self._told_of(edit, first, known)))
            if edit.is_void:
                continue
            if edit.kind == "delete":
                holders = {
                    "": {
                        device
                        for device, since in complete_since.items()
                        if self._remembers(device, since, known[device], edit, first)
                    }
                }
            else:
                holders = {
                    name: {device for device, rows in holding.items() if rows.get(edit.record, {}).get(name) == value}
                    for name, value in edit.values.items()
                }
            edit.excused |= {name for name, devices in holders.items() if not devices}
            edit.holders = holders

    def discard(self, device: int) -> None:
        """An installation is gone, with all that it had not sent."""
        for edit in self.edits:
            if edit.device == device and edit.arrived is None:
                edit.excused |= {"", *edit.values}
            for name, devices in edit.holders.items():
                if device in devices:
                    devices.remove(device)
                    if not devices:
                        edit.excused.add(name)

    def deletes(self, record: str) -> Sequence[Edit]:
        """The deletes of a record that were meant to have an effect."""
        return [edit for edit in self.by_record.get(record, ()) if edit.kind == "delete" and not edit.is_refused]

    def _told_of(self, edit: Edit, arrived: int, known: Mapping[int, int]) -> Iterable[int]:
        """Those who were told of it in so many words: who never had a record is not told that it was deleted."""
        return (
            device
            for device, until in known.items()
            if until >= arrived and (edit.kind != "delete" or self._had(device, edit.record))
        )

    def _remembers(self, device: int, since: int, until: int, delete: Edit, arrived: int) -> bool:
        if delete.device == device:
            return delete.known >= since
        return self._had(device, delete.record) and since < arrived <= until

    def _had(self, device: int, record: str) -> bool:
        """Say whether a device was ever told of a record by others."""
        return any(
            self.of_value[value][0].device != device
            for (held, _), values in self._seen.get(device, {}).items()
            if held == record
            for value in values
        )

    def _overtake(self, edit: Edit) -> None:
        for name, seen in edit.seen.items():
            self.overtaken.setdefault((edit.record, name), set()).update(seen)
