"""What the user of a device of the FastAPI example does to it, good and bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobync_core.testing.dart import random_id
from tests.examples.tasks_application import Phone

NAMES = ("Home", "Work", "Garden", "Boat", "Taxes", "Füße")
"""Few, so that devices often want one that is taken."""

KEPT = "kept"
"""How the ids begin of tasks of which only one writes the title, and that nobody deletes or moves."""

BAD_FIELDS: Sequence[dict[str, Any]] = (
    {"priority": 0},
    {"priority": 6},
    {"priority": "high"},
    {"priority": 2.5},
    {"priority": True},
    {"title": 5},
    {"title": "x" * 201},
    {"status": "perhaps"},
    {"due": "soon"},
    {"approved": True},
    {"created_at": "2020-01-01T00:00:00+00:00"},
    {"internal_note": "mine"},
    {"colour": "red"},
    {"user_id": 1},
)
"""What no task may be set to by a device."""


class Edits:
    """What the user of one device does to it, good and bad.

    `foreign` are projects of others, `kept` the user's own that are to stay as they are.
    """

    def __init__(self, phone: Phone, foreign: Sequence[str], kept: Sequence[str]) -> None:
        self._phone = phone
        self._foreign = foreign
        self._kept = kept

    def one(self) -> str:
        """Make one edit, and return its kind."""
        kinds = ("new project", "rename", "remove project", "new task", "change", "move", "remove", "bad")
        (kind,) = self._phone.random.choices(kinds, (3, 2, 1, 8, 8, 3, 2, 6))
        if kind == "bad":
            self._bad()
        else:
            self._good(kind)
        return kind

    def _good(self, kind: str) -> None:
        device, random = self._phone.device, self._phone.random
        if kind == "new project":
            device.create("projects", random_id(), {"name": random.choice(NAMES)})
        elif kind == "rename":
            device.update("projects", self._project(), {"name": random.choice(NAMES)})
        elif kind == "remove project":
            device.delete("projects", self._project())
        elif kind == "new task":
            device.create("tasks", random_id(), {"project_id": self._project(), "title": "new", **self._fields()})
        elif kind == "change":
            device.update("tasks", self._task(), {"title": f"changed {random.randrange(99)}", **self._fields()})
        elif kind == "move":
            device.update("tasks", self._task(), {"project_id": self._project()})
        else:
            device.delete("tasks", self._task())

    def _bad(self) -> None:
        device, random = self._phone.device, self._phone.random
        new = {"project_id": self._project(), "title": "bad"}
        odd = random.choice(BAD_FIELDS)
        kind = random.randrange(5)
        if kind == 0:
            device.create("tasks", random_id(), new | {"project_id": random.choice([*self._foreign, "nowhere"])})
        elif kind == 1:
            device.create("tasks", random_id(), new | odd)
        elif kind == 2:
            device.update("tasks", self._task(), {"title": "with a bad one", **odd})
        elif kind == 3:
            device.create("tasks", random_id(), {"title": "without a project"})
        else:
            device.create(random.choice(["users", "nothing"]), random_id(), {"name": "mallory", "is_admin": True})

    def _fields(self) -> dict[str, Any]:
        random = self._phone.random
        fields = {"priority": random.randrange(1, 6), "status": random.choice(["open", "doing"])}
        return fields | ({"due": f"2026-01-{random.randrange(10, 29)}"} if random.random() < 0.5 else {})

    def _project(self) -> str:
        return self._any([id for id in self._phone.ids("projects") if id not in self._kept])

    def _task(self) -> str:
        return self._any([id for id in self._phone.ids("tasks") if not id.startswith(KEPT)])

    def _any(self, ids: Sequence[str]) -> str:
        return self._phone.random.choice(ids) if ids else "none"
