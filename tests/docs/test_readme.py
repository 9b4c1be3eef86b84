"""What the README shows is run."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from markdown_it import MarkdownIt

from mobync_core.plugins import discover
from mobync_core.testing import StorageSuite
from tests.storage.table import NAMES, cells, table_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return [token.content for token in MarkdownIt().parse(text) if token.type == "fence" and token.info == language]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    monkeypatch.chdir(tmp_path)

    def run_block_with(text: str) -> dict[str, Any]:
        (source,) = [block for block in blocks("python") if text in block]
        file = tmp_path / "readme_app.py"  # a file, for Flask wants to know where its application lies
        file.write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "readme_app", raising=False)
        importlib.invalidate_caches()
        return vars(importlib.import_module("readme_app"))

    return run_block_with


PUSH = {
    "auth_token": "anns-secret",
    "logical_clock": 0,
    "diffs": [
        {
            "id": "d1",
            "owner": "asdf",
            "logical_clock": 0,
            "utc_timestamp": 1604114123775,
            "type": "create",
            "model": "todo",
            "json_data": json.dumps({"id": "a", "title": "Füße"}),
        }
    ],
}
ANSWER = {"success": True, "message": "", "logical_clock": 1, "diffs": []}


def test_the_flask_application_syncs(run: Callable[[str], dict[str, Any]]) -> None:
    client = run("flask_blueprint")["app"].test_client()

    assert client.post("/sync", json=PUSH).get_json() == ANSWER
    assert client.post("/sync", json=PUSH | {"auth_token": "another"}).status_code == 401


def test_the_fastapi_application_syncs(run: Callable[[str], dict[str, Any]]) -> None:
    with TestClient(run("asgi_app")["app"]) as client:
        assert client.post("/mobync/sync", json=PUSH).json() == ANSWER
        assert client.post("/mobync/sync", json=PUSH | {"auth_token": "another"}).status_code == 401


def test_the_use_from_code_does_what_it_says(run: Callable[[str], dict[str, Any]]) -> None:
    names = run("class Rules")

    assert names["answer"]["logical_clock"] == 1


def test_a_push_is_a_row_of_the_table_that_is_bound(run: Callable[[str], dict[str, Any]]) -> None:
    names = run("class Task")

    diff = PUSH["diffs"][0] | {"model": "tasks"}  # type: ignore[index]
    names["mobync"].apply(0, [diff], "7")
    with names["engine"].connect() as connection:
        assert connection.exec_driver_sql("SELECT * FROM tasks").all() == [("a", 7, "Füße")]


@pytest.mark.parametrize("name", ["memory", "mongodb", "redis", "sql"])
def test_what_an_adapters_readme_shows_runs(name: str, tmp_path: Path) -> None:
    shown = blocks("python", (ROOT / "adapters" / name / "README.md").read_text(encoding="utf-8"))

    assert shown
    for block in shown:
        subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=tmp_path, check=True)


def test_the_replica_works_without_a_server(run: Callable[[str], dict[str, Any]]) -> None:
    assert run("Replica(")["milk"]["title"] == "Milk"


def test_every_python_block_is_run_by_one_of_these_tests() -> None:
    assert len(blocks("python")) == 5


def test_ci_runs_the_commands_of_the_readme() -> None:
    tests = next(line for block in blocks("console") for line in block.splitlines() if line.endswith("/nox"))

    assert tests in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_table_of_storages_names_every_scheme_that_is_installed() -> None:
    rows = [line for line in README.splitlines() if line.startswith("| `")]
    named = {scheme for row in rows for scheme in re.findall(r"`([a-z+]+)://", row)}
    installed = {scheme for found in discover().installed for scheme in found.adapter.schemes}

    assert named <= installed | {"redis+cluster"}  # a variant of a scheme, as a driver's name is
    assert installed - named <= {"postgres"}  # the old name of the same


def test_the_table_of_promises_is_whole_and_of_the_suite_as_it_is() -> None:
    promises = {name for name in dir(StorageSuite) if name.startswith("test_")}
    rows = [cells(row) for row in table_of(README)]

    assert {row[0] for row in rows} == {storage for storage, _ in NAMES.values()}
    for storage, _, kept, not_run, _ in rows:
        passed, _, run = kept.partition(" of ")
        assert passed == run, f"a promise of {storage} is broken"
        assert int(run) + int(not_run) == len(promises), f"run the conformance tests of {storage} with --write-table"
