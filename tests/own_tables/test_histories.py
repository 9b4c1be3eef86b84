"""Random histories: devices and the application write the same rows, and all agree in the end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mobync_sql import SQLStorage
from sqlalchemy import Engine, delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mobync_core import Mobync
from tests.own_tables.conftest import bindings
from tests.own_tables.devices import Device, records_of, rows_of
from tests.own_tables.tables import Base, Project, Task

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "25"))

ids = st.sampled_from(["a", "b"])
owners = st.sampled_from(["ada", "bob"])
names = st.sampled_from(["home", "work"])
task_fields = st.fixed_dictionaries(
    {"text": st.sampled_from(["milk", "bread", None])},
    optional={
        "priority": st.sampled_from([1, 5, 9]),
        "project_id": st.sampled_from([None, "a", "b", "none"]),
        "approved": st.booleans(),
        "price": st.sampled_from(["1.00", 2.345, "x"]),
        "done": st.booleans(),
    },
)
some_fields = st.dictionaries(
    st.sampled_from(["priority", "done", "text", "project_id", "price"]),
    st.sampled_from([1, 9, True, "milk", "a", "2.50", None]),
    min_size=1,
    max_size=2,
)
device_steps = st.one_of(
    st.tuples(st.just("create"), st.just("todo"), ids, task_fields),
    st.tuples(st.just("create"), st.just("projects"), ids, st.fixed_dictionaries({"name": names})),
    st.tuples(st.just("update"), st.just("todo"), ids, some_fields),
    st.tuples(st.just("update"), st.just("projects"), ids, st.fixed_dictionaries({"name": names})),
    st.tuples(st.just("delete"), st.sampled_from(["todo", "projects"]), ids, st.none()),
    st.tuples(st.sampled_from(["sync", "lose"]), st.none(), st.none(), st.none()),
)
application_steps = st.one_of(
    st.tuples(st.just("add task"), ids, owners),
    st.tuples(st.just("add project"), ids, owners),
    st.tuples(st.just("edit task"), ids, st.sampled_from(["milk", "water"])),
    st.tuples(st.just("move task"), ids, st.sampled_from(["ada", "bob", None])),
    st.tuples(st.just("move project"), ids, owners),
    st.tuples(st.just("rename project"), ids, names),
    st.tuples(st.just("put into"), ids, st.sampled_from(["a", "b", None])),
    st.tuples(st.just("delete task"), ids, st.none()),
    st.tuples(st.just("delete project"), ids, st.none()),
)
histories = st.lists(
    st.one_of(st.tuples(st.integers(0, 2), device_steps), st.tuples(st.just(-1), application_steps)), max_size=25
)


class World:
    """Two devices of ada and one of bob, the application, and one clock."""

    numbers = itertools.count()

    def __init__(self, mobync: Mobync, engine: Engine) -> None:
        self.engine = engine
        self.mobync = mobync
        self.devices = [Device(mobync, owner) for owner in ("ada", "ada", "bob")]

    def do(self, who: int, step: tuple[Any, ...]) -> None:
        if who < 0:
            self.application(*step)
            return
        device = self.devices[who]
        kind, model, id, fields = step
        if kind == "sync":
            device.sync()
        elif kind == "lose":
            request = device.request()
            self.mobync.apply(request["logical_clock"], request["diffs"], device.owner)
        elif kind == "delete":
            device.delete(model, id)
        elif kind == "create":
            device.create(model, id, fields)
        else:
            device.update(model, id, fields)

    def application(self, kind: str, id: str, value: Any) -> None:
        try:
            with Session(self.engine) as session, session.begin():
                _APPLICATION[kind](session, id, value)
        except IntegrityError:
            pass  # as in any application: rolled back, and the user told

    def settle(self) -> None:
        for _ in range(2):
            for device in self.devices:
                device.sync()
        for device in self.devices:
            rows = rows_of(self.engine, device.owner)
            assert records_of(self.mobync, device.owner) == rows
            assert device.seen() == rows
        fresh = Device(self.mobync, "ada")
        fresh.sync()
        assert fresh.seen() == self.devices[0].seen()


def _edit(entity: type, name: str) -> Callable[[Session, str, Any], None]:
    def edit(session: Session, id: str, value: Any) -> None:
        row = session.get(entity, id)
        if row is not None:
            setattr(row, name, value)

    return edit


def _move_project(session: Session, id: str, owner: str) -> None:
    session.execute(update(Project).where(Project.id == id).values(user_id=owner))


def _delete_task(session: Session, id: str, _: None) -> None:
    session.execute(delete(Task).where(Task.id == id))


def _delete_project(session: Session, id: str, _: None) -> None:
    session.execute(delete(Task).where(Task.project_id == id))
    session.execute(delete(Project).where(Project.id == id))


_APPLICATION: dict[str, Callable[[Session, str, Any], Any]] = {
    "add task": lambda session, id, owner: session.add(Task(id=id, user_id=owner, text="added", note="hidden")),
    "add project": lambda session, id, owner: session.add(Project(id=id, user_id=owner, name="home")),
    "edit task": _edit(Task, "text"),
    "move task": _edit(Task, "user_id"),
    "move project": _move_project,
    "rename project": _edit(Project, "name"),
    "put into": _edit(Task, "project_id"),
    "delete task": _delete_task,
    "delete project": _delete_project,
}


@pytest.fixture(params=["capture", "triggers"])
def mobync(request: pytest.FixtureRequest, engine: Engine) -> Iterator[Mobync]:
    with closing(SQLStorage(engine, bind=bindings(triggers=request.param == "triggers"))) as storage:
        yield Mobync(storage)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(histories)
def test_rows_records_and_devices_agree_in_the_end(
    mobync: Mobync, engine: Engine, history: list[tuple[int, Any]]
) -> None:
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(delete(table))
    for owner in ("ada", "bob"):
        mobync.storage.erase(owner)
    world = World(mobync, engine)
    for who, step in history:
        world.do(who, step)
    world.settle()
