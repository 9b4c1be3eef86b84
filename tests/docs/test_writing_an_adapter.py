"""The tutorial "Writing an adapter" builds the package in examples/, and what it builds keeps its promises.

Whoever follows the page has an environment of their own: here one that sees the packages of this one, and into which
the wheel is installed, so that the adapter is found as a stranger's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "writing-an-adapter.md").read_text(encoding="utf-8")
EXAMPLE = ROOT / "examples" / "lmdb-adapter"

NOT_RUN = {
    "no fixture `handed_in` gives a storage on a client of the application",
    "the URL has no password",
    "the URL names no server",
}
"""Why the suite cannot try some promises on LMDB."""

COMMANDS = {"pip": "pip", "hatchling": "hatchling", "pytest": "pytest", "mobync": "mobync_core.cli"}
"""What the page runs, by the module behind it."""

SOME = "conflicts or test_lmdb"
"""Which of the tests pytest runs: `mobync verify` runs the same ones all."""

EXAMPLES = 5
"""How many random histories the suite tries here; the conformance tests of the project try more on every storage."""


@dataclass(frozen=True)
class Step:
    """One block of the page: a part of a file, commands, or what they print."""

    kind: str
    text: str
    file: str = ""


def steps() -> list[Step]:
    """The page's blocks in their order. One of code goes into the file that was named last before it."""
    found: list[Step] = []
    file = ""
    for token in MarkdownIt().parse(PAGE):
        if token.type == "inline" and (named := re.search(r"`([\w/.]+\.(?:py|toml))`:$", token.content)):
            file = named[1]
        elif token.type == "fence":
            found.append(Step(token.info, token.content, file if token.info in ("python", "toml") else ""))
    return found


def joined(parts: list[str]) -> str:
    """One file of its blocks, with as much space between them as the style of the project has."""
    text = parts[0]
    for part in parts[1:]:
        text += ("\n" if part.startswith(" ") else "\n\n") + part
    return text


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """What the page has its reader write, by path."""
    parts: dict[str, list[str]] = {}
    for step in steps():
        if step.file:
            parts.setdefault(step.file, []).append(step.text)
    return {file: joined(blocks) for file, blocks in parts.items()}


@dataclass(frozen=True)
class Followed:
    """What became of following the page in `directory`, whose environment has the wheel in `site`."""

    directory: Path
    site: Path
    python: Path
    environment: dict[str, str]
    printed: dict[str, str] = field(default_factory=dict)
    """By command."""

    def run(self, commands: str, where: Path) -> str:
        done = subprocess.run(
            ["sh", "-euc", commands], cwd=where, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def followed(files: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """Do what the page says; `mobync verify` prints JSON, and directories in /tmp are this test's."""
    directory = tmp_path_factory.mktemp("tutorial")
    followed = environment_of_its_own(directory)
    where = directory
    for step in steps():
        if step.kind == "console":
            for command in step.text.replace("/tmp/", f"{directory}/").splitlines():
                run = f"{command} --json" if command.startswith("mobync verify") else command
                followed.printed[command] = followed.run(f"{run}\npwd > {directory}/where", where)
                where = Path((directory / "where").read_text().strip())
        elif step.file and not (where / step.file).exists():
            (where / step.file).write_text(files[step.file], encoding="utf-8")
    return followed


@pytest.fixture(scope="module")
def report(followed: Followed) -> dict[str, Any]:
    """What `mobync verify` found."""
    (printed,) = [told for command, told in followed.printed.items() if command.startswith("mobync verify")]
    found: dict[str, Any] = json.loads(printed)
    return found


def environment_of_its_own(directory: Path) -> Followed:
    """A virtual environment that sees what this one has, and nobody else sees what it gets."""
    place = directory / "venv"
    venv.create(place, symlinks=True)
    site, scripts = (Path(sysconfig.get_path(name, "venv", {"base": str(place)})) for name in ("purelib", "scripts"))
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "ours.pth").write_text("".join(f"import site; site.addsitedir({place!r})\n" for place in sorted(ours)))
    for name, module in COMMANDS.items():
        script = scripts / name
        script.write_text(f'#!/bin/sh\nexec "{scripts / "python"}" -P -m {module} "$@"\n')
        script.chmod(0o755)
    ours_only = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MOBYNC_"))}
    given = {
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
        "MOBYNC_EXAMPLES": str(EXAMPLES),
        "PYTEST_ADDOPTS": f"-k '{SOME}'",
        "PIP_NO_INDEX": "1",  # all that the page installs is here but its own wheel
    }
    return Followed(directory, site, scripts / "python", ours_only | given)


def test_the_blocks_of_the_page_are_the_package_in_examples(files: dict[str, str]) -> None:
    kept = {
        str(file.relative_to(EXAMPLE)): file.read_text(encoding="utf-8")
        for file in EXAMPLE.rglob("*")
        if file.suffix in (".py", ".toml") and file.stat().st_size and file.name != "test_lmdb.py"
    }

    assert files == kept


def test_the_package_is_as_short_as_the_page_says() -> None:
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in EXAMPLE.glob("mobync_lmdb/*.py"))

    assert f"in {lines} lines" in PAGE
    assert lines < 150


