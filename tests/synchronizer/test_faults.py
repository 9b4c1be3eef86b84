"""A server that dies, threads, and a second process: what is kept where the application's tables promise nothing."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from mobync_core import Mobync, ReadFilter, RecordRejected, ServerBusy, StorageUnavailable
from mobync_core.testing.dart import DartDevice
from tests.core.sent import diff, told

from .application import Application, Crash
from .worker import SQLite

PUSH = [
    diff("update", "a", 2000, x=2),
    diff("create", "b", 2001, x=1),
    diff("delete", "c", 2002),
    diff("create", "c", 2003, y=1),
    diff("update", "c", 2004, y=2),
    diff("delete", "d", 2005),
]


def started() -> tuple[Application, Mobync]:
    application = Application("todo")
    mobync = Mobync(application)
    mobync.apply(0, [diff("create", name, x=1) for name in "acd"], "ann")
    return application, mobync


def writes_of_the_push() -> int:
    application, mobync = started()
    before = application.writes
    mobync.apply(3, PUSH, "ann")
    return application.writes - before


@pytest.mark.parametrize("done", [False, True], ids=["before the write", "after the write"])
@pytest.mark.parametrize("write", range(2 * len(PUSH)))
def test_the_same_push_completes_what_a_crash_left_undone(write: int, done: bool) -> None:
    application, mobync = started()
    application.fails_at, application.fails_after = application.writes + write, done
    with pytest.raises(Crash):
        mobync.apply(3, json.loads(json.dumps(PUSH)), "ann")
    application.fails_at = None

    mobync.apply(3, json.loads(json.dumps(PUSH)), "ann")

    assert {row["id"]: row for row in application.rows("todo")} == {
        "a": {"id": "a", "x": 2},
        "b": {"id": "b", "x": 1},
        "c": {"id": "c", "y": 2},
    }
    assert {one["id"]: one for one in mobync.records("ann", "todo")} == {
        row["id"]: row for row in application.rows("todo")
    }
    counts = Counter(row["id"] for row in application.rows("diffs"))
    assert all(counts[one["id"]] == 1 for one in PUSH)


def test_every_write_of_that_push_was_tried() -> None:
    assert writes_of_the_push() == 2 * len(PUSH)


def test_what_was_deleted_offline_after_a_crash_leaves_no_row() -> None:
    application, mobync = started()
    create = diff("create", "e", 2000)
    application.fails_at = application.writes + 1  # the row is there, the log does not have it
    with pytest.raises(Crash):
        mobync.apply(3, [create], "ann")
    application.fails_at = None
    assert any(row["id"] == "e" for row in application.rows("todo"))

    mobync.apply(3, [create, diff("delete", "e", 2001)], "ann")

    assert all(row["id"] != "e" for row in application.rows("todo"))


def test_a_row_that_the_application_refuses_is_refused_alone() -> None:
    class Constrained(Application):
        def create(self, where: str, data_json: str) -> None:
            if where == "todo" and len(json.loads(data_json)["title"]) > 5:
                raise RecordRejected({(where, json.loads(data_json)["id"]): "the title is too long"})
            super().create(where, data_json)

    application = Constrained("todo")
    mobync = Mobync(application)
    push = [diff("create", "a", title="milk"), diff("create", "b", title="far too long"), diff("create", "c", title="")]

    answer = mobync.apply(0, push, "ann", explain=True)

    outcomes = {one["record"]: one for one in answer["outcomes"]}
    assert outcomes["b"]["result"] == "refused"
    assert outcomes["b"]["reason"] == "the title is too long"
    assert [row["id"] for row in application.rows("todo")] == ["a", "c"]
    assert told(answer) == [("delete", {"id": "b"})]


def test_a_diff_whose_id_another_owner_has_used_is_refused_alone() -> None:
    class Unique(Application):
        def create(self, where: str, data_json: str) -> None:
            name = json.loads(data_json)["id"]
            if where == "diffs" and any(row["id"] == name for row in self.tables[where]):
                raise RecordRejected({(where, name): "the primary key is taken"})
            super().create(where, data_json)

    application = Unique("todo")
    mobync = Mobync(application)
    bobs = diff("create", "b")
    mobync.apply(0, [bobs], "bob")

    answer = mobync.apply(0, [diff("create", "a") | {"id": bobs["id"]}, diff("create", "c")], "ann", explain=True)

    assert [one["result"] for one in answer["outcomes"]] == ["refused", "applied"]
    assert [row["id"] for row in application.rows("todo")] == ["b", "c"]
    assert told(answer) == [("delete", {"id": "a"})]


def test_a_database_out_of_reach_is_a_server_that_is_busy() -> None:
    class Gone(Application):
        def read(self, where: str, filters: list[ReadFilter]) -> str:
            raise StorageUnavailable("no route to the database")

    mobync = Mobync(Gone())

    with pytest.raises(ServerBusy, match="no route"):
        mobync.apply(0, [], "ann")
    with pytest.raises(ServerBusy, match="no route"):
        mobync.get("ann", "todo", "a")


def test_an_owners_pushes_come_one_after_the_other_in_a_process() -> None:
    class Slow(Application):
        def read(self, where: str, filters: list[ReadFilter]) -> str:
            rows = super().read(where, filters)
            time.sleep(0.001)
            return rows

    application = Slow("todo")
    mobync = Mobync(application)
    devices = [DartDevice("ann", now=lambda: 1, random=Random(number)) for number in range(4)]

    def live(device: DartDevice) -> None:
        for number in range(5):
            device.create("todo", f"{id(device)} {number}", {"x": number})
            sync(mobync, device)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, devices))
    for device in devices:
        sync(mobync, device)

    clocks = [row["logical_clock"] for row in application.rows("diffs")]
    assert clocks == list(range(20))
    assert all(device.rows == devices[0].rows for device in devices)
    assert len(devices[0].rows) == 20


def test_other_owners_do_not_wait() -> None:
    class Held(Application):
        def __init__(self) -> None:
            super().__init__("todo")
            self.reached, self.go_on = threading.Event(), threading.Event()

        def validate_create(self, owner_id: str, **kwargs: Any) -> bool:
            return True

        def create(self, where: str, data_json: str) -> None:
            if where == "todo" and json.loads(data_json)["id"] == "held":
                self.reached.set()
                assert self.go_on.wait(10)
            super().create(where, data_json)

    application = Held()
    mobync = Mobync(application)
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(mobync.apply, 0, [diff("create", "held")], "ann")
        assert application.reached.wait(10)
        try:
            assert mobync.apply(0, [diff("create", "b")], "bob")["logical_clock"] == 1
        finally:
            application.go_on.set()
        assert held.result(10)["logical_clock"] == 1


def test_what_another_process_wrote_since_the_log_was_read_is_merged() -> None:
    application = Application("todo")
    ours, theirs = Mobync(application), Mobync(application)
    ours.apply(0, [diff("create", "a", 1000, x=0, y=0)], "ann")
    read = application.read
    pending = [[diff("update", "a", 2000, x="theirs", y="theirs")]]

    def interrupted(where: str, filters: list[ReadFilter]) -> str:
        rows = read(where, filters)
        if pending:
            theirs.apply(1, pending.pop(), "ann")
        return rows

    application.read = interrupted  # type: ignore[method-assign]
    answer = ours.apply(1, [diff("update", "a", 3000, x="ours")], "ann")

    assert application.rows("todo") == [{"id": "a", "x": "ours", "y": "theirs"}]
    assert [row["logical_clock"] for row in application.rows("diffs")] == [0, 1, 2]
    assert answer["logical_clock"] == 3
    assert told(answer) == [("update", {"id": "a", "y": "theirs"})]


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_what_two_processes_wrote_at_one_clock_reaches_every_device(kind: str) -> None:
    application = Application("todo")
    ours, theirs = Mobync(application), Mobync(application)
    phone, tablet = (DartDevice("ann", now=lambda: 1000, random=Random(number)) for number in range(2))
    phone.create("todo", "a", {"x": 1})
    sync(ours, phone)
    sync(theirs, tablet)
    if kind == "create":
        phone.create("todo", "b", {"x": 2})
    elif kind == "update":
        phone.update("todo", "a", {"x": 2})
    else:
        phone.delete("todo", "a")
    tablet.create("todo", "t", {"x": 3})
    write = application._write
    waiting = [tablet]

    def interrupted(change: Any) -> None:
        if waiting:
            sync(theirs, waiting.pop())  # ours has looked whether anybody wrote, and not yet written
        write(change)

    application._write = interrupted  # type: ignore[method-assign, assignment]
    sync(ours, phone)

    clocks = Counter(row["logical_clock"] for row in application.rows("diffs"))
    assert clocks[1] == 2
    assert tablet.clock == 2
    sync(ours, tablet)
    assert tablet.rows == phone.rows == {("todo", row.pop("id")): row for row in application.rows("todo")}
    assert tablet.rows["todo", "t"] == {"x": 3}
    assert tablet.rows == {("todo", one.pop("id")): one for one in theirs.records("ann", "todo")}


def test_who_never_gets_a_turn_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mobync_core.attempts._PATIENCE", 0.05)
    application = Application("todo")
    read = application.read

    def always_late(where: str, filters: list[ReadFilter]) -> str:
        if len(filters) > 1:
            application.tables["diffs"].append(json.loads(foreign(len(application.tables["diffs"]))))
        return read(where, filters)

    def foreign(clock: int) -> str:
        return json.dumps(diff("create", f"f{clock}") | {"owner": "ann", "logical_clock": clock})

    application.read = always_late  # type: ignore[method-assign]
    with pytest.raises(ServerBusy):
        Mobync(application).apply(0, [diff("create", "a")], "ann")
    assert application.rows("todo") == []


def sync(mobync: Mobync, device: DartDevice) -> None:
    request = device.request()
    device.receive(mobync.apply(request["logical_clock"], request["diffs"], "ann"))


@pytest.mark.parametrize("kind", ["with", "without"])
def test_processes_share_a_database_with_transactions_and_without(tmp_path: Path, kind: str) -> None:
    database = tmp_path / "app.db"
    connection = sqlite3.connect(database)
    connection.executescript(
        "PRAGMA journal_mode = WAL;"
        "CREATE TABLE todo (id TEXT PRIMARY KEY, x TEXT);"
        "CREATE TABLE diffs (id TEXT PRIMARY KEY, owner TEXT, logical_clock INTEGER, utc_timestamp INTEGER,"
        " type TEXT, model TEXT, json_data TEXT)"
    )
    command = [sys.executable, "-m", "tests.synchronizer.worker", str(database)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*command, name, kind], **pipes) for name in "abc"]  # type: ignore[call-overload]
    try:
        assert [worker.stdout.readline() for worker in workers] == ["done\n"] * 3
        held = [json.loads(worker.communicate("go on\n", timeout=60)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()

    rows = dict(connection.execute("SELECT id, x FROM todo"))
    clocks = [clock for (clock,) in connection.execute("SELECT logical_clock FROM diffs")]
    connection.close()
    assert held == [rows] * 3
    assert set(rows) == {f"{name} {number}" for name in "abc" for number in range(1, 10, 2)} | {"shared"}
    if kind == "with":
        assert len(set(clocks)) == len(clocks)
    ours = SQLite(str(database))
    assert {one["id"]: one["x"] for one in Mobync(ours).records("ann", "todo")} == rows
    ours.connection.close()
