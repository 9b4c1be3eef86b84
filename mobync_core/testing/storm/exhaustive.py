"""All there is, in small: every interleaving of two devices with a few operations each, of which answers may be lost.

It goes from state to state, and joins equal ones: so it tries far more interleavings than it takes steps, and counts
them all.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

from mobync_core.engine import Mobync
from mobync_core.testing.storm.checks import Violation, check_answer, check_equal
from mobync_core.testing.storm.cloned import Clonable, ClonedStorage, DartClone, ReplicaClone

START = 1_700_000_000_000  # ms
RECORD = "r"
PAIRS = (("dart", "dart"), ("dart", "replica"), ("replica", "replica"))
OFFSETS = (0, -3_600_000, 3_600_000)
"""How many ms the second device's clock is ahead of the first one's."""

Operation: TypeAlias = tuple[int, str]
"""The number of a device, and what it does: write, delete, sync, or lose, which is a sync whose answer is lost."""

_OPERATIONS = ("write", "delete", "sync", "lose")


@dataclass(frozen=True, slots=True)
class Exhausted:
    """What trying all came to. `why` tells what did not hold, after which `history`; else both are empty."""

    interleavings: int
    states: int
    seconds: float
    why: str = ""
    history: Sequence[str] = ()

    @property
    def is_clean(self) -> bool:
        return not self.why


@dataclass(frozen=True, slots=True)
class _State:
    """Where a history may have come to: what everybody holds, and what each device has seen.

    Each value names the edit that wrote it. `ancestors` are the values that its device had seen then, `overtaken` those
    that some edit which came to the server had seen.
    """

    held: object
    devices: tuple[object, ...]
    seen: tuple[frozenset[str], ...]
    ancestors: Mapping[str, frozenset[str]]
    overtaken: frozenset[str]


_Path: TypeAlias = tuple["_Path", Operation] | None


def exhaust(
    operations: int,
    pairs: Sequence[tuple[str, str]] = PAIRS,
    offsets: Sequence[int] = OFFSETS,
    progress: Callable[[int], None] | None = None,
) -> Exhausted:
    """Try every interleaving of so many `operations` of each device, for each pair of clients and offset of clocks.

    `progress` is called now and then with how many states there were so far.
    """
    began = time.monotonic()
    interleavings = states = 0
    for pair, offset in product(pairs, offsets):
        world = _World(pair, offset)
        try:
            for paths in world.explore(operations):
                interleavings += paths
                states += 1
                if progress is not None and states % 100 == 0:
                    progress(states)
        except Violation as violation:
            told = [f"{' and '.join(pair)}, the second one's clock {offset} ms ahead", *world.told()]
            return Exhausted(interleavings, states, time.monotonic() - began, str(violation), told)
    return Exhausted(interleavings, states, time.monotonic() - began)


class _World:
    """A server and two devices, which are put into one state after the other."""

    def __init__(self, pair: tuple[str, str], offset: int) -> None:
        self._storage = ClonedStorage()
        self._mobync = Mobync(self._storage, now=lambda: START)
        self._offsets = (0, offset)
        self._pair = pair
        self._devices = [self._install(kind, number) for number, kind in enumerate(pair)]
        self._operation = 0
        self._ancestors: dict[str, frozenset[str]] = {}
        self._seen: list[frozenset[str]] = [frozenset(), frozenset()]
        self._overtaken: frozenset[str] = frozenset()
        self._path: _Path = None

    def explore(self, operations: int) -> Iterator[int]:
        """Go everywhere. Yield, for each state at an end, in how many ways it was come to. Raises `Violation`."""
        level: dict[object, tuple[_State, tuple[int, int], int, _Path]] = {}
        begin = self._save()
        level[self._key((0, 0))] = (begin, (0, 0), 1, None)
        for _ in range(2 * operations):
            following: dict[object, tuple[_State, tuple[int, int], int, _Path]] = {}
            for state, done, paths, path in level.values():
                for operation in self._operations(done, operations):
                    self._load(state)
                    self._path = path, operation
                    number, what = operation
                    self._operation = done[number] + 1
                    if not self._do(number, what):
                        continue
                    now = (done[0] + (number == 0), done[1] + (number == 1))
                    key = self._key(now)
                    known = following.get(key)
                    if known is None:
                        following[key] = (self._save(), now, paths, self._path)
                    else:
                        following[key] = (known[0], now, known[2] + paths, known[3])
            level = following
        for state, _, paths, path in level.values():
            self._load(state)
            self._path = path
            self._heal()
            yield paths

    def told(self) -> list[str]:
        """The operations that led to where it is."""
        steps: deque[str] = deque()
        path = self._path
        while path is not None:
            path, (number, what) = path
            steps.appendleft(f"device {number} ({self._pair[number]}) {_TOLD[what]}")
        return list(steps)

    @staticmethod
    def _operations(done: tuple[int, int], operations: int) -> Iterator[Operation]:
        for number in (0, 1):
            if done[number] < operations:
                for what in _OPERATIONS:
                    yield number, what

    def _install(self, kind: str, number: int) -> Clonable:
        names = iter(range(2**62))

        def now() -> int:
            return START + 1_000 * self._operation + 100 * number + (self._offsets[number] if number < 2 else 0)

        def new_id() -> str:
            return f"{number}.{self._operation}" if number < 2 else f"{number}.{next(names)}"

        made: type[DartClone] | type[ReplicaClone] = DartClone if kind == "dart" else ReplicaClone
        return made(self._post, now, new_id)

    def _do(self, number: int, what: str) -> bool:
        """Do an operation, and say whether the device can."""
        device = self._devices[number]
        there = device.row(RECORD)
        if what == "write":
            value = f"v{number}.{self._operation}"
            self._learn(number)
            self._ancestors = {**self._ancestors, value: self._seen[number]}
            self._seen[number] |= {value}
            device.write(RECORD, {"x": value}, create=there is None)
        elif what == "delete":
            if there is None:
                return False
            device.delete(RECORD)
        else:
            device.sync(lose=what == "lose")
            self._learn(number)
        return True

    def _learn(self, number: int) -> None:
        seen = self._seen[number]
        for row in (self._devices[number].row(RECORD), self._devices[number].told_row(RECORD)):
            if row is not None and row["x"] not in seen:
                seen |= {row["x"], *self._ancestors[row["x"]]}
        self._seen[number] = seen

    def _post(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Serve a request, twice: the second time must change nothing."""
        asked = {name: value for name, value in request.items() if name not in ("logical_clock", "diffs", "auth_token")}
        answer = self._mobync.apply(request["logical_clock"], request["diffs"], "ann", **asked)
        stored = self._storage.held
        self._mobync.apply(request["logical_clock"], request["diffs"], "ann", **asked)
        if self._storage.held != stored:
            raise Violation("a request that is sent again changes nothing", json.dumps(request["diffs"]))
        check_answer(answer)
        for diff in request["diffs"]:
            if value := json.loads(diff["json_data"]).get("x"):
                self._overtaken |= self._ancestors[value]
        stands = self._mobync.get("ann", "todo", RECORD)
        if stands is not None and stands["x"] in self._overtaken:
            raise Violation(
                "no edit is undone by what it had seen",
                f"{stands['x']} stands, though an edit was taken that had seen it",
            )
        return answer

    def _heal(self) -> None:
        for _ in range(2):
            for device in self._devices:
                device.sync()
        held = self._storage.held
        if len(held.records) > 1:
            raise Violation("one entry for each record", f"{len(held.records)} entries of one record")
        row = self._mobync.get("ann", "todo", RECORD)
        wanted = {} if row is None else {RECORD: {"x": row["x"]}}
        fresh = [self._install(kind, number) for number, kind in enumerate(("dart", "replica"), 2)]
        names = [
            *(f"device {number} ({kind})" for number, kind in enumerate(self._pair)),
            "a fresh dart",
            "a fresh replica",
        ]
        for name, device in zip(names, [*self._devices, *fresh], strict=True):
            if device in fresh:
                device.sync()
            shown = device.row(RECORD)
            check_equal(name, {} if shown is None else {RECORD: shown}, wanted, "the server")

    def _save(self) -> _State:
        saved = tuple(device.save() for device in self._devices)
        return _State(self._storage.held, saved, tuple(self._seen), self._ancestors, self._overtaken)

    def _load(self, state: _State) -> None:
        self._storage.held = state.held  # type: ignore[assignment]
        for device, saved in zip(self._devices, state.devices, strict=True):
            device.load(saved)
        self._seen, self._ancestors, self._overtaken = list(state.seen), dict(state.ancestors), state.overtaken

    def _key(self, done: tuple[int, int]) -> object:
        """What two histories must have in common to go on alike."""
        return (
            done,
            self._storage.held,
            tuple(device.key() for device in self._devices),
            tuple(self._seen),
            frozenset(self._ancestors.items()),
            self._overtaken,
        )


_TOLD = {
    "write": "writes r",
    "delete": "deletes r",
    "sync": "syncs",
    "lose": "syncs, and the answer is lost",
}
