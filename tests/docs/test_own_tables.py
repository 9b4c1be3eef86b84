"""What ``docs/own-tables.md`` shows is run, from its top to its end, in one directory."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from markdown_it import MarkdownIt

from tests.cli.commands import COMMAND

PAGE = (Path(__file__).parents[2] / "docs" / "own-tables.md").read_text(encoding="utf-8")


def test_what_the_page_shows_runs(tmp_path: Path) -> None:
    blocks = [token for token in MarkdownIt().parse(PAGE) if token.type == "fence"]
    program = "\n".join(block.content for block in blocks if block.info == "python")
    (command,) = [block.content for block in blocks if block.info == "console"]
    assert len(blocks) == 7

    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True, timeout=60)
    name, *arguments = shlex.split(command.removeprefix("$ "))
    assert name == "mobync"
    ended = subprocess.run([*COMMAND, *arguments], cwd=tmp_path, check=True, timeout=60, capture_output=True, text=True)
    assert "triggers" in ended.stdout
