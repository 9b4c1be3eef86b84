"""All there is, in small: every interleaving of two devices with a few operations each, of which answers may be lost.

It goes from state to state, and joins equal ones: so it tries far more interleavings than it takes steps, and counts
them all.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from mobync_core.testing.storm.checks import Violation
from mobync_core.testing.storm.pair import OPERATIONS, Pair, State

PAIRS = (("dart", "dart"), ("dart", "replica"), ("replica", "replica"))
OFFSETS = (0, -3_600_000, 3_600_000)
"""How many ms the second device's clock is ahead of the first one's."""

Operation: TypeAlias = tuple[int, str]
"""The number of a device, and what it does."""

_Path: TypeAlias = tuple["_Path", Operation] | None


@dataclass(frozen=True, slots=True)
class Exhausted:
    """What trying all came to. `why` tells what did not hold, after which `history`; else both are empty.

    `states` are the different ends that the `interleavings` came to.
    """

    interleavings: int
    states: int
    seconds: float
    why: str = ""
    history: Sequence[str] = ()

    @property
    def is_clean(self) -> bool:
        return not self.why


@dataclass(slots=True)
class _Place:
    """A state that was come to in so many ways, one of which is `path`. `done` says how often each device did what."""

    state: State
    done: tuple[int, int]
    ways: int
    path: _Path


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
    for kinds, offset in product(pairs, offsets):
        exploration = _Exploration(kinds, offset)
        try:
            for ways in exploration.ends(operations):
                interleavings += ways
                states += 1
                if progress is not None and states % 100 == 0:
                    progress(states)
        except Violation as violation:
            told = [f"{' and '.join(kinds)}, the second one's clock {offset} ms ahead", *exploration.told()]
            return Exhausted(interleavings, states, time.monotonic() - began, str(violation), told)
    return Exhausted(interleavings, states, time.monotonic() - began)


class _Exploration:
    """Goes through all states of a pair of devices."""

    def __init__(self, kinds: tuple[str, str], offset: int) -> None:
        self._pair = Pair(kinds, offset)
        self._path: _Path = None

    def ends(self, operations: int) -> Iterator[int]:
        """Go everywhere. Yield, for each state at an end, in how many ways it was come to. Raises `Violation`."""
        places = [_Place(self._pair.save(), (0, 0), 1, None)]
        for _ in range(2 * operations):
            following: dict[object, _Place] = {}
            for place in places:
                for number, what in product((0, 1), OPERATIONS):
                    if place.done[number] < operations:
                        self._go_on(place, number, what, following)
            places = list(following.values())
        for place in places:
            self._pair.load(place.state)
            self._path = place.path
            self._pair.heal()
            yield place.ways

    def told(self) -> list[str]:
        """The operations that led to where it is."""
        steps: deque[str] = deque()
        path = self._path
        while path is not None:
            path, (number, what) = path
            steps.appendleft(f"device {number} ({self._pair.kinds[number]}) {_TOLD[what]}")
        return list(steps)

    def _go_on(self, place: _Place, number: int, what: str, following: dict[object, _Place]) -> None:
        self._pair.load(place.state)
        self._path = place.path, (number, what)
        if not self._pair.do(number, place.done[number] + 1, what):
            return
        done = (place.done[0] + (number == 0), place.done[1] + (number == 1))
        key = done, self._pair.key()
        if key in following:
            following[key].ways += place.ways
        else:
            following[key] = _Place(self._pair.save(), done, place.ways, self._path)


_TOLD = {
    "write": "writes r",
    "delete": "deletes r",
    "sync": "syncs",
    "lose": "syncs, and the answer is lost",
}
