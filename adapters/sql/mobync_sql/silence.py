"""A connection of psycopg that does not wait for ever.

libpq waits for an answer without end, and neither it nor psycopg has a setting for that: PostgreSQL's own limits are
kept by the server, which says nothing if it hangs, or if something between holds the line open.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """Raises `psycopg.OperationalError`, and is closed, if nothing comes or goes for `silence` seconds in a call."""

    silence: float

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Pass on what `gen` asks to wait for. Several times a second psycopg sends 0 if there is nothing yet."""
        since = None
        ready = None
        while True:
            try:
                asked = next(gen) if ready is None else gen.send(ready)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            ready = yield asked
            if ready:
                since = None
            elif since is None:
                since = time.monotonic()
            elif time.monotonic() - since > self.silence:
                self.pgconn.finish()
                raise psycopg.OperationalError(f"the server gave no sign for {self.silence:g} s")
