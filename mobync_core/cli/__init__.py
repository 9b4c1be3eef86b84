"""The command ``mobync``. Needs the extra ``cli``; some of its subcommands need ``server``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, or say what to install if it cannot run."""
    try:
        from mobync_core.cli.app import mobync  # noqa: PLC0415 - the bare core has no click
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit(f'mobync: the command needs {error.name}: pip install "mobync-core[cli]"')
    mobync()
