"""What ``docs/storm.md`` shows is run, and its figures are true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from markdown_it import MarkdownIt

from mobync_core.testing.storm import exhaust
from tests.cli.commands import mobync

PAGE = (Path(__file__).parents[2] / "docs" / "storm.md").read_text(encoding="utf-8")
FENCES = [token for token in MarkdownIt().parse(PAGE) if token.type == "fence"]


def test_the_program_runs(tmp_path: Path) -> None:
    (program,) = [fence.content for fence in FENCES if fence.info == "python"]

    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True, timeout=60)


def test_the_command_is_one(tmp_path: Path) -> None:
    assert "$ mobync storm sqlite:///try.db --seconds 60" in FENCES[0].content

    ended = mobync("storm", f"sqlite:///{tmp_path.as_posix()}/try.db", "--seconds", "1")

    assert (ended.status, ended.err) == (0, "")


def test_so_many_are_tried() -> None:
    assert f"| 2 | {exhaust(2).interleavings:,} |" in PAGE
