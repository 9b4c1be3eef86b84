"""``mobync adopt``: an application's own tables become what devices sync."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mobync_core.adoption import Adoption, BoundModel
from mobync_core.engine import Mobync
from mobync_core.urls import scheme_of


@click.command()
@click.argument("url", envvar="MOBYNC_URL")
@click.argument("table", required=False)
@click.option("--owner-column", metavar="COLUMN", help="The column that holds the owner.")
@click.option("--model", metavar="NAME", help="The model as devices know it.  [default: the table's name]")
@click.option("--id-column", metavar="COLUMN", default="", help="The column of the ids.  [default: the primary key]")
@click.option("--field", "fields", metavar="NAME=COLUMN", multiple=True, help="A field named other than its column.")
@click.option("--hide", metavar="COLUMN", multiple=True, help="A column that devices never see.")
@click.option("--read-only", metavar="COLUMN", multiple=True, help="A column that devices see and may not write.")
@click.option("--no-triggers", is_flag=True, help="Install no triggers: only what is captured or rescanned is noticed.")
@click.option("--rescan", is_flag=True, help="Look at all rows of --model again, or of every model that is bound.")
def adopt(
    url: str,
    table: str | None,
    owner_column: str | None,
    model: str | None,
    id_column: str,
    fields: Sequence[str],
    hide: Sequence[str],
    read_only: Sequence[str],
    no_triggers: bool,
    rescan: bool,
) -> None:
    """Make the rows of TABLE, in the database at URL, the records of a model.

    From then on a sync writes rows, and what else is written into the table reaches the devices: noticed by triggers
    that this command installs. The application needs not stop, and what was cut off goes on when it is said again. It
    can be said again to change what is hidden, too. Without TABLE it lists what is bound.
    """
    with Mobync(url) as engine:
        storage = engine.storage
        if not isinstance(storage, Adoption):
            raise click.ClickException(f"the storage of {scheme_of(url)}:// has no tables of an application's own")
        if table is not None:
            if rescan:
                raise click.UsageError("--rescan is for what is bound: name it by --model, not by its table")
            if not owner_column:
                raise click.UsageError("name the column that holds the owner: --owner-column user_id")
            with _bar(f"marking {table}") as bar:
                try:
                    bound = storage.adopt(
                        table,
                        owner=owner_column,
                        model=model or "",
                        id=id_column,
                        fields=dict(map(_field, fields)),
                        hidden=hide,
                        read_only=read_only,
                        triggers=not no_triggers,
                        progress=bar,
                    )
                except (TypeError, ValueError) as error:
                    raise click.ClickException(str(error)) from error
            _fold(engine, storage)
            _show([bound])
        elif rescan:
            for found in _asked(storage, model):
                with _bar(f"looking at {found.table}") as bar:
                    storage.rescan(found.model, bar)
            click.echo(f"{_fold(engine, storage)} owners had something new")
        elif models := storage.bound_models():
            _show(models)
        else:
            click.echo("no model is bound to a table here: mobync adopt URL TABLE --owner-column COLUMN")


def _field(said: str) -> tuple[str, str]:
    name, equals, column = said.partition("=")
    if not (name and equals and column):
        raise click.UsageError(f"--field {said!r} must be as NAME=COLUMN")
    return name, column


def _asked(storage: Adoption, model: str | None) -> list[BoundModel]:
    models = storage.bound_models()
    found = [bound for bound in models if model in (None, bound.model)]
    if not found:
        names = ", ".join(bound.model for bound in models) or "none"
        raise click.ClickException(f"no table is bound to {model or 'any model'} here; bound are: {names}")
    return found


def _fold(engine: Mobync, storage: Adoption) -> int:
    owners = storage.marked_owners()
    with _bar("bringing rows to their owners") as bar:
        for done, owner in enumerate(owners, 1):
            engine.fold(owner)
            bar(done, len(owners))
    return len(owners)


@contextmanager
def _bar(what: str) -> Iterator[_Bar]:
    console = Console(file=sys.stderr)
    columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield _Bar(progress, what)


class _Bar:
    """Shows how far it is; nothing where nobody watches."""

    def __init__(self, progress: Progress, what: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape(what), total=None)

    def __call__(self, done: int, total: int) -> None:
        self._progress.update(self._task, completed=done, total=total)


def _show(models: Sequence[BoundModel]) -> None:
    table = Table("model", "table", "owner", "id", "devices see", "writes are caught by", box=box.SIMPLE_HEAD)
    for bound in models:
        fields = [
            (name if name == column else f"{name} ({column})") + (" read-only" if name in bound.read_only else "")
            for name, column in bound.fields.items()
        ]
        table.add_row(*map(escape, (bound.model, bound.table, bound.owner, bound.id, ", ".join(fields), bound.caught)))
    Console().print(table)
