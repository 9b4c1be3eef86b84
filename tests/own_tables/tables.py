"""An application's own tables, as it would write them, before anybody thought of offline sync."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Enum, ForeignKey, Numeric, String, UniqueConstraint, false, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Status(enum.Enum):
    OPEN = "open"
    DONE = "done"


class Project(Base):
    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("user_id", "name"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(20))
    tasks: Mapped[list[Task]] = relationship(back_populates="project", passive_deletes=True)


class Task(Base):
    __tablename__ = "tasks"
    __table_args__ = (CheckConstraint("priority BETWEEN 1 AND 5", name="priority_from_1_to_5"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(String(36))
    project_id: Mapped[str | None] = mapped_column(String(36), ForeignKey("projects.id", ondelete="CASCADE"))
    text: Mapped[str] = mapped_column("title", String(50))
    priority: Mapped[int] = mapped_column(server_default="3")
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    done: Mapped[bool] = mapped_column(server_default=false())
    due: Mapped[date | None]
    status: Mapped[Status] = mapped_column(Enum(Status, native_enum=False, length=10), default=Status.OPEN)
    approved: Mapped[bool] = mapped_column(server_default=false())
    note: Mapped[str | None] = mapped_column(String(50))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    project: Mapped[Project | None] = relationship(back_populates="tasks")
