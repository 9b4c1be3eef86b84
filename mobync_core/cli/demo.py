"""``mobync demo``: the library shown at work."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from mobync_core.cli.extras import require


@click.command()
def demo() -> None:
    """Show a sync at work: a real server, three devices, and all that can go wrong between them."""
    require("server", "client")
    from mobync_core.demo import run  # noqa: PLC0415 - it needs these extras

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal and pipe can take an arrow
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="mobync-demo-", ignore_cleanup_errors=True) as directory:
        equal = run(f"sqlite:///{Path(directory).as_posix()}/demo.db", console)
    sys.exit(0 if equal else 1)
