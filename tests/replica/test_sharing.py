"""Several replicas on one store: two in this process that meet in every way, and real processes over real HTTP."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mobync_core import Mobync, Storage
from mobync_core.http.asgi import asgi_app
from mobync_core.http.serving import serving
from mobync_core.http.tokens import KnownTokens
from mobync_core.replica import Replica
from tests.replica.devices import Device, Server


def _connection(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, isolation_level=None, check_same_thread=False)


@pytest.fixture
def two(server: Server, tmp_path: Path) -> Iterator[tuple[Device, Device]]:
    connections = [_connection(tmp_path / "app.db") for _ in range(2)]
    one, two = (server.device(connection=connection, page=4, batch=6) for connection in connections)
    yield one, two
    for connection in connections:
        connection.close()


def test_what_one_edits_the_other_reads_and_sends(server: Server, two: tuple[Device, Device]) -> None:
    one, other = two
    one.create("todo", {"id": "a", "x": 1})
    assert other.rows() == {"a": {"x": 1}}
    other.update("todo", "a", {"x": 2})
    assert other.synchronize().pushed == 2
    assert one.status() == other.status()
    assert one.rows() == server.rows() == {"a": {"x": 2}}


def test_an_answer_that_another_sync_overtook_is_of_no_use(server: Server, two: tuple[Device, Device]) -> None:
    one, other = two
    phone = server.device()
    one.create("todo", {"id": "a", "x": 1})

    def overtake() -> None:
        other.synchronize()
        phone.synchronize()
        phone.update("todo", "a", {"x": "phone"})
        phone.delete("todo", "a")
        phone.synchronize()
        other.synchronize()

    one.line.during = overtake
    result = one.synchronize()
    assert (result.requests, result.pushed) == (2, 0)
    assert one.rows() == server.rows() == {}


@pytest.mark.parametrize("seed", range(25))
def test_two_that_sync_within_each_other_s_syncs(server: Server, two: tuple[Device, Device], seed: int) -> None:
    chance = random.Random(seed)
    phone = server.device(skew=chance.randrange(-20, 20))
    values = iter(range(10_000))

    def edit(device: Device) -> None:
        server.time += chance.randrange(4)
        record = f"r{chance.randrange(8)}"
        if device.get("todo", record) is None:
            device.create("todo", {"id": record, "x": next(values)})
        elif chance.random() < 0.8:
            device.update("todo", record, {chance.choice("xyz"): next(values)})
        else:
            device.delete("todo", record)

    def within(device: Device, depth: int) -> None:
        for _ in range(chance.randrange(3)):
            edit(chance.choice([*two, phone]))
        if chance.random() < 0.3:
            phone.synchronize()
        other = two[1] if device is two[0] else two[0]
        if depth < 3 and chance.random() < 0.6:
            other.line.during = lambda: within(other, depth + 1)
            other.synchronize()

    for _ in range(15):
        device = chance.choice(two)
        edit(device)
        device.line.during = lambda: within(device, 0)  # noqa: B023 - it is called at once
        device.synchronize()
        server.time += 1
    for _ in range(2):
        for one in (*two, phone):
            one.line.during = None
            one.synchronize()
    assert two[0].rows() == two[1].rows() == phone.rows() == server.rows()
    assert two[0].status().pending == 0


_PROCESS = """
import json, sys
from mobync_core.replica import Replica
store, url, name = sys.argv[1:]
with Replica(store, url, token="ann-secret", page=7, batch=9) as replica:
    for number in range(40):
        replica.create("todo", {"id": f"{name}-{number:02}", "x": 0})
        replica.update("todo", f"{name}-{number:02}", {"x": number})
        replica.update("counter", name, {"n": number}) if number else replica.create("counter", {"id": name, "n": 0})
        if number % 4 == 3:
            replica.synchronize()
        if number % 8 == 7:
            replica.delete("todo", f"{name}-{number - 1:02}")
    replica.synchronize()
"""


@pytest.fixture
def http(memory: Storage) -> Iterator[tuple[str, Mobync]]:
    mobync = Mobync(memory)
    with serving(asgi_app(mobync, KnownTokens({"ann-secret": "ann"}))) as url:
        yield url, mobync


def test_processes_on_one_store_that_edit_and_sync_at_once(http: tuple[str, Mobync], tmp_path: Path) -> None:
    url, mobync = http
    store = str(tmp_path / "app.db")
    names = ["p", "q", "r"]
    processes = [subprocess.Popen([sys.executable, "-c", _PROCESS, store, url, name]) for name in names]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    made = {f"{name}-{number:02}": {"x": number} for name in names for number in range(40) if number % 8 != 6}
    with Replica(store, url, token="ann-secret") as replica:
        assert replica.status().pending == 0
        assert {record.pop("id"): record for record in replica.all("todo")} == made
        assert replica.all("counter") == [{"id": name, "n": 39} for name in names]
        assert replica.status().conflicts == []
    assert {record.pop("id"): record for record in mobync.records("ann", "todo")} == made


def test_threads_on_one_replica_that_edit_and_sync_at_once(http: tuple[str, Mobync], tmp_path: Path) -> None:
    url, mobync = http
    with Replica(tmp_path / "app.db", url, token="ann-secret", page=5, batch=6) as replica:

        def work(name: str) -> None:
            for number in range(20):
                replica.create("todo", {"id": f"{name}{number:02}"})
                if number % 5 == 4:
                    replica.synchronize()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, "abcd"))
        replica.synchronize()
        assert len(replica.all("todo")) == 80
        assert replica.all("todo") == sorted(mobync.records("ann", "todo"), key=lambda record: record["id"])


_KILLED = """
import os, sys, threading
from mobync_core.replica import Replica
store, url, seconds = sys.argv[1:]
replica = Replica(store, url, token="ann-secret", page=5, batch=5)
threading.Timer(float(seconds), lambda: os._exit(9)).start()
number = len(replica.all("todo"))
while True:
    replica.create("todo", {"id": f"r{number:05}", "n": number})
    print(number, flush=True)
    number += 1
    if number % 3 == 0:
        replica.synchronize()
"""


def test_a_process_that_is_killed_at_any_time_loses_nothing_and_doubles_nothing(
    http: tuple[str, Mobync], tmp_path: Path
) -> None:
    url, mobync = http
    store = str(tmp_path / "app.db")
    said: list[int] = []
    for seconds in (0.05, 0.13, 0.21, 0.09):
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, store, url, str(seconds)], stdout=subprocess.PIPE, timeout=60, check=False
        )
        assert done.returncode == 9
        said += [int(line) for line in done.stdout.split()]
    with Replica(store, url, token="ann-secret") as replica:
        replica.synchronize()
        held = replica.all("todo")
    numbers = [record["n"] for record in held]
    assert numbers == list(range(len(numbers)))
    assert set(said) <= set(numbers)
    assert said
    assert held == sorted(mobync.records("ann", "todo"), key=lambda record: record["id"])
