"""What the pages of the web application ask: a user's own projects and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from accounts import CurrentUser
from database import Database
from fastapi import APIRouter, HTTPException, Response
from models import Project, Status, Task
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

router = APIRouter()


class NewProject(BaseModel):
    name: str


class ProjectShown(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    created_at: datetime


class NewTask(BaseModel):
    project_id: str
    title: str
    priority: int = 3
    due: date | None = None


class TaskChange(BaseModel):
    title: str | None = None
    priority: int | None = None
    status: Status | None = None
    due: date | None = None


class TaskShown(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    project_id: str
    title: str
    priority: int
    status: Status
    due: date | None
    approved: bool
    created_at: datetime


@router.get("/projects", response_model=list[ProjectShown])
def projects(user: CurrentUser, database: Database) -> Sequence[Project]:
    return database.scalars(select(Project).where(Project.user_id == user.id).order_by(Project.name)).all()


@router.post("/projects", status_code=201, response_model=ProjectShown)
def add_project(new: NewProject, user: CurrentUser, database: Database) -> Project:
    project = Project(user_id=user.id, name=new.name)
    database.add(project)
    database.commit()
    return project


@router.delete("/projects/{project_id}", status_code=204)
def delete_project(project_id: str, user: CurrentUser, database: Database) -> Response:
    database.delete(_own_project(project_id, user, database))
    database.commit()
    return Response(status_code=204)


@router.get("/tasks", response_model=list[TaskShown])
def tasks(user: CurrentUser, database: Database) -> Sequence[Task]:
    return database.scalars(select(Task).where(Task.user_id == user.id).order_by(Task.due, Task.title)).all()


@router.post("/tasks", status_code=201, response_model=TaskShown)
def add_task(new: NewTask, user: CurrentUser, database: Database) -> Task:
    task = Task(
        project=_own_project(new.project_id, user, database), title=new.title, priority=new.priority, due=new.due
    )
    database.add(task)
    database.commit()
    return task


@router.patch("/tasks/{task_id}", response_model=TaskShown)
def change_task(task_id: str, change: TaskChange, user: CurrentUser, database: Database) -> Task:
    task = _own_task(task_id, user, database)
    for name, value in change.model_dump(exclude_unset=True).items():
        setattr(task, name, value)
    database.commit()
    return task


@router.delete("/tasks/{task_id}", status_code=204)
def delete_task(task_id: str, user: CurrentUser, database: Database) -> Response:
    database.delete(_own_task(task_id, user, database))
    database.commit()
    return Response(status_code=204)


def _own_project(project_id: str, user: CurrentUser, database: Database) -> Project:
    project = database.get(Project, project_id)
    if project is None or project.user_id != user.id:
        raise HTTPException(404, "you have no such project")
    return project


def _own_task(task_id: str, user: CurrentUser, database: Database) -> Task:
    task = database.get(Task, task_id)
    if task is None or task.user_id != user.id:
        raise HTTPException(404, "you have no such task")
    return task
