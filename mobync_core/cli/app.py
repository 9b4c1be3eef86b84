"""The group of all subcommands, and what they have in common."""

from __future__ import annotations

from typing import Any

import click

from mobync_core.cli.adapters import adapters
from mobync_core.cli.adopt import adopt
from mobync_core.cli.demo import demo
from mobync_core.cli.purge import purge
from mobync_core.cli.restored import restored
from mobync_core.cli.serve import serve
from mobync_core.cli.storm import storm
from mobync_core.cli.verify import verify
from mobync_core.errors import MobyncError


class _Commands(click.Group):
    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except MobyncError as error:
            raise click.ClickException(" ".join(str(error).split())) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mobync-core", prog_name="mobync")
def mobync() -> None:
    """Offline sync for any Python backend and any database."""


for _command in (adapters, adopt, demo, purge, restored, serve, storm, verify):
    mobync.add_command(_command)
