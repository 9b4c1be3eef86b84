"""How the story looks in a terminal, or in a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mobync_core.demo.check import Finding
from mobync_core.demo.devices import Exchange

_COLOURS = {"phone": "cyan", "tablet": "magenta", "laptop": "yellow", "server": "green"}
_WIDTH = 100  # longer lines are hard to read


class Screen:
    """Prints the parts that the story is made of."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = 0

    @property
    def _width(self) -> int:
        return min(self._console.width, _WIDTH)

    def title(self, title: str, *lines: str) -> None:
        self._console.print()
        self._console.print(Text(title, style="bold"))
        for line in lines:
            self._print(line)

    def chapter(self, title: str, text: str) -> None:
        """Begin a step of the story."""
        self._chapter += 1
        self._console.print()
        self._console.print(
            Rule(Text(f"{self._chapter}  {title}", style="bold"), align="left", style="dim"), width=self._width
        )
        self._print(text)
        self._console.print()

    def edited(self, device: str, time: str, edit: str) -> None:
        """Show an edit that was made on a device, `time` being what its clock says."""
        self._line(_name(device), Text(f"{time}, offline", style="dim"), Text(edit))

    def crossed(self, exchange: Exchange) -> None:
        """Show what crossed the wire, up and down."""
        up, down = exchange.request, exchange.answer
        self._way(exchange.device, f"→ server {exchange.bytes_up:>6} B", up["diffs"])
        if exchange.lost:
            self._line(_name(exchange.device), Text("✗ server", style="bold red"), Text("the answer is lost"))
        else:
            self._way(exchange.device, f"← server {exchange.bytes_down:>6} B", down["diffs"])

    def aside(self, text: str) -> None:
        """Say what happens off stage."""
        self._line(Text(""), Text(text, style="dim"))

    def decided(self, sentences: Iterable[str]) -> None:
        """Show what the server decided and why."""
        for sentence in sentences:
            grid = Table.grid(padding=(0, 1))
            grid.add_row(Text("  ⇒", style="bold green"), Text(sentence, style="green"))
            self._console.print(grid, width=self._width)

    def gap(self) -> None:
        self._console.print()

    def held(self, moments: Mapping[str, Mapping[str, str]]) -> None:
        """Show what each device holds at each moment; green where they are equal."""
        table = Table("", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        devices = list(next(iter(moments.values())))
        for device in devices:
            table.add_column(_name(device))
        for moment, cells in moments.items():
            style = "" if len(set(cells.values())) > 1 else "green"
            table.add_row(Text(moment, style="dim"), *(Text(cells[device], style=style) for device in devices))
        self._console.print(Padding(table, (0, 0, 0, 1), expand=False), width=self._width)

    def findings(self, findings: Sequence[Finding]) -> None:
        """Show the check at the end."""
        table = Table("holder", "records", "fingerprint", "", box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0))
        for finding in findings:
            verdict = Text("differs: " + "; ".join(finding.differences), style="bold red")
            if not finding.differences:
                verdict = Text("= server" if finding.holder != "server" else "", style="green")
            table.add_row(_name(finding.holder), str(finding.records), finding.fingerprint, verdict)
        self._console.print(Padding(table, (0, 0, 0, 1), expand=False), width=self._width)

    def verdict(self, equal: bool, text: str) -> None:
        self._console.print(Text(text, style="bold green" if equal else "bold red"), width=self._width)

    def _print(self, text: str) -> None:
        self._console.print(Text(text), width=self._width)

    def _way(self, device: str, way: str, diffs: Sequence[Mapping[str, Any]]) -> None:
        edits = [edit_text(diff["type"], json.loads(diff["json_data"])) for diff in diffs] or ["no edits"]
        self._line(_name(device), Text(way, style="blue"), Text("\n".join(edits)))

    def _line(self, name: Text, *cells: Text) -> None:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=6)
        if len(cells) > 1:
            grid.add_column(width=18, no_wrap=True)
        grid.add_row(name, *cells)
        self._console.print(Padding(grid, (0, 0, 0, 2), expand=False), width=self._width)


def _name(holder: str) -> Text:
    return Text(holder, style=_COLOURS.get(holder, "bold"))


def edit_text(kind: str, data: Mapping[str, Any]) -> str:
    """Write an edit in one line. `data` are the record's fields, ``id`` among them."""
    fields = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in data.items() if name != "id"]
    return " ".join([kind, data["id"], *fields])
