"""Fills an empty database with what users had before there was any sync. Does nothing to one that has users."""

from __future__ import annotations

from datetime import date, timedelta

from accounts import hashed
from database import engine
from models import Base, Project, Status, Task, User
from sqlalchemy import select
from sqlalchemy.orm import Session

USERS = ("ann", "bob", "eve")
PROJECTS = {
    "Home": ("Water the plants", "Fix the tap"),
    "Work": ("Write the report", "Call Füße GmbH", "Order paper"),
    "Someday": (),
}


def seed() -> None:
    Base.metadata.create_all(engine)
    with Session(engine) as database:
        if database.scalar(select(User.id).limit(1)) is not None:
            return
        database.add(User(name="admin", password=hashed("admin"), is_admin=True))
        for name in USERS:
            user = User(name=name, password=hashed(name))
            database.add(user)
            database.flush()
            database.add_all(_project(user, project, titles) for project, titles in PROJECTS.items())
        database.commit()


def _project(user: User, name: str, titles: tuple[str, ...]) -> Project:
    tasks = [
        Task(
            title=title,
            priority=1 + number,
            status=list(Status)[number],
            due=date(2026, 1, 1) + timedelta(days=number) if number else None,
            internal_note=f"seen with {user.name}",
        )
        for number, title in enumerate(titles)
    ]
    return Project(user_id=user.id, name=name, tasks=tasks)


if __name__ == "__main__":
    seed()