def test_the_wheel_is_found_as_a_strangers(followed: Followed) -> None:
    (wheel,) = (followed.directory / "mobync-lmdb" / "dist").glob("*.whl")
    where = followed.run("python -P -c 'import mobync_lmdb; print(mobync_lmdb.__file__)'", followed.directory)

    assert "mobync_lmdb/py.typed" in zipfile.ZipFile(wheel).namelist()
    assert Path(where.strip()).is_relative_to(followed.site)
    assert "mobync-lmdb 1.0.0" in followed.run("mobync adapters", followed.directory)


def test_looking_for_adapters_imports_no_lmdb(followed: Followed) -> None:
    look = "import sys; from mobync_core.plugins import discover; found = discover(); assert not found.broken; "
    told = "print('lmdb' in [one.adapter.name for one in found.installed], 'lmdb' in sys.modules)"

    assert followed.run(f'python -P -c "{look}{told}"', followed.directory).split() == ["True", "False"]


def test_its_ten_lines_of_test_are_the_whole_suite(followed: Followed, report: dict[str, Any]) -> None:
    told = re.search(r"(\d+) passed, (\d+) deselected in", followed.printed["pytest tests"])

    assert told is not None
    assert int(told[1]) > 0
    assert int(told[1]) + int(told[2]) == sum(promise["cases"] for promise in report["promises"])


def test_mobync_verify_says_that_every_promise_is_kept(followed: Followed, report: dict[str, Any]) -> None:
    url = report["url"].replace(f"{followed.directory}/", "/tmp/")
    told = (
        f"{report['adapter']} ({report['distribution']}) at {url}\n"
        f"promises: {report['kept']} kept, {report['broken']} broken, {report['not_run']} not run, in "
    )
    (shown,) = [step.text for step in steps() if step.kind == "text"]

    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
    assert {
        why for promise in report["promises"] if promise["outcome"] == "not run" for why in promise["why"].values()
    } == NOT_RUN
    assert re.sub(r"\d+ s\n$", "", shown) == told


def test_what_its_readme_shows_runs(followed: Followed, tmp_path: Path) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8").replace("/tmp/", f"{tmp_path}/")
    (block,) = [
        token.content for token in MarkdownIt().parse(readme) if token.type == "fence" and token.info == "python"
    ]
    (copy,) = re.findall(r"`(python -m lmdb copy [^`]+)`", readme)
    (tmp_path / "use.py").write_text(f'{block}mobync.create("ann", "todo", {{"title": "Milk"}})\n', encoding="utf-8")
    copied = copy.replace("/var/lib/app", f"{tmp_path}/mobync-app").replace("/backup/app", f"{tmp_path}/copy")
    look = 'from mobync_core import Mobync; print([*Mobync("lmdb://{}/copy").records("ann", "todo")])'

    followed.run("python -P use.py", tmp_path)
    followed.run(copied, tmp_path)
    (tmp_path / "look.py").write_text(look.format(tmp_path))

    assert "Milk" in followed.run("python -P look.py", tmp_path)


def test_its_tests_of_what_the_suite_cannot_know_pass(followed: Followed) -> None:
    shutil.copy(EXAMPLE / "tests" / "test_lmdb.py", followed.directory / "mobync-lmdb" / "tests")

    assert re.search(r"\d+ passed in", followed.run("pytest tests/test_lmdb.py", followed.directory / "mobync-lmdb"))
