"""What a database finds out late, at the end of a transaction or by ending it, refuses one record all the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from mobync_sql import Binding, SQLStorage
from sqlalchemy import Column, Engine, ForeignKey, MetaData, String, Table, text

from mobync_core import Mobync
from tests.own_tables.devices import Device
from tests.own_tables.test_pushes import refused

metadata = MetaData()
nodes = Table(
    "nodes",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(36), nullable=False),
    Column("up", String(36), ForeignKey("nodes.id", deferrable=True, initially="DEFERRED")),
)


@pytest.fixture
def mobync(engine: Engine) -> Iterator[Mobync]:
    if engine.name == "mariadb":
        pytest.skip("MariaDB checks each constraint at once")
    metadata.create_all(engine)
    with closing(SQLStorage(engine, bind=[Binding(nodes, owner="user_id")])) as storage:
        yield Mobync(storage)


def held(device: Device) -> set[str]:
    device.sync()
    return {id for _, id in device.rows}


class TestDeferredReferences:
    def test_to_nothing(self, mobync: Mobync) -> None:
        device = Device(mobync, "ada")
        device.create("nodes", "good", {})
        device.create("nodes", "bad", {"up": "nobody"})
        assert set(refused(device.sync())) == {"bad"}
        assert held(device) == {"good"}

    def test_to_each_other(self, mobync: Mobync) -> None:
        device = Device(mobync, "ada")
        device.create("nodes", "a", {"up": "b"})
        device.create("nodes", "b", {"up": "a"})
        assert refused(device.sync()) == {}
        assert held(Device(mobync, "ada")) == {"a", "b"}

    def test_to_what_is_deleted(self, mobync: Mobync) -> None:
        device = Device(mobync, "ada")
        device.create("nodes", "a", {})
        device.create("nodes", "b", {"up": "a"})
        device.create("nodes", "c", {})
        device.sync()
        device.delete("nodes", "a")
        device.delete("nodes", "c")
        assert set(refused(device.sync())) == {"a"}
        assert held(device) == {"a", "b"}

    def test_of_a_table_that_is_not_bound(self, mobync: Mobync, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE TABLE leaves (id varchar(36) PRIMARY KEY, node varchar(36) "
                    "REFERENCES nodes (id) DEFERRABLE INITIALLY DEFERRED)"
                )
            )
        device = Device(mobync, "ada")
        device.create("nodes", "a", {})
        device.create("nodes", "b", {})
        device.sync()
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO leaves VALUES ('l', 'a')"))
        device.delete("nodes", "a")
        device.delete("nodes", "b")
        assert set(refused(device.sync())) == {"a"}
        assert held(device) == {"a"}

    def test_of_rows_that_were_broken_before(self, mobync: Mobync, engine: Engine) -> None:
        if engine.name != "sqlite":
            pytest.skip("only SQLite can be told to leave references unchecked")
        with engine.connect() as connection:
            connection.execute(text("PRAGMA foreign_keys = OFF"))
            connection.execute(text("INSERT INTO nodes VALUES ('old', 'ada', 'nobody')"))
            connection.commit()
            connection.execute(text("PRAGMA foreign_keys = ON"))
        device = Device(mobync, "ada")
        device.create("nodes", "a", {})
        device.sync()
        device.delete("nodes", "a")
        assert refused(device.sync()) == {}
        assert held(device) == set()


def test_a_trigger_that_ends_the_transaction(mobync: Mobync, engine: Engine) -> None:
    if engine.name != "sqlite":
        pytest.skip("only SQLite's triggers can do that")
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER guard BEFORE INSERT ON nodes WHEN NEW.id = 'bad' "
                "BEGIN SELECT RAISE(ROLLBACK, 'not on a Sunday'); END"
            )
        )
    device = Device(mobync, "ada")
    device.create("nodes", "good", {})
    device.create("nodes", "bad", {})
    assert refused(device.sync()) == {"bad": "not on a Sunday"}
    assert held(device) == {"good"}
