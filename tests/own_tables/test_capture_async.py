"""What an application writes through an asynchronous session is captured like everything else."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Engine, delete, insert, make_url, select, update

from tests.own_tables.shelf import Book, Shelf, fill

pytest.importorskip("greenlet", reason="SQLAlchemy's asyncio needs greenlet")

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}


@pytest.fixture
def shelf(engine: Engine) -> Shelf:
    return Shelf(engine)


@pytest.mark.parametrize("database_url", DRIVERS, indirect=True)
def test_writes_of_an_asynchronous_session(shelf: Shelf, database_url: str) -> None:
    url = make_url(database_url)
    if url.drivername == "sqlite":
        pytest.importorskip("aiosqlite", reason="asyncio on SQLite needs aiosqlite")
    asyncio.run(_write(shelf, create_async_engine(url.set(drivername=DRIVERS[url.drivername]))))


async def _write(shelf: Shelf, engine: AsyncEngine) -> None:
    stop = shelf.capture(engine.sync_engine)
    async with AsyncSession(engine) as session:
        await session.run_sync(fill)
        await session.commit()
        assert set(shelf.marks()) == shelf.changes()
        (await session.get_one(Book, 1)).title = "changed"
        session.add(Book(reader="ann", title="new"))
        await session.execute(insert(Book), [{"reader": "bob", "title": "a"}, {"reader": "eve", "title": "b"}])
        await session.execute(update(Book).where(Book.reader == "ann").values(reader="zoe"))
        await session.execute(delete(Book).where(Book.id == 3))
        names = await session.scalars(insert(Book).returning(Book), [{"reader": "x", "title": n} for n in "pq"])
        assert sorted(book.title for book in names) == ["p", "q"]
        await session.commit()
        changes, marks = shelf.changes(), set(shelf.marks())
        assert changes <= marks
        assert {owner for owner, _, _ in changes} == {"ann", "bob", "eve", "zoe", "x"}
        await session.execute(update(Book).values(title="undone"))
        await session.rollback()
        assert not shelf.marks()
        assert len((await session.scalars(select(Book))).all()) == 10
    stop()
    await engine.dispose()
