"""The Flask examples, started by the command that their READMEs name and spoken to over HTTP."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import pytest

from mobync_core.testing.dart import DartDevice
from tests.http.posting import Answer, ask

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def serving(name: str, directory: Path, **environment: str) -> Iterator[str]:
    """Start an example in an empty directory, on a free port, and tell its URL."""
    command = [sys.executable, "-m", "flask", "--app", str(EXAMPLES / name / "app.py"), "run", "--port", "0"]
    log = directory / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=directory, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield listening(server, log)
        finally:
            server.terminate()
            server.wait(20)


def listening(server: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(600):
        if found := re.search(r"Running on (http://\S+)", log.read_text()):
            return found[1]
        try:
            server.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(f"the example did not start: {log.read_text()}")


@pytest.fixture(params=["in memory", "sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    database = {"DATABASE_URL": request.getfixturevalue("postgresql_url")} if request.param == "postgresql" else {}
    with serving("flask-in-memory" if request.param == "in memory" else "flask-sql", tmp_path, **database) as url:
        yield url


def device(owner: str, seed: int) -> DartDevice:
    return DartDevice(owner, now=lambda: 1_700_000_000_000 + seed, random=Random(seed))


def sync(url: str, one: DartDevice) -> None:
    answer = ask(url, one.request())
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    one.receive(answer.json)


def tasks(url: str) -> dict[str, dict[str, Any]]:
    listed = ask(url, method="GET", path="/list-db").json
    assert set(listed) == {"diffs", "tasks", "model1"}
    return {row.pop("id"): row for row in listed["tasks"]}


def test_devices_and_the_application_end_with_the_same(url: str) -> None:
    phone, tablet, bobs = device("ann", 1), device("ann", 2), device("bob", 3)
    whole = {"name": "Füße", "created_time": "1604114898774", "done": False}
    phone.create("tasks", "a", whole)
    tablet.create("tasks", "b", whole | {"name": "read"})
    for one in (phone, tablet, phone):
        sync(url, one)
    phone.update("tasks", "a", {"done": True})
    tablet.delete("tasks", "b")

    added = ask(url, {"owner": "ann", "where": "tasks", "data": whole | {"name": "water"}}, path="/add-item")
    assert added.status == 201
    for one in (phone, tablet, phone, bobs):
        sync(url, one)

    expected = {"a": whole | {"done": True}, added.json["id"]: whole | {"name": "water"}}
    assert {record: fields for (_, record), fields in phone.rows.items()} == expected
    assert tablet.rows == phone.rows
    assert bobs.rows == {}
    assert tasks(url) == expected

    gone = ask(url, {"owner": "ann", "where": "tasks", "id": added.json["id"]}, path="/delete-item")
    assert gone.status == 200
    for one in (phone, tablet):
        sync(url, one)
        assert {record for _, record in one.rows} == {"a"}
    assert set(tasks(url)) == {"a"}


def test_devices_that_push_at_once_end_equal(url: str) -> None:
    devices = [device("ann", seed) for seed in range(4)]

    def live(one: DartDevice) -> None:
        for number in range(4):
            one.create("model1", f"{id(one)} {number}", {"field1": "x"})
            if not one.create("model1", "shared", {"field1": f"{id(one)} {number}"}):
                one.update("model1", "shared", {"field1": f"{id(one)} {number}"})
            sync(url, one)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, devices))
    for one in devices * 2:
        sync(url, one)

    listed = ask(url, method="GET", path="/list-db").json
    assert len(devices[0].rows) == 17
    for one in devices:
        assert one.rows == {("model1", row["id"]): {"field1": row["field1"]} for row in listed["model1"]}
    assert len({row["logical_clock"] for row in listed["diffs"]}) == len(listed["diffs"])


def test_what_is_wrong_is_said_in_json(url: str) -> None:
    item = {"owner": "ann", "where": "tasks", "data": {"id": "a", "name": "walk", "done": False}}
    assert ask(url, item, path="/add-item").status == 201

    def says(answer: Answer) -> tuple[int, str]:
        assert not answer.json["success"]
        assert answer.json["message"]
        return answer.status, answer.json["code"]

    assert says(ask(url, item, path="/add-item")) == (409, "invalid_data")
    assert says(ask(url, b"no JSON", path="/add-item")) == (400, "invalid_data")
    assert says(ask(url, item | {"where": "diffs"}, path="/add-item")) == (400, "invalid_data")
    assert says(ask(url, item | {"data": {"a b": 1}}, path="/add-item")) == (400, "invalid_data")
    nobody = {"owner": "bob", "where": "tasks", "id": "a"}
    assert says(ask(url, nobody, path="/delete-item")) == (404, "no_such_object")
    assert says(ask(url, b"no JSON", path="/sync")) == (400, "invalid_data")
    assert says(ask(url, {"auth_token": "ann", "logical_clock": 99, "diffs": []}, path="/sync")) == (
        409,
        "invalid_clock",
    )
    assert says(ask(url, method="GET", path="/sync")) == (405, "method_not_allowed")
    assert says(ask(url, method="GET", path="/add-item")) == (405, "method_not_allowed")
    assert says(ask(url, method="GET", path="/nothing")) == (404, "not_found")
    assert set(tasks(url)) == {"a"}


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_what_a_table_does_not_take_refuses_that_row_alone(url: str) -> None:
    phone = device("ann", 1)
    phone.create("tasks", "good", {"name": "walk", "done": False})
    phone.create("tasks", "nameless", {"done": False})
    phone.create("tasks", "odd", {"name": "walk", "done": "perhaps"})
    phone.create("tasks", "wide", {"name": "walk", "done": False, "colour": "red"})
    phone.create("tasks", "number", {"name": 5, "done": False})
    phone.create("tasks", "list", {"name": ["walk"], "done": False})
    phone.create("nowhere", "a", {"x": 1})

    sync(url, phone)

    assert phone.rows == {("tasks", "good"): {"name": "walk", "done": False}}
    assert set(tasks(url)) == {"good"}


@pytest.mark.parametrize("name", ["flask-in-memory", "flask-sql"])
def test_what_its_readme_asks_by_curl_is_answered(name: str, tmp_path: Path) -> None:
    readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    asked = re.findall(r"^curl localhost:5000(/\S+) -d '(.+)'$", readme, re.MULTILINE)

    assert {path for path, _ in asked} == {"/add-item", "/sync"}
    with serving(name, tmp_path) as url:
        for path, body in asked:
            with urlopen(f"{url}{path}", body.encode(), timeout=10) as answer:  # with curl's Content-Type
                assert answer.status in (200, 201)


def test_a_file_of_sqlite_outlives_the_server(tmp_path: Path) -> None:
    phone, tablet = device("ann", 1), device("ann", 2)
    phone.create("model1", "a", {"field1": "x"})
    with serving("flask-sql", tmp_path) as url:
        sync(url, phone)
    with serving("flask-sql", tmp_path) as url:
        sync(url, tablet)

    assert tablet.rows == phone.rows == {("model1", "a"): {"field1": "x"}}
