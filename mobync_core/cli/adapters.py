"""``mobync adapters``: what is installed."""

from __future__ import annotations

import logging

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mobync_core.hookspecs import Adapter
from mobync_core.plugins import Discovery, discover


@click.command()
def adapters() -> None:
    """List the installed storage adapters, and the plugins that are broken."""
    logging.getLogger("mobync").addHandler(logging.NullHandler())  # what is broken is told below, without tracebacks
    found = discover()
    console = Console()
    if found.installed:
        console.print(_installed(found))
    else:
        console.print('No adapter is installed: pip install "mobync-core\\[sqlite]"')
    if found.broken:
        console.print(_broken(found))


def _installed(found: Discovery) -> Table:
    table = Table("adapter", "URLs", "from", "persistent", "shared", box=box.SIMPLE_HEAD)
    for installed in found.installed:
        adapter = installed.adapter
        table.add_row(
            escape(adapter.name),
            escape(" ".join(f"{scheme}://" for scheme in adapter.schemes)),
            escape(installed.distribution),
            *_abilities(adapter),
        )
    return table


def _broken(found: Discovery) -> Table:
    table = Table("broken plugin", "from", "error", box=box.SIMPLE_HEAD, style="red")
    for broken in found.broken:
        table.add_row(escape(broken.name), escape(broken.distribution), escape(broken.error))
    return table


def _abilities(adapter: Adapter) -> tuple[str, str]:
    if callable(adapter.abilities):
        return "depends", "depends"
    return _yes(adapter.abilities.persistent), _yes(adapter.abilities.shared)


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"
