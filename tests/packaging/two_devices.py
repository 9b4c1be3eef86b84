"""A user's program: two devices of one owner sync over the storage at MOBYNC_URL.

It prints as JSON where Mobync came from, what the phone was told at the end, and which records there are. With the
argument ``read`` no device syncs; the records are those of an earlier run.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import mobync_core
from mobync_core import Mobync


def diff(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "owner": "asdf",
        "logical_clock": 0,
        "utc_timestamp": 1604114123775,
        "type": kind,
        "model": "todo",
        "json_data": json.dumps({"id": "a", **fields}),
    }


def sync(mobync: Mobync) -> list[dict[str, Any]]:
    """Both devices edit the record offline, over the same state; return what the phone, the last to sync, is told."""
    phone = mobync.apply(0, [diff("1", "create", title="Milk", litres=1)], "ann")
    tablet = mobync.apply(0, [], "ann")
    mobync.apply(tablet["logical_clock"], [diff("2", "update", litres=2)], "ann")
    told: list[dict[str, Any]] = mobync.apply(phone["logical_clock"], [diff("3", "update", title="Füße")], "ann")[
        "diffs"
    ]
    return told


with Mobync(os.environ["MOBYNC_URL"]) as opened:
    edits = [] if sys.argv[1:] == ["read"] else sync(opened)
    records = list(opened.records("ann", "todo"))
print(
    json.dumps(
        {"from": mobync_core.__file__, "told": [json.loads(one["json_data"]) for one in edits], "records": records}
    )
)
