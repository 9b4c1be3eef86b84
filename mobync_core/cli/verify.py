"""``mobync verify``: can the storage at this URL be trusted?"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from itertools import groupby
from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from mobync_core.testing.verify import Outcome, Promise, Report

_MARKS: dict[Outcome, tuple[str, str]] = {
    "kept": ("✓", "green"),
    "broken": ("✗", "bold red"),
    "not run": ("-", "yellow"),
}


@click.command()
@click.argument("url", envvar="MOBYNC_URL")
@click.option("--only", metavar="TEXT", default="", help="Run the promises whose text holds TEXT, and no others.")
@click.option("--histories", type=click.IntRange(min=1), help="How many random histories to try.  [default: 30]")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def verify(url: str, only: str, histories: int | None, as_json: bool) -> None:
    """Put the storage at URL to the test: every promise that Mobync relies on, against the real server.

    It works on owners of its own, whose names begin with ~mobync-, and erases them; nothing else in the store is
    touched, but that the adapter's tables are made if they are missing. The server is not harmed: it is taken away by a
    proxy in between. Exit status 0: every promise that could be run was kept; 1: one was broken, or none could be run.
    """
    for module in ("pytest", "hypothesis"):
        try:
            __import__(module)
        except ModuleNotFoundError:
            raise click.ClickException(f'{module} is not installed: pip install "mobync-core[testing]"') from None
    if histories is not None:
        os.environ["MOBYNC_EXAMPLES"] = str(histories)
    from mobync_core.testing.verify import verify as run  # noqa: PLC0415 - it needs the extra `testing`

    shown = Console(file=sys.stderr if as_json else sys.stdout, highlight=False)
    with _Bar(shown) as bar:
        report = run(url, only=only, listener=bar)
    if not report.promises:
        raise click.ClickException(f"no promise's text holds {only!r}; without --only all are run, and named")
    if as_json:
        click.echo(json.dumps(_plain(report), indent=2, ensure_ascii=False))
    else:
        _show(report, shown)
    sys.exit(0 if report.is_kept else 1)


class _Bar:
    """Shows how far the run is; nothing where nobody watches."""

    def __init__(self, console: Console) -> None:
        now = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1))
        columns = (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), now)
        self._progress = Progress(
            *columns, console=console, transient=True, expand=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def found(self, cases: int) -> None:
        self._progress.update(self._task, total=cases)

    def begins(self, promise: str) -> None:
        self._progress.update(self._task, description=escape(promise))

    def ended(self, outcome: Outcome) -> None:  # noqa: ARG002 - a bar shows only how many
        self._progress.advance(self._task)


def _show(report: Report, console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("")
    table.add_column("promise", ratio=1)
    table.add_column("cases", justify="right")
    table.add_column("s", justify="right")
    for subject, promises in groupby(report.promises, key=lambda promise: promise.subject):
        table.add_row("", Text(subject, "bold"))
        for promise in promises:
            mark, style = _MARKS[promise.outcome]
            text = Text(promise.text)
            if promise.outcome == "not run":
                text.append(f"\nnot run: {next(iter(promise.why.values()), '')}", "yellow")
            table.add_row(Text(mark, style), text, str(promise.cases), f"{promise.seconds:.1f}")
        table.add_row()
    console.print(table)
    for promise in report.promises:
        if promise.outcome == "broken":
            _tell(promise, console)
    style = "bold green" if report.is_kept else "bold red"
    console.print(Text(f"{report.adapter} ({report.distribution}) at {report.url}", "bold"), soft_wrap=True)
    counts = ", ".join(f"{report.count(outcome)} {outcome}" for outcome in _MARKS)
    console.print(Text(f"promises: {counts}, in {report.seconds:.0f} s", style))


def _tell(promise: Promise, console: Console) -> None:
    console.print(Text(f"✗ {promise.text}", "bold red"), soft_wrap=True)
    for case, why in promise.why.items():
        told = f"{case}: {why}" if case else why
        console.print(Text("  " + told.replace("\n", "\n  ")), soft_wrap=True)
    console.print()


def _plain(report: Report) -> dict[str, object]:
    counts = {outcome.replace(" ", "_"): report.count(outcome) for outcome in _MARKS}
    plain = dataclasses.asdict(report)
    promises = plain.pop("promises")
    return {**plain, **counts, "promises": promises}
