"""A strict model of the published Dart client, to test and to show a server with.

It does what that client was found to do (protocol, "The wire"). What the client leaves to chance, such as the order of
diffs made in one millisecond, is decided by the `random.Random` that the model is given.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias, TypeGuard

_TYPES = ("create", "update", "delete")


def random_id() -> str:
    """Return an id that nothing else has."""
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class _Diff:
    """A diff as the client's table of diffs holds it: without an owner."""

    id: str
    clock: int
    timestamp: int
    type: str
    model: str
    json_data: str


DartState: TypeAlias = tuple[int, dict[tuple[str, str], dict[str, Any]], dict[str, _Diff]]


class DartDevice:
    """One installation of the published client: its rows, its table of diffs, its clock. It does no I/O.

    `token` is what it authenticates with, `now` returns the device's own time in ms, right or wrong, and `random`
    decides what the client leaves to chance. `new_id` names its diffs.

    `rows` maps (model, id) to the row's fields without the id, `clock` is its base. Post `request()` as JSON, and
    hand what a 2xx answer says to `receive`; of any other status the client learns nothing.
    """

    def __init__(
        self, token: str, *, now: Callable[[], int], random: Random, new_id: Callable[[], str] = random_id
    ) -> None:
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        self.clock = 0
        self._token = token
        self._now = now
        self._random = random
        self._new_id = new_id
        self._diffs: dict[str, _Diff] = {}

    def create(self, model: str, id: str, fields: Mapping[str, Any]) -> bool:
        """Insert a row and queue that. Return False, with nothing done, if there is such a row."""
        if (model, id) in self.rows:
            return False
        self._make("create", model, id, fields)
        return True

    def update(self, model: str, id: str, fields: Mapping[str, Any]) -> None:
        """Set fields of a row, if there is one, and queue that in any case."""
        self._make("update", model, id, fields)

    def delete(self, model: str, id: str) -> None:
        """Remove a row, if there is one, and queue that in any case."""
        self._make("delete", model, id, {})

    def request(self) -> dict[str, Any]:
        """Return the body to post: the base, and every stored diff whose clock is not below it.

        Among them are diffs of an answer that was applied only in part.
        """
        pending = self._in_order([diff for diff in self._diffs.values() if diff.clock >= self.clock])
        return {
            "auth_token": self._token,
            "logical_clock": self.clock,
            "diffs": [
                {
                    "id": diff.id,
                    "owner": "asdf",
                    "logical_clock": diff.clock,
                    "utc_timestamp": diff.timestamp,
                    "type": diff.type,
                    "model": diff.model,
                    "json_data": diff.json_data,
                }
                for diff in pending
            ],
        }

    def receive(self, answer: Mapping[str, Any], *, survive: int | None = None) -> bool:
        """Apply a 2xx answer. Return True if the device took it and moved its clock.

        It ignores an answer whose clock is not greater than its own, and one that holds a diff that it cannot read.
        With `survive`, the device is killed after so many steps, each a change of a row or the storing of a diff, and
        its clock stays.
        """
        clock, diffs = _read(answer)
        if diffs is None or clock <= self.clock:
            return False
        self._apply(self._in_order(diffs), survive)
        if survive is not None:
            return False
        self.clock = clock
        return True

    def save(self) -> DartState:
        """Return all that it holds, to be put back with `load`: its clock, its rows and its diffs."""
        return self.clock, {key: dict(row) for key, row in self.rows.items()}, dict(self._diffs)

    def load(self, state: DartState) -> None:
        """Hold again what it held when `save` returned this."""
        self.clock = state[0]
        self.rows = {key: dict(row) for key, row in state[1].items()}
        self._diffs = dict(state[2])

    def _make(self, kind: str, model: str, id: str, fields: Mapping[str, Any]) -> None:
        data = json.dumps({"id": id, **fields}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        diff = _Diff(self._new_id(), self.clock, self._now(), kind, model, data)
        self._change_row(diff)
        self._diffs[diff.id] = diff

    def _in_order(self, diffs: list[_Diff]) -> list[_Diff]:
        """Sort as the client does, by an unstable sort."""
        self._random.shuffle(diffs)
        return sorted(diffs, key=lambda diff: (diff.clock, diff.timestamp))

    def _apply(self, diffs: list[_Diff], survive: int | None) -> None:
        """Apply diffs without waiting for one to be stored before the row of the next is changed."""
        rows, stores = diffs[::-1], list[_Diff]()
        steps = 0
        while (rows or stores) and steps != survive:
            steps += 1
            if rows and (not stores or self._random.random() < 0.5):
                diff = rows.pop()
                if self._change_row(diff):
                    stores.append(diff)
            else:
                diff = stores.pop(0)
                self._diffs.setdefault(diff.id, diff)

    def _change_row(self, diff: _Diff) -> bool:
        """Do to the rows what a diff says, and say whether one was changed."""
        fields = json.loads(diff.json_data)
        key = diff.model, fields.pop("id")
        if diff.type == "create":
            if key in self.rows:
                return False
            self.rows[key] = fields
        elif key not in self.rows:
            return False
        elif diff.type == "update":
            self.rows[key].update(fields)
        else:
            del self.rows[key]
        return True


def _read(answer: Mapping[str, Any]) -> tuple[int, list[_Diff] | None]:
    """Return an answer's clock and diffs; no diffs at all if the client would fail at reading it."""
    clock, sent = answer.get("logical_clock"), answer.get("diffs")
    if not _is_count(clock) or not isinstance(sent, list):
        return 0, None
    diffs = [_read_diff(one) for one in sent]
    known = [diff for diff in diffs if diff is not None]
    return clock, known if len(known) == len(diffs) else None


def _read_diff(sent: Any) -> _Diff | None:
    if not isinstance(sent, Mapping):
        return None
    diff = _Diff(
        id=sent.get("id", ""),
        clock=sent.get("logical_clock", -1),
        timestamp=sent.get("utc_timestamp", -1),
        type=sent.get("type", ""),
        model=sent.get("model", ""),
        json_data=sent.get("json_data", ""),
    )
    texts = (diff.id, diff.model, diff.json_data)
    if not all(isinstance(text, str) and text for text in texts) or diff.type not in _TYPES:
        return None
    if not (_is_count(diff.clock) and _is_count(diff.timestamp)):
        return None
    try:
        data = json.loads(diff.json_data)
    except ValueError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("id"), str):
        return None
    return diff


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
