"""``mobync storm``: many devices, everything that goes wrong between them, and what must hold in the end."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from mobync_core.cli.staging import staging_from, staging_options

if TYPE_CHECKING:
    from mobync_core.testing.storm import Failure, Report

_SECONDS = 30.0
_KILLED = 0.02
"""How many of the requests the server is killed under, if there are commands for that."""


def _rates(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, float]:
    rates = {}
    for one in given:
        name, _equals, rate = one.partition("=")
        try:
            rates[name] = float(rate)
        except ValueError:
            raise click.BadParameter(f"write it as lost-answer=0.2, not {one!r}") from None
    return rates


@click.command()
@click.argument("url", envvar="MOBYNC_URL", required=False)
@click.option("--seed", type=click.IntRange(min=0), help="What the first history is made from.  [default: random]")
@click.option("--histories", type=click.IntRange(min=1), help="End after so many histories.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so many seconds.  [default: 30]"
)
@click.option(
    "--rate",
    "rates",
    metavar="FAULT=RATE",
    multiple=True,
    callback=_rates,
    help="How often a fault befalls, from 0 to 1; may be given many times.",
)
@click.option("--list-faults", is_flag=True, help="Say which faults there are, and how often they befall.")
@click.option(
    "--write",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a history that fails as a test into DIR.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--all", "is_all", is_flag=True, help="Try every small history instead, in memory; it needs no URL.")
@click.option(
    "--operations",
    type=click.IntRange(1, 6),
    default=3,
    show_default=True,
    help="--all: how many operations each of the two devices does.",
)
@staging_options
def storm(
    url: str | None,
    seed: int | None,
    histories: int | None,
    seconds: float | None,
    rates: dict[str, float],
    list_faults: bool,
    directory: Path | None,
    as_json: bool,
    is_all: bool,
    operations: int,
    **staging_settings: Any,
) -> None:
    """Try random histories of many devices on the storage at URL, with all that can go wrong between them.

    Replicas and published Dart clients edit and sync, lose answers, are killed, are away for weeks; backups are
    restored, clocks jump. Then everything heals, and all must be equal, and nothing lost. A history that fails is
    shrunk and told; the same seed makes the same histories. It works on owners of its own, whose names begin with
    ~mobync-storm-, and erases them. Exit status 0: all was well; 1: something was not.

    URL may be that of a staging server of your own, as in http://127.0.0.1:8000: then say how to get tokens, of owners
    that are thrown away. An owner who has records already stops everything, and a server of another machine must be
    said to be yours. Backups and refusals are not tried there.
    """
    try:
        from mobync_core.testing.storm import as_test, rates_of  # noqa: PLC0415 - it needs the extra `client`
        from mobync_core.testing.storm import storm as run  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise click.ClickException(f'{missing.name} is not installed: pip install "mobync-core[testing]"') from None

    shown = Console(file=sys.stderr if as_json else sys.stdout, highlight=False)
    if list_faults:
        _show_faults(rates_of(rates), Console(highlight=False), as_json=as_json)
        return
    if is_all:
        _try_all(operations, shown, as_json=as_json)
    if url is None:
        raise click.UsageError("name the URL of a storage, such as memory:// or sqlite:///app.db, or of a server")
    staging = None
    if url.startswith(("http://", "https://")):
        staging = staging_from(**staging_settings)
        if staging.kill and "server-killed" not in rates:
            rates["server-killed"] = _KILLED
    if histories is None and seconds is None:
        seconds = _SECONDS
    if seed is None:
        seed = random.SystemRandom().randrange(1_000_000)
    with _Bar(shown, histories) as bar:
        report = run(
            url, seed=seed, staging=staging, histories=histories, seconds=seconds, rates=rates, progress=bar.show
        )
    written = {}
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        for failure in report.failures:
            file = directory / f"test_storm_{failure.seed}.py"
            file.write_text(as_test(failure, report.url), encoding="utf-8")
            written[failure.seed] = str(file)
    if as_json:
        click.echo(json.dumps(_plain(report, written), indent=2, ensure_ascii=False))
    else:
        _show(report, written, shown)
    sys.exit(0 if report.is_clean else 1)


def _try_all(operations: int, console: Console, *, as_json: bool) -> NoReturn:
    from mobync_core.testing.storm.exhaustive import exhaust  # noqa: PLC0415 - as above

    with console.status("trying all") as status:
        result = exhaust(operations, progress=lambda states: status.update(f"trying all: {states:,} states"))
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(result), indent=2, ensure_ascii=False))
        sys.exit(0 if result.is_clean else 1)
    if not result.is_clean:
        console.print(Text(f"✗ {result.why}", "bold red"), soft_wrap=True)
        for line in result.history:
            console.print(Text(f"  {line}"), soft_wrap=True)
    console.print(
        Text(
            f"all interleavings of {operations} operations of each of two devices: {result.interleavings:,} tried, "
            f"through {result.states:,} different ends, {'all clean' if result.is_clean else 'one failed'}, "
            f"in {result.seconds:.0f} s",
            "bold green" if result.is_clean else "bold red",
        ),
        soft_wrap=True,
    )
    sys.exit(0 if result.is_clean else 1)


class _Bar:
    """Shows how far the run is; nothing where nobody watches."""

    def __init__(self, console: Console, histories: int | None) -> None:
        self._progress = Progress(
            BarColumn(24),
            TextColumn("{task.completed:,.0f} histories, {task.fields[speed]:,.0f} a minute"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("", total=histories, speed=0.0)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, report: Report) -> None:
        self._progress.update(self._task, completed=report.histories, speed=report.per_minute)


def _show_faults(rates: dict[str, float], console: Console, *, as_json: bool) -> None:
    from mobync_core.testing.storm import FAULTS  # noqa: PLC0415 - as above

    if as_json:
        faults = [{**dataclasses.asdict(fault), "rate": rates[fault.name]} for fault in FAULTS.values()]
        click.echo(json.dumps(faults, indent=2, ensure_ascii=False))
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("fault", no_wrap=True)
    table.add_column("rate", justify="right")
    table.add_column("of", no_wrap=True)
    table.add_column("what happens", ratio=1)
    for fault in FAULTS.values():
        table.add_row(fault.name, f"{rates[fault.name]:g}", fault.of, fault.what)
    console.print(table)


def _show(report: Report, written: dict[int, str], console: Console) -> None:
    from mobync_core.testing.storm.staging import OFF  # noqa: PLC0415 - as above

    befallen = ", ".join(f"{count:,} {name}" for name, count in sorted(report.befallen.items()) if count)
    console.print(Text(f"{report.adapter} at {report.url}", "bold"), soft_wrap=True)
    console.print(Text(f"befallen: {befallen or 'nothing'}"), soft_wrap=True)
    if report.adapter == "HTTP":
        console.print(Text(f"not tried over HTTP: {', '.join(OFF)}"), soft_wrap=True)
    for failure in report.failures:
        _tell(failure, written.get(failure.seed), console)
    style = "bold green" if report.is_clean else "bold red"
    result = f"{len(report.failures)} failed" if report.failures else "all clean"
    console.print(
        Text(
            f"histories: {report.histories:,} from the seed {report.seed}, {result}, in {report.seconds:.0f} s "
            f"({report.per_minute:,.0f} a minute)",
            style,
        ),
        soft_wrap=True,
    )


def _tell(failure: Failure, file: str | None, console: Console) -> None:
    console.print()
    console.print(Text(f"✗ {failure.promise}: {failure.why}", "bold red"), soft_wrap=True)
    console.print(
        Text(f"  seed {failure.seed}, shrunk from {failure.steps} steps to {len(failure.history.steps)}:"),
        soft_wrap=True,
    )
    for line in failure.timeline:
        console.print(Text(f"  {line}"), soft_wrap=True)
    if file is not None:
        console.print(Text(f"  written to {file}"), soft_wrap=True)
    console.print()


def _plain(report: Report, written: dict[int, str]) -> dict[str, object]:
    from mobync_core.testing.storm import as_data  # noqa: PLC0415 - as above

    plain = dataclasses.asdict(dataclasses.replace(report, failures=[]))
    plain["befallen"] = dict(sorted(report.befallen.items()))
    plain["failures"] = [
        {
            "seed": failure.seed,
            "promise": failure.promise,
            "why": failure.why,
            "steps": failure.steps,
            "history": as_data(failure.history),
            "timeline": failure.timeline,
            "written": written.get(failure.seed),
        }
        for failure in report.failures
    ]
    return plain
