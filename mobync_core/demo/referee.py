"""Says in words what the server decided, and why, from the outcomes that it explained."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mobync_core.demo.devices import Exchange, StoryTime


@dataclass(frozen=True, slots=True)
class _Edit:
    """A diff that a device sent. `timestamp` is what its clock said; `taken` the server's clock after it was taken."""

    device: str
    kind: str
    record: str
    fields: Mapping[str, Any]
    timestamp: int
    base: int
    taken: int

    def had_seen(self, other: _Edit) -> bool:
        return other.taken <= self.base or other.device == self.device


class Referee:
    """Remembers who won each field and who deleted each record, to say what a later edit was up against."""

    def __init__(self, time: StoryTime) -> None:
        self._time = time
        self._edits: dict[str, _Edit] = {}  # by the id of the diff
        self._fields: dict[tuple[str, str], _Edit] = {}
        self._deleted: dict[str, _Edit] = {}

    def judge(self, exchange: Exchange) -> list[str]:
        """Return a sentence for each decision of the server that is worth one."""
        sentences: list[str] = []
        plain = 0
        for sent, outcome in zip(exchange.request["diffs"], exchange.answer["outcomes"], strict=True):
            data = json.loads(sent["json_data"])
            edit = _Edit(
                device=exchange.device,
                kind=sent["type"],
                record=data.pop("id"),
                fields=data,
                timestamp=sent["utc_timestamp"],
                base=exchange.request["logical_clock"],
                taken=exchange.answer["logical_clock"],
            )
            found = list(self._decided(edit, outcome))
            if not found:
                plain += 1
            sentences += found
            self._edits[sent["id"]] = edit
            if outcome["result"] in ("applied", "merged"):
                self._remember(edit, {lost["field"] for lost in outcome.get("lost", ())})
        if plain:
            what = "Taken" if plain == 1 else f"{plain} edits taken"
            sentences.insert(0, f"{what}: no other device had edited the same.")
        return sentences

    def _decided(self, edit: _Edit, outcome: Mapping[str, Any]) -> Iterator[str]:
        result = outcome["result"]
        if result in ("applied", "merged"):
            lost = outcome.get("lost", ())
            for one in lost:
                yield self._lost(edit, one)
            for name in edit.fields.keys() - {one["field"] for one in lost}:
                yield from self._won(edit, name)
            yield from self._beside(edit)
        elif result == "dropped":
            yield self._dropped(edit, outcome)
        elif result == "repeated":
            yield (
                f"The {edit.device} sent {_quoted(edit.record)} again, for it could not know. The server remembers "
                "this very edit, so nothing is done twice."
            )
        else:
            yield f"{edit.device}'s {edit.kind} of {_quoted(edit.record)}: {result}, {outcome.get('reason', '')}"

    def _lost(self, edit: _Edit, lost: Mapping[str, Any]) -> str:
        winner = self._edits[lost["written_by"]]
        return self._later_wins(winner, _quoted(lost["kept"]), edit, _quoted(lost["value"]))

    def _won(self, edit: _Edit, name: str) -> Iterator[str]:
        before = self._fields.get((edit.record, name))
        if before is None or before.device == edit.device:
            return
        mine, theirs = _quoted(edit.fields[name]), _quoted(before.fields[name])
        if not edit.had_seen(before):
            yield self._later_wins(edit, mine, before, theirs)
        elif edit.timestamp < before.timestamp:
            yield (
                f"{mine} ({self._made(edit)}) wins over {theirs} ({self._made(before)}). The {edit.device} had seen "
                "what it replaced, so its edit is the newer one, whatever the clocks say. They only decide between "
                "edits that knew nothing of each other."
            )

    def _later_wins(self, winner: _Edit, value: str, loser: _Edit, beaten: str) -> str:
        return (
            f"{value} ({self._made(winner)}) wins over {beaten} ({self._made(loser)}). Neither had seen the other, so "
            "the later edit counts."
        )

    def _beside(self, edit: _Edit) -> Iterator[str]:
        for (record, name), other in self._fields.items():
            if record == edit.record and name not in edit.fields and not edit.had_seen(other):
                mine = ", ".join(f"the {field} {_quoted(value)}" for field, value in edit.fields.items())
                yield (
                    f"Both count: the {edit.device} set {mine}, the {other.device} the {name} "
                    f"{_quoted(other.fields[name])}. These are different fields, and each is merged on its own."
                )

    def _dropped(self, edit: _Edit, outcome: Mapping[str, Any]) -> str:
        deleted = self._deleted.get(edit.record)
        if deleted is None:
            return f"{edit.device}'s {edit.kind} of {_quoted(edit.record)} is dropped: {outcome['reason']}."
        return (
            f"{_quoted(edit.record)} stays deleted ({self._made(deleted)}). The {edit.device} edited it without "
            f"knowing ({self._made(edit)}), and a delete wins over what was done without knowing of it: nobody is left "
            "with half a record."
        )

    def _made(self, edit: _Edit) -> str:
        return f"{edit.device}, {self._time.says(edit.timestamp)}"

    def _remember(self, edit: _Edit, lost: set[str]) -> None:
        if edit.kind == "delete":
            self._deleted[edit.record] = edit
        for name in edit.fields.keys() - lost:
            self._fields[edit.record, name] = edit


def _quoted(value: Any) -> str:
    return f"“{value}”" if isinstance(value, str) else str(value)
