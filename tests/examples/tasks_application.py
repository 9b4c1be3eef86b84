"""The FastAPI example as its README starts it, its devices, and what its tables hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from typing import Any

import sqlalchemy as sa

from mobync_core.testing.dart import DartDevice
from tests.http.posting import Answer, ask

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi-tasks"
USERS = ("ann", "bob", "eve")

Rows = dict[tuple[str, str], dict[str, Any]]
"""By (model, id), the fields that are not null."""


@dataclass(frozen=True)
class Application:
    """The application where it runs, and its database."""

    url: str
    database_url: str

    def login(self, name: str) -> str:
        token: str = self.ask("POST", "/login", {"name": name, "password": name}).json["token"]
        return token

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return ask(self.url, body, method=method, path=path, headers=headers)

    def owners(self) -> dict[str, str]:
        """Return each user's owner, by name."""
        with reading(self.database_url) as (connection, tables):
            users = tables["users"].c
            return {name: str(id) for id, name in connection.execute(sa.select(users.id, users.name))}

    def rows(self, owner: str) -> Rows:
        """Read the owner's rows past the application, as devices are to have them."""
        with reading(self.database_url) as (connection, tables):
            return {
                (model, row["id"]): shown(dict(row))
                for model in ("projects", "tasks")
                for row in connection.execute(
                    sa.select(tables[model]).where(tables[model].c.user_id == int(owner))
                ).mappings()
            }

    def astray(self) -> int:
        """Count the tasks whose project is not there, or another user's."""
        with reading(self.database_url) as (connection, tables):
            task, project = tables["tasks"].c, tables["projects"].c
            found = sa.select(project.id).where(project.id == task.project_id, project.user_id == task.user_id)
            return connection.execute(sa.select(sa.func.count()).where(~found.exists())).scalar_one()


@contextmanager
def reading(url: str) -> Iterator[tuple[sa.Connection, Mapping[str, sa.Table]]]:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    metadata = sa.MetaData()
    try:
        metadata.reflect(engine, only=["users", "projects", "tasks"])
        with engine.connect() as connection:
            yield connection, metadata.tables
    finally:
        engine.dispose()


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what devices are to see of a row."""
    hidden = ("id", "user_id", "internal_note")
    return {name: _as_json(value) for name, value in row.items() if value is not None and name not in hidden}


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value


@contextmanager
def serving(directory: Path, database_url: str, *, workers: int = 1) -> Iterator[Application]:
    """Start the application with what `seed.py` made, on a free port."""
    environment = {**os.environ, "DATABASE_URL": database_url, "TASKS_SECRET": "no secret at all, of 32 bytes or more"}
    subprocess.run([sys.executable, str(EXAMPLE / "seed.py")], cwd=directory, env=environment, check=True, timeout=60)
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLE), "--port", "0", "--workers", str(workers)]
    log = directory / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [*command, "app:app"], cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield Application(_listening(server, log), database_url)
            assert "Traceback" not in log.read_text(), log.read_text()
        finally:
            server.terminate()
            server.wait(30)


def _listening(server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(600):
        text = log.read_text()
        if (found := re.search(r"running on (http://\S+)", text)) and "startup complete" in text:
            return found[1]
        try:
            server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"the example did not start: {log.read_text()}")


class Phone:
    """A device of a user, whose clock is up to a day wrong."""

    def __init__(self, application: Application, token: str, seed: int) -> None:
        self.random = Random(seed)
        self.device = DartDevice(token, now=self._now, random=self.random)
        self._application = application
        self._off = self.random.randrange(-86_400_000, 86_400_000)
        self._last = 0

    @property
    def rows(self) -> Rows:
        """What it holds. A null is as good as nothing: it says so of a column that was cleared."""
        return {
            key: {name: value for name, value in fields.items() if value is not None}
            for key, fields in self.device.rows.items()
        }

    def ids(self, model: str) -> list[str]:
        return [id for held, id in self.device.rows if held == model]

    def sync(self, *, explain: bool = False) -> dict[str, Any]:
        """Sync, once more while the server is busy, and return the answer."""
        request = self.device.request() | ({"explain": True} if explain else {})
        for _ in range(5):
            answer = self._application.ask("POST", "/mobync/sync", request)
            if answer.status != 503:
                break
        assert answer.status == 200, answer.body
        told: dict[str, Any] = answer.json
        taken = self.device.receive(told)
        assert taken or not (told["diffs"] or request["diffs"]), "the client would not take this answer"
        return told

    def _now(self) -> int:
        self._last = max(time.time_ns() // 1_000_000 + self._off, self._last + 1)  # nobody edits twice in a millisecond
        return self._last
