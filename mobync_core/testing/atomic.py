"""A client that applies answers in one transaction, keeps its queue in order, and may ask for pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Key = tuple[str, str]


class AtomicDevice:
    """What protocol.md asks of such a client: a create replaces, and moves nothing unless all of it is applied."""

    def __init__(self, *, now: Callable[[], int], new_id: Callable[[], str], page: int | None = None) -> None:
        self.rows: dict[Key, dict[str, Any]] = {}
        self.clock = 0
        self.has_more = False
        self._now = now
        self._new_id = new_id
        self._page = page
        self._queue: list[dict[str, Any]] = []
        self._pushed = 0

    def create(self, model: str, record: str, fields: dict[str, Any]) -> bool:
        if (model, record) in self.rows:
            return False
        self.rows[model, record] = dict(fields)
        self._put("create", model, {"id": record, **fields})
        return True

    def update(self, model: str, record: str, fields: dict[str, Any]) -> None:
        if (model, record) in self.rows:
            self.rows[model, record].update(fields)
        self._put("update", model, {"id": record, **fields})

    def delete(self, model: str, record: str) -> None:
        self.rows.pop((model, record), None)
        self._put("delete", model, {"id": record})

    def request(self) -> dict[str, Any]:
        asked = {"limit": self._page} if self._page else {}
        self._pushed = 0 if self.has_more else len(self._queue)  # it finishes its pages before it pushes again
        return {"logical_clock": self.clock, "diffs": self._queue[: self._pushed], "atomic": True, **asked}

    def receive(self, answer: Mapping[str, Any], *, survive: int | None = None) -> bool:
        if survive is not None:
            return False  # killed before its transaction ended
        del self._queue[: self._pushed]
        for diff in answer["diffs"]:
            assert diff["type"] != "update" or self._key(diff) in self.rows, f"told to update what is not here: {diff}"
            self._apply(diff)
        for diff in self._queue:  # what was made meanwhile stands upon what was told
            self._apply(diff)
        self.clock = answer["logical_clock"]
        self.has_more = answer.get("has_more", False)
        return True

    @staticmethod
    def _key(diff: Mapping[str, Any]) -> Key:
        return diff["model"], json.loads(diff["json_data"])["id"]

    def _apply(self, diff: Mapping[str, Any]) -> None:
        data = json.loads(diff["json_data"])
        key = diff["model"], data.pop("id")
        if diff["type"] == "create":
            self.rows[key] = data
        elif diff["type"] == "update" and key in self.rows:
            self.rows[key].update(data)
        elif diff["type"] == "delete":
            self.rows.pop(key, None)

    def _put(self, kind: str, model: str, data: dict[str, Any]) -> None:
        self._queue.append(
            {
                "id": self._new_id(),
                "owner": "",
                "logical_clock": self.clock,
                "utc_timestamp": self._now(),
                "type": kind,
                "model": model,
                "json_data": json.dumps(data),
            }
        )
