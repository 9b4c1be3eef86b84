"""What admins do to the projects and tasks of everybody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from accounts import admin
from database import Database
from fastapi import APIRouter, Depends, HTTPException, Response
from models import Project, Status, Task
from pydantic import BaseModel
from sqlalchemy import select, update
from web import ProjectShown, TaskShown

router = APIRouter(prefix="/admin", dependencies=[Depends(admin)])


class AnyProject(ProjectShown):
    user_id: int


class AnyTask(TaskShown):
    user_id: int
    internal_note: str | None


class ProjectChange(BaseModel):
    name: str


class TaskChange(BaseModel):
    approved: bool | None = None
    internal_note: str | None = None


class Move(BaseModel):
    project_id: str


class Overdue(BaseModel):
    before: date


@router.get("/projects", response_model=list[AnyProject])
def projects(database: Database) -> Sequence[Project]:
    return database.scalars(select(Project).order_by(Project.user_id, Project.name)).all()


@router.get("/tasks", response_model=list[AnyTask])
def tasks(database: Database) -> Sequence[Task]:
    return database.scalars(select(Task).order_by(Task.user_id, Task.due, Task.title)).all()


@router.patch("/projects/{project_id}", status_code=204)
def change_project(project_id: str, change: ProjectChange, database: Database) -> Response:
    _project(project_id, database).name = change.name
    return _done(database)


@router.delete("/projects/{project_id}", status_code=204)
def delete_project(project_id: str, database: Database) -> Response:
    database.delete(_project(project_id, database))
    return _done(database)


@router.post("/projects/{project_id}/approve", status_code=204)
def approve(project_id: str, database: Database) -> Response:
    for task in _project(project_id, database).tasks:
        task.approved = True
    return _done(database)


@router.patch("/tasks/{task_id}", status_code=204)
def change_task(task_id: str, change: TaskChange, database: Database) -> Response:
    task = _task(task_id, database)
    for name, value in change.model_dump(exclude_unset=True).items():
        setattr(task, name, value)
    return _done(database)


@router.post("/tasks/{task_id}/move", status_code=204)
def move(task_id: str, to: Move, database: Database) -> Response:
    """Put a task into another project, which may be another user's."""
    _task(task_id, database).project = _project(to.project_id, database)
    return _done(database)


@router.post("/overdue", status_code=204)
def raise_overdue(overdue: Overdue, database: Database) -> Response:
    """Give every task of every user that should have been done before a day one more in priority."""
    late = Task.due < overdue.before, Task.status != Status.done, Task.priority < 5
    database.execute(update(Task).where(*late).values(priority=Task.priority + 1))
    return _done(database)


def _project(project_id: str, database: Database) -> Project:
    project = database.get(Project, project_id)
    if project is None:
        raise HTTPException(404, "there is no such project")
    return project


def _task(task_id: str, database: Database) -> Task:
    task = database.get(Task, task_id)
    if task is None:
        raise HTTPException(404, "there is no such task")
    return task


def _done(database: Database) -> Response:
    database.commit()
    return Response(status_code=204)
