"""Tells in words what happens in a history, line by line."""

from __future__ import annotations

from collections.abc import Callable

START = 1_700_000_000_000  # ms
"""When every history begins."""


class Timeline:
    """Says what happens, and when by the server's time, to `listener`; nothing if there is none."""

    def __init__(self, now: Callable[[], int], listener: Callable[[str], None] | None) -> None:
        self._now = now
        self._listener = listener

    @property
    def is_heard(self) -> bool:
        return self._listener is not None

    def say(self, text: str) -> None:
        if self._listener is None:
            return
        seconds, ms = divmod(self._now() - START, 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        self._listener(f"day {hours // 24:<3} {hours % 24:02}:{minutes:02}:{seconds:02}.{ms:03}  {text}")
