"""The database that `DATABASE_URL` names: SQLite unless it says otherwise, or PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session


def connect(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=20)
    engine = create_engine(url, pool_size=20)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON").close()  # SQLite checks none unless it is told to
        connection.execute("PRAGMA journal_mode = WAL").close()  # so that who reads waits for no writer

    return engine


engine = connect(os.environ.get("DATABASE_URL", "sqlite:///tasks.db"))


def session() -> Iterator[Session]:
    """Give a request its session. What is answered is read after the commit, when another may have removed the row."""
    with Session(engine, expire_on_commit=False) as one:
        yield one


Database = Annotated[Session, Depends(session)]
