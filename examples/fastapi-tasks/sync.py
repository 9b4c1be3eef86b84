"""All that the application has of Mobync: which tables devices have offline, and what they may not do there."""

from __future__ import annotations

import json
from typing import Any

from accounts import SECRET
from database import engine
from mobync_sql import Binding, SQLStorage
from models import Project, Status, Task
from starlette.applications import Starlette

from mobync_core import Mobync
from mobync_core.http.asgi import asgi_app
from mobync_core.http.jwt import JWTOwners

MODELS = ("projects", "tasks")


class Rules:
    """A device may have projects and tasks, and no task that is done before it is begun."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:  # noqa: ARG002 - the same for all users
        status: object = json.loads(diff["json_data"]).get("status")
        return diff["model"] in MODELS and status != Status.done.name

    def validate_update(self, owner_id: str, **diff: Any) -> bool:  # noqa: ARG002
        return diff["model"] in MODELS

    validate_delete = validate_update


def endpoint() -> Starlette:
    """Return what answers devices. The tables must be there: rows that are in them already are taken over."""
    bind = [
        Binding(Project, owner="user_id", read_only=["created_at"]),
        # Tasks go with their project by the database's own hand, too, and that only its triggers notice.
        Binding(Task, owner="user_id", hidden=["internal_note"], read_only=["approved", "created_at"], triggers=True),
    ]
    return asgi_app(Mobync(SQLStorage(engine, bind=bind), rules=Rules()), JWTOwners.from_secret(SECRET))
