"""The steps of a random history, which can be done again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hypothesis import strategies as st
from hypothesis.stateful import rule

Step: TypeAlias = tuple[Callable[..., None], dict[str, Any]]
"""What is done in a history: a function, which takes the machine, and its further arguments."""


class HistoryFailed(AssertionError):
    """What a storage did wrong, and all that had been done until then, for people and as `steps`."""

    def __init__(self, why: str, told: Sequence[str], steps: Sequence[Step]) -> None:
        history = "\n".join(f"  {number}. {step}" for number, step in enumerate(told, 1))
        super().__init__(f"{why}\nafter this history:\n{history}")
        self.steps = list(steps)


def step(**drawn: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule of the machine whose calls are remembered, so that they can be done again."""

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def remembered(machine: Any, **arguments: Any) -> None:
            machine.steps.append((function, arguments))
            function(machine, **arguments)

        remembered.__name__ = function.__name__
        ruled: Callable[..., None] = rule(**drawn)(remembered)  # type: ignore[call-overload]
        return ruled

    return decorate
