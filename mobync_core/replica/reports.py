"""The table ``reports``: what the user may want to know, the newest thousand."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from mobync_core.replica.results import Report
from mobync_core.replica.rows import Entry
from mobync_core.wire import Outcome

_KEPT = 1000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Report).decode


def report_of(entry: Entry, outcome: Outcome, at: int) -> Report | None:
    """Return what is worth telling of what became of an edit; None if it simply counts."""
    if outcome.result == "refused":
        return Report(
            "refused", at, *entry.key, entry.type, entry.fields(), code=outcome.code, reason=outcome.reason or "refused"
        )
    if outcome.result in ("merged", "dropped"):
        return Report(
            "conflict", at, *entry.key, entry.type, entry.fields(), reason=outcome.reason, lost=tuple(outcome.lost)
        )
    return None


def add(connection: sqlite3.Connection, reports: Sequence[Report]) -> None:
    if not reports:
        return
    kept = reports[-_KEPT:]
    connection.executemany("INSERT INTO reports (report) VALUES (?)", ((_encode(report).decode(),) for report in kept))
    connection.execute(f"DELETE FROM reports WHERE number <= (SELECT max(number) FROM reports) - {_KEPT}")


def read(connection: sqlite3.Connection) -> list[Report]:
    return [_decode(report) for (report,) in connection.execute("SELECT report FROM reports ORDER BY number")]


def forget(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM reports")
