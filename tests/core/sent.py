"""Diffs as devices send them, made by a line each."""

from __future__ import annotations

import itertools
import json
from typing import Any

_numbers = itertools.count(1)


def diff(kind: str, record: str, at: int = 1000, *, model: str = "todo", **fields: Any) -> dict[str, Any]:
    """Make a diff of one record, made at the device's time `at`."""
    return {
        "id": f"d{next(_numbers)}",
        "owner": "asdf",
        "logical_clock": 0,
        "utc_timestamp": at,
        "type": kind,
        "model": model,
        "json_data": json.dumps({"id": record, **fields}),
    }


def told(answer: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the type and the data of each answered diff."""
    return [(one["type"], json.loads(one["json_data"])) for one in answer["diffs"]]
