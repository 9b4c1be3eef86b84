"""Where the ways to write are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import CursorResult, Result
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

Write = Callable[[Session], Any]
"""A way to write. It returns what the application learned from the results, which has no generated ids in it."""

WRITES: dict[str, Write] = {}
ONLY: dict[str, tuple[str, ...]] = {}
"""The databases that a write is for, if not all."""


def write(*databases: str) -> Callable[[Write], Write]:
    """Add a way to write; on these databases only, if any are given."""

    def add(function: Write) -> Write:
        WRITES[function.__name__] = function
        if databases:
            ONLY[function.__name__] = databases
        return function

    return add


def counted(result: Result[Any]) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount


def unique_on(session: Session) -> Any:
    """Return the INSERT that may have an ON CONFLICT, of a database that knows one."""
    return {"sqlite": sqlite, "postgresql": postgresql}[session.connection().dialect.name].insert
