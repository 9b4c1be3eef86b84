"""Devices of one process, whose requests need no wire, and what of it all agrees."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from random import Random
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from mobync_core import Mobync
from mobync_core.testing.dart import DartDevice
from tests.own_tables.tables import Project, Task

_MODELS: dict[str, Any] = {"projects": Project, "todo": Task}
_SEEN = {
    "projects": {"name": "name"},
    "todo": {
        "project_id": "project_id",
        "text": "text",
        "priority": "priority",
        "price": "price",
        "done": "done",
        "due": "due",
        "status": "status",
        "approved": "approved",
        "created_at": "created_at",
    },
}


_CLOCK = itertools.count(1_000_000).__next__


class Device(DartDevice):
    """A device of the published kind, which syncs with an engine of this process."""

    def __init__(self, mobync: Mobync, owner: str, now: Callable[[], int] = _CLOCK) -> None:
        super().__init__(owner, now=now, random=Random(0))
        self.mobync = mobync
        self.owner = owner

    def sync(self) -> list[dict[str, Any]]:
        """Sync once and take the answer. Returns the outcomes."""
        request = self.request()
        answer = self.mobync.apply(request["logical_clock"], request["diffs"], self.owner, explain=True)
        self.receive(json.loads(json.dumps(answer)))
        outcomes: list[dict[str, Any]] = answer["outcomes"]
        return outcomes

    def seen(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The device's rows, of which a null says no more than nothing."""
        return {key: _without_nulls(row) for key, row in self.rows.items()}


def rows_of(engine: Engine, owner: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the application's own ORM reads of an owner's rows, in the words of the wire."""
    found = {}
    with Session(engine) as session:
        for model, entity in _MODELS.items():
            for row in session.query(entity).filter_by(user_id=owner):
                values = {field: _plain(getattr(row, name)) for field, name in _SEEN[model].items()}
                found[model, row.id] = _without_nulls(values)
    return found


def records_of(mobync: Mobync, owner: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What Mobync has of an owner."""
    found = {}
    for model in _MODELS:
        for record in mobync.records(owner, model):
            name = record.pop("id")
            found[model, name] = _without_nulls(record)
    return found


def _plain(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "name"):
        return value.name
    return str(value) if type(value).__name__ == "Decimal" else value


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
