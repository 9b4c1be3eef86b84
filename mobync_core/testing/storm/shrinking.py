"""Makes a failing history small: fewer steps, then fewer devices, then plainer steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from mobync_core.testing.storm.history import Act, AnyStep, History, Jump, Request, Sync

_Item = TypeVar("_Item")
_Plain = TypeVar("_Plain", bound=Struct)

Fails = Callable[[History], bool]

_MOST_RUNS = 4_000

_PLAINER: dict[str, Sequence[Any]] = {
    "wait": (1_000,),
    "crash": (None, 1, 2, 3, 5, 8, 13),
    "luck": (0, 1),
    "process": (0,),
    "fields": (("x",), ("y",)),
    "refused": (False,),
    "record": ("a",),
    "records": (1, 2, 3, 5, 10),
    "offset": (0,),
    "page": (1000, 1),
    "batch": (5000, 1),
    "processes": (1,),
    "late": (0, 1),
    "fault": ("", "lost-answer"),
    "during": ((),),
    "after": (False,),
    "by": (172_800_000, -172_800_000),
    "renewed": (True,),
    "absent": (False,),
}
"""For each part of a step or a device the values that are plainer than others, the plainest first."""


def shrink(history: History, fails: Fails) -> History:
    """Return the smallest history found that fails as this one does: none that is one step or value smaller fails.

    `fails` says whether a history does. It is asked a bounded number of times.
    """
    tries = _Tries(fails)
    while True:
        smaller = _with_fewer_steps(history, tries)
        for candidate in _plainer_histories(smaller):
            if tries(candidate):
                smaller = candidate
                break
        if smaller == history or tries.are_used_up:
            return smaller
        history = smaller


class _Tries:
    def __init__(self, fails: Fails) -> None:
        self._fails = fails
        self._left = _MOST_RUNS

    @property
    def are_used_up(self) -> bool:
        return self._left <= 0

    def __call__(self, history: History) -> bool:
        if self.are_used_up:
            return False
        self._left -= 1
        return self._fails(history)


def _with_fewer_steps(history: History, tries: _Tries) -> History:
    """Delta debugging: leave out half of the steps, then a quarter, and in the end each one."""
    steps = list(history.steps)
    size = max(1, len(steps) // 2)
    while True:
        begin = 0
        while begin < len(steps):
            fewer = steps[:begin] + steps[begin + size :]
            if tries(replace(history, steps=fewer)):
                steps = fewer
            else:
                begin += size
        if size == 1:
            return replace(history, steps=steps)
        size //= 2


def _plainer_histories(history: History) -> Iterator[History]:
    for number in range(len(history.devices)):
        if len(history.devices) > 1:
            yield _without_device(history, number)
    for place, device in enumerate(history.devices):
        for plainer in _plainer(device):
            yield replace(history, devices=_with(history.devices, place, plainer))
    for place, step in enumerate(history.steps):
        for simpler in _plainer_steps(step):
            yield replace(history, steps=_with(history.steps, place, simpler))


def _without_device(history: History, gone: int) -> History:
    devices = [device for number, device in enumerate(history.devices) if number != gone]
    return replace(history, devices=devices, steps=_of_others(history.steps, gone))


def _of_others(steps: Sequence[AnyStep], gone: int) -> list[AnyStep]:
    kept: list[AnyStep] = []
    for step in steps:
        if isinstance(step, Act | Jump):
            if step.device == gone:
                continue
            kept.append(replace(step, device=step.device - (step.device > gone)))
        else:
            kept.append(step)
        if isinstance(step, Sync):
            requests = [replace(request, during=_of_others(request.during, gone)) for request in step.requests]
            kept[-1] = replace(kept[-1], requests=requests)
    return kept


def _plainer_steps(step: AnyStep) -> Iterator[AnyStep]:
    yield from _plainer(step)
    if not isinstance(step, Sync):
        return
    for place, request in enumerate(step.requests):
        if place == len(step.requests) - 1:
            yield replace(step, requests=step.requests[:-1])
        for simpler in _plainer_requests(request):
            yield replace(step, requests=_with(step.requests, place, simpler))


def _plainer_requests(request: Request) -> Iterator[Request]:
    yield from _plainer(request)
    for place, step in enumerate(request.during):
        yield replace(request, during=[*request.during[:place], *request.during[place + 1 :]])
        for simpler in _plainer_steps(step):
            yield replace(request, during=_with(request.during, place, simpler))


def _plainer(item: _Plain) -> Iterator[_Plain]:
    """The same with one part plainer."""
    for name in item.__struct_fields__:
        now = getattr(item, name)
        for value in _PLAINER.get(name, ()):
            if value == now or (isinstance(now, list | tuple) and list(value) == list(now)):
                break
            if name == "wait" and now < value:
                break
            yield replace(item, **{name: value})


def _with(items: Sequence[_Item], place: int, item: _Item) -> list[_Item]:
    return [*items[:place], item, *items[place + 1 :]]
