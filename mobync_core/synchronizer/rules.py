"""The three rules of a `Synchronizer`, as the engine asks rules."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from mobync_core.synchronizer.interface import Synchronizer


class SynchronizerRules:
    """Asks a `Synchronizer`'s rules. As in the original library, whatever counts as true allows a diff."""

    def __init__(self, synchronizer: Synchronizer) -> None:
        self._synchronizer = synchronizer

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        return _truth(self._synchronizer.validate_create(owner_id, **diff))

    def validate_update(self, owner_id: str, **diff: Any) -> bool:
        return _truth(self._synchronizer.validate_update(owner_id, **diff))

    def validate_delete(self, owner_id: str, **diff: Any) -> bool:
        return _truth(self._synchronizer.validate_delete(owner_id, **diff))


def _truth(answer: Any) -> bool:
    # What is awaited nowhere would count as a yes; the engine says what is wrong with it.
    return answer if isawaitable(answer) else bool(answer)  # type: ignore[return-value]
