"""``mobync restored``: a backup was restored, and the devices must know."""

from __future__ import annotations

import click

from mobync_core.engine import Mobync


@click.command()
@click.argument("url", envvar="MOBYNC_URL")
@click.option("--owners", "prefix", metavar="PREFIX", default="", help="Only the owners whose names begin so.")
def restored(url: str, prefix: str) -> None:
    """Say that the storage at URL was put back to an earlier state. Part of every restore, before devices sync again.

    Each owner gets another epoch, by which a replica finds out that the server may lack what it had told, and offers
    what it holds. It may be said again: then they offer again, and nothing is doubled.
    """
    with Mobync(url) as engine:
        count = engine.restored(prefix=prefix)
    if not count:
        click.echo("there are no owners" + (f" whose names begin with {prefix!r}" if prefix else " in this storage"))
        return
    owners = f"{count:,} owner has" if count == 1 else f"{count:,} owners have"
    click.echo(f"{owners} another epoch: their replicas will offer what they hold when they sync next")
    click.echo(
        "published Dart clients cannot: who had seen more than this storage has is refused until the clock here has "
        "come to its own, and lacks some changes then; have its store cleared"
    )
