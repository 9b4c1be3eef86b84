"""The command itself, and ``mobync adapters``."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points, version

import pytest
from click.testing import CliRunner

from mobync_core import plugins
from mobync_core.cli.app import mobync as command
from tests.cli.commands import COMMAND, mobync


def test_the_version() -> None:
    assert mobync("--version").out == f"mobync, version {version('mobync-core')}\n"


def test_the_help_names_every_command() -> None:
    told = mobync("--help").out
    for name in ("adapters", "demo", "serve"):
        assert f"  {name} " in told


def test_adapters_are_listed() -> None:
    ended = mobync("adapters", COLUMNS="120")
    assert (ended.status, ended.err) == (0, "")
    rows = [line.split() for line in ended.out.splitlines()]
    assert ["memory", "memory://", "mobync-memory", version("mobync-memory"), "no", "no"] in rows
    assert ["sqlite", "sqlite://", "mobync-sql", version("mobync-sql"), "depends", "depends"] in rows


def test_a_broken_plugin_is_listed_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("theirs", "mobync_core.no_such_module", "mobync")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [*entry_points(group=group), broken])
    ended = CliRunner(env={"COLUMNS": "120"}).invoke(command, ["adapters"])
    assert ended.exit_code == 0
    assert "memory://" in ended.output
    assert "theirs" in ended.output
    assert "No module named 'mobync_core.no_such_module'" in " ".join(ended.output.split())


def test_without_adapters_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])  # noqa: ARG005
    assert 'pip install "mobync-core[sqlite]"' in CliRunner().invoke(command, ["adapters"]).output


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("click", [], "cli"),
        ("rich", [], "cli"),
        ("uvicorn", ["serve", "memory://", "--insecure-token-is-owner"], "server"),
        ("starlette", ["demo"], "server"),
        ("jwt", ["serve", "memory://", "--insecure-token-is-owner"], "server"),
    ],
)
def test_without_an_extra_it_says_what_to_install(missing: str, arguments: list[str], extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from mobync_core.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f'pip install "mobync-core[{extra}]"' in ended.stderr
    assert missing in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_module_is_the_command() -> None:
    assert COMMAND[-1] == "mobync_core.cli"
    (script,) = entry_points(group="console_scripts", name="mobync")
    assert script.value == "mobync_core.cli:main"
