"""Users of the FastAPI example, all at once: their devices, the pages of the web application, and an admin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.examples.tasks_application import USERS, Application, Phone
from tests.examples.tasks_edits import KEPT, NAMES, Edits

_TAKEN = {200, 201, 204}
_MAY_BE = _TAKEN | {404, 409, 503}  # gone meanwhile, not taken, busy


@dataclass
class User:
    """One user: devices, the project that nobody touches with the kept tasks in it, and what is to be their titles."""

    name: str
    token: str
    phones: Sequence[Phone]
    project: str = ""
    titles: dict[str, str] = field(default_factory=dict)


class Crowd:
    """Everybody who works with the application, `turns` times each. `done` counts what was done."""

    def __init__(self, application: Application, *, phones: int, seed: int) -> None:
        self.application = application
        self.done: Counter[str] = Counter()
        self.admin = application.login("admin")
        self._random = Random(seed)
        self.users: list[User] = []
        for name in USERS:
            token = application.login(name)
            self.users.append(User(name, token, [Phone(application, token, self._seed()) for _ in range(phones)]))

    def begin(self) -> None:
        """Give each user's devices what was there before, and a task each to keep; one more is for the web."""
        for user in self.users:
            for number, phone in enumerate(user.phones):
                phone.sync()
                rows = phone.device.rows
                user.project = next(id for (_, id), fields in rows.items() if fields.get("name") == "Someday")
                for id in (f"{KEPT}-{user.name}-{number}", *([f"{KEPT}-{user.name}-web"] if number == 0 else [])):
                    phone.device.create("tasks", id, {"project_id": user.project, "title": "0"})
                    user.titles[id] = "0"
                phone.sync()

    def work(self, turns: int) -> None:
        """Let all work at the same time. Raises what one of them met with."""
        phones = [(user, number) for user in self.users for number in range(len(user.phones))]
        with ThreadPoolExecutor(1 + len(self.users) + len(phones)) as pool:
            jobs = [pool.submit(self._administer, turns * 3)]
            jobs += [pool.submit(self._browse, user, turns * 2, self._seed()) for user in self.users]
            jobs += [pool.submit(self._carry, user, number, turns) for user, number in phones]
            for job in jobs:
                job.result()

    def settle(self) -> None:
        """Sync until every device has what all others did, and is told nothing more."""
        phones = [phone for user in self.users for phone in user.phones]
        for phone in phones * 2:
            phone.sync()
        for phone in phones:
            assert phone.sync()["diffs"] == []

    def _carry(self, user: User, number: int, turns: int) -> None:
        """Be a user who has one device in the hand, now and then without a connection."""
        phone = user.phones[number]
        edits = Edits(phone, [one.project for one in self.users if one is not user], [user.project])
        for turn in range(1, turns + 1):
            for _ in range(phone.random.randrange(1, 6)):
                self.done[edits.one()] += 1
            kept = f"{KEPT}-{user.name}-{number}"
            user.titles[kept] = str(turn)
            phone.device.update("tasks", kept, {"title": user.titles[kept]})
            if phone.random.random() < 0.7:
                answer = phone.sync(explain=True)
                self.done.update(outcome["result"] for outcome in answer["outcomes"])
                held = phone.device.rows["tasks", kept]["title"]
                assert held == user.titles[kept], f"{kept} was {turn}, and is {held} after a sync"

    def _browse(self, user: User, turns: int, seed: int) -> None:
        """Be a user at the pages of the web application."""
        random = Random(seed)
        for turn in range(1, turns + 1):
            kept = f"{KEPT}-{user.name}-web"
            if self._ask("web keeps", "PATCH", f"/tasks/{kept}", {"title": str(turn)}, user.token):
                user.titles[kept] = str(turn)
            projects = self.application.ask("GET", "/projects", token=user.token).json
            tasks = self.application.ask("GET", "/tasks", token=user.token).json
            project = random.choice([one for one in projects if one["id"] != user.project] or [{"id": "none"}])["id"]
            task = random.choice([one for one in tasks if not one["id"].startswith(KEPT)] or [{"id": "none"}])["id"]
            kind = ("project", "task", "change", "delete", "task", "change", "away")[turn % 7]
            if kind == "project":
                self._ask("web project", "POST", "/projects", {"name": random.choice(NAMES)}, user.token)
            elif kind == "task":
                new = {"project_id": project, "title": f"web {turn}", "priority": random.randrange(0, 7)}
                self._ask("web task", "POST", "/tasks", new, user.token)
            elif kind == "change":
                change: dict[str, Any] = random.choice(
                    [{"title": f"web {turn}"}, {"due": None}, {"due": "2026-03-01"}, {"status": "done", "priority": 1}]
                )
                self._ask("web change", "PATCH", f"/tasks/{task}", change, user.token)
            elif kind == "delete":
                self._ask("web delete", "DELETE", f"/tasks/{task}", None, user.token)
            elif random.random() < 0.4:
                self._ask("web away", "DELETE", f"/projects/{project}", None, user.token)

    def _administer(self, turns: int) -> None:
        """Be the admin, who is at everybody's rows."""
        random = Random(self._seed())
        safe = {user.project for user in self.users}
        for turn in range(turns):
            projects = [one["id"] for one in self.application.ask("GET", "/admin/projects", token=self.admin).json]
            tasks = [one["id"] for one in self.application.ask("GET", "/admin/tasks", token=self.admin).json]
            task = random.choice([id for id in tasks if not id.startswith(KEPT)] or ["none"])
            project = random.choice([id for id in projects if id not in safe] or ["none"])
            target = random.choice(projects)
            kind = ("approve", "note", "move", "rename", "note", "approve", "move", "delete", "overdue")[turn % 9]
            if kind == "approve":
                self._ask("admin approve", "POST", f"/admin/projects/{target}/approve", None, self.admin)
            elif kind == "note":
                change = {"approved": random.random() < 0.5, "internal_note": f"seen {turn}"}
                self._ask("admin note", "PATCH", f"/admin/tasks/{random.choice(tasks)}", change, self.admin)
            elif kind == "move":
                self._ask("admin move", "POST", f"/admin/tasks/{task}/move", {"project_id": target}, self.admin)
            elif kind == "rename":
                name = {"name": random.choice(NAMES) if turn % 2 else f"Plan {turn}"}
                self._ask("admin rename", "PATCH", f"/admin/projects/{project}", name, self.admin)
            elif kind == "delete":
                self._ask("admin delete", "DELETE", f"/admin/projects/{project}", None, self.admin)
            else:
                self._ask("admin overdue", "POST", "/admin/overdue", {"before": "2026-02-01"}, self.admin)

    def _seed(self) -> int:
        return self._random.randrange(2**32)

    def _ask(self, what: str, method: str, path: str, body: dict[str, Any] | None, token: str) -> bool:
        answer = self.application.ask(method, path, body, token)
        assert answer.status in _MAY_BE, (what, answer.status, answer.body)
        self.done[f"{what} {'done' if answer.status in _TAKEN else answer.status}"] += 1
        return answer.status in _TAKEN
