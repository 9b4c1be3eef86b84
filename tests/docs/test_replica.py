"""What ``docs/replica.md`` shows is run, from its top to its end, against a real server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from markdown_it import MarkdownIt

from tests.cli.commands import serving

PAGE = (Path(__file__).parents[2] / "docs" / "replica.md").read_text(encoding="utf-8")


def test_what_the_page_shows_runs(tmp_path: Path) -> None:
    blocks = [token.content for token in MarkdownIt().parse(PAGE) if token.type == "fence" and token.info == "python"]
    assert len(blocks) == 10
    program = "\n".join(blocks) + "\nfor one in (replica, laptop):\n    one.close()\n"

    with serving("sqlite://", "--insecure-token-is-owner") as server:
        program = program.replace("https://api.example.com", server.url)
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            timeout=60,
            capture_output=True,
            text=True,
            check=False,
        )
        server.end()

    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "records received" in ended.stdout
    assert "takes no connection" in ended.stdout
    assert "create todo {'id': " in ended.stdout
