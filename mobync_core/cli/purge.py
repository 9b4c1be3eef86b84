"""``mobync purge``: forget what was deleted long ago."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from mobync_core.engine import Mobync

_AGE = re.compile(r"([1-9][0-9]{0,4})d")


@click.command()
@click.argument("url", envvar="MOBYNC_URL")
@click.option("--older-than", metavar="DAYS", help="Purge what was deleted longer ago than this, such as 90d.")
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    help="Purge what was deleted before this time, in UTC.",
)
@click.option("--owner", metavar="NAME", help="Purge what this owner deleted, and nobody else's.")
@click.option("--dry-run", is_flag=True, help="Only say what would be purged.")
def purge(url: str, older_than: str | None, before: datetime | None, owner: str | None, dry_run: bool) -> None:
    """Remove the tombstones of records that were deleted long ago from the storage at URL.

    A device that has not synced since may still hold them, and must then fetch everything anew: a replica does so by
    itself, and keeps its edits; a published Dart client is refused (410) until its store is cleared. So keep tombstones
    for longer than any device stays away. It may run while devices sync, and be ended at any time.
    """
    if (older_than is None) == (before is None):
        raise click.UsageError("say what is old: either --older-than 90d or --before 2026-05-01")
    limit = before.replace(tzinfo=UTC) if before is not None else datetime.now(UTC) - _age(older_than or "")
    with Mobync(url) as engine:
        purged = engine.purge(limit, owner=owner, dry_run=dry_run)
    if purged.newest is None:
        click.echo(f"nothing was deleted before {_told(limit)} that is still remembered")
        return
    newest = datetime.fromtimestamp(purged.newest / 1000, UTC)
    tombstones, owners = _count(purged.tombstones, "tombstone"), _count(purged.owners, "owner")
    click.echo(f"{'would purge' if dry_run else 'purged'} {tombstones} of {owners}, the newest of {_told(newest)}")
    click.echo(
        f"devices of theirs that last synced before that must fetch everything anew: replicas do so by themselves, "
        f"published Dart clients {'would be' if dry_run else 'are'} refused until their store is cleared"
    )


def _age(text: str) -> timedelta:
    match = _AGE.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no number of days such as 90d", param_hint="--older-than")
    return timedelta(days=int(match[1]))


def _told(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
