"""The check at the end: does everybody hold the same?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeAlias

Rows: TypeAlias = Mapping[str, Mapping[str, Any]]
"""The records that somebody holds: their fields by id."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How one holder compares with the server. `differences` are sentences; there are none if they are equal."""

    holder: str
    records: int
    fingerprint: str
    differences: list[str]


def compare(server: Rows, holders: Mapping[str, Rows]) -> list[Finding]:
    """Compare what each holder has with what the server has; the server's own finding comes first."""
    everybody = {"server": server, **holders}
    return [
        Finding(holder, len(rows), fingerprint(rows), _differences(server, rows)) for holder, rows in everybody.items()
    ]


def fingerprint(rows: Rows) -> str:
    """Return a short text that is the same for the same records, whatever their order."""
    return sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:8]


def _differences(server: Rows, rows: Rows) -> list[str]:
    told = [f"lacks {record}" for record in sorted(server.keys() - rows.keys())]
    told += [f"has {record}, which the server has not" for record in sorted(rows.keys() - server.keys())]
    for record in sorted(server.keys() & rows.keys()):
        mine, theirs = rows[record], server[record]
        told += [
            f"has {mine.get(name)!r} as {name} of {record}, the server {theirs.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]
    return told
