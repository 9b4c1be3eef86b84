"""``mobync storm``, as a process, and the tests that it writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mobync_core.testing.storm import FAULTS
from tests.cli.commands import mobync
from tests.testing.mutants.plugin import install

BROKEN = "mutant+starts-after-since://"


def pytest_of(file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={file.parent}", str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
        cwd=file.parent,
    )


def test_all_is_well() -> None:
    ended = mobync("storm", "memory://", "--seed", "1", "--histories", "50", COLUMNS="200")

    assert (ended.status, ended.err) == (0, "")
    name, befallen, summary = ended.out.splitlines()
    assert name == "memory at memory://"
    assert re.fullmatch(r"befallen: .*\d+ lost-answer, .*", befallen)
    assert re.fullmatch(
        r"histories: 50 from the seed 1, all clean, in \d+ s \([\d,]+ a minute\)",
        summary,
    )


def test_what_goes_wrong_is_told_and_written_as_a_test(tmp_path: Path) -> None:
    installed = install(tmp_path / "installed")
    ended = mobync("storm", BROKEN, "--seed", "1", "--write", str(tmp_path / "found"), PYTHONPATH=installed)

    assert (ended.status, ended.err) == (1, "")
    (file,) = (tmp_path / "found").iterdir()
    assert f"written to {file}" in ended.out
    assert re.search(r"✗ all devices and the server are equal: .+ is .+ on .+", ended.out)
    assert re.search(r"seed \d+, shrunk from \d+ steps to \d:\n", ended.out)
    assert re.search(r"histories: [\d,]+ from the seed 1, 1 failed, in", ended.out)

    failed = pytest_of(file, PYTHONPATH=installed)
    assert failed.returncode == 1, failed.stdout
    assert "Violation: all devices and the server are equal: " in failed.stdout
    mended = pytest_of(file, PYTHONPATH=installed, MOBYNC_URL="memory://")
    assert (mended.returncode, mended.stdout.splitlines()[-1].startswith("1 passed")) == (0, True), mended.stdout
    assert "hunter2" not in file.read_text()


def test_json_is_all_that_is_printed(tmp_path: Path) -> None:
    arguments = ("storm", BROKEN, "--seed", "1", "--rate", "lost-answer=1", "--json")
    ended = mobync(*arguments, PYTHONPATH=install(tmp_path))

    assert (ended.status, ended.err) == (1, "")
    told = json.loads(ended.out)
    assert (told["url"], told["adapter"], told["seed"]) == (BROKEN, "mutant", 1)
    assert told["befallen"]["lost-answer"] > 0
    (failure,) = told["failures"]
    assert failure["promise"] == "all devices and the server are equal"
    assert len(failure["history"]["steps"]) < failure["steps"]
    assert failure["timeline"][-1] == f"{failure['promise']}: {failure['why']}"


def test_it_tells_the_faults() -> None:
    ended = mobync("storm", "--list-faults", "--json", "--rate", "delay=0.5")

    assert ended.status == 0
    faults = {fault["name"]: fault["rate"] for fault in json.loads(ended.out)}
    assert faults == {name: fault.rate for name, fault in FAULTS.items()} | {"delay": 0.5}
    shown = mobync("storm", "--list-faults", COLUMNS="200").out
    for fault in FAULTS.values():
        assert re.search(rf"{fault.name} +{fault.rate:g} +{fault.of} +{re.escape(fault.what)}", shown)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["memory://", "--rate", "rain=1"], "Error: there is no fault 'rain'; there are lost-request, "),
        (["memory://", "--rate", "delay=often"], "write it as lost-answer=0.2, not 'delay=often'"),
        (["memory://", "--rate", "delay=2"], "Error: the rate of delay must be from 0 to 1, not 2.0"),
        ([], "name the URL of a storage, such as memory:// or sqlite:///app.db"),
        (["nobody://hunter2@x"], "Error: no installed adapter claims nobody://"),
        (["sqlite:////no/such/directory/store.db"], "there is no directory /no/such/directory"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], message: str) -> None:
    ended = mobync("storm", *arguments)

    assert ended.status in (1, 2)
    assert ended.out == ""
    assert message in ended.err
    assert "hunter2" not in ended.err
