"""The replica beside code written by hand, over HTTP: a first sync of 100,000 records, and 1,000 offline edits.

The server is a process of its own, and so is each client of a first sync, for its memory's sake.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.table import Table

from benchmarks.__main__ import fill
from benchmarks.replica_by_hand import ByHand
from mobync_core import Mobync
from mobync_core.replica import Replica

RECORDS = 100_000
EDITS = 1_000
PAGE = 1_000


class Client(Protocol):
    """A device: what both sides are measured by."""

    def first_sync(self) -> int:
        """Fetch everything, and return how many records there are."""
        ...

    def edit(self, records: Sequence[str], title: str) -> None:
        """Give some records another title, each in a transaction of its own."""
        ...

    def push(self) -> int:
        """Send what was edited, and return how many edits that were."""
        ...

    def count(self) -> int:
        """Return how many records the store has."""
        ...

    def close(self) -> None: ...


class ByReplica:
    def __init__(self, store: str, server: str, token: str) -> None:
        self._replica = Replica(store, server, token=token, page=PAGE)

    def first_sync(self) -> int:
        return self._replica.synchronize().received

    def edit(self, records: Sequence[str], title: str) -> None:
        for record in records:
            self._replica.update("todo", record, {"title": title})

    def push(self) -> int:
        result = self._replica.synchronize()
        assert not result.refused
        assert not result.conflicts
        return result.pushed

    def count(self) -> int:
        return len(self._replica.all("todo"))

    def close(self) -> None:
        self._replica.close()


SIDES: dict[str, Callable[[str, str, str], Client]] = {"replica": ByReplica, "by hand": partial(ByHand, page=PAGE)}


@dataclass(frozen=True)
class First:
    """A first sync: seconds, and bytes of memory (the process's most, and what it had before) and of the store."""

    seconds: float
    memory: int
    before: int
    store: int


def client(side: str, server: str, store: str) -> None:
    """Be the process of one first sync, and print its `First`."""
    made = SIDES[side](store, server, side)
    before = _memory()
    begin = time.perf_counter()
    records = made.first_sync()
    seconds = time.perf_counter() - begin
    memory = _memory()
    assert records == made.count() == RECORDS, records
    made.close()  # which leaves all in one file
    print(json.dumps(asdict(First(seconds, memory, before, os.path.getsize(store)))))


def _memory() -> int:
    """Return the most bytes of memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # the other one begins, on Linux, with what the parent has
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def first_syncs(server: str, directory: Path, rounds: int) -> dict[str, list[First]]:
    """Let both sides begin with nothing, in turns."""
    taken: dict[str, list[First]] = {side: [] for side in SIDES}
    for number in range(rounds):
        for side, times in taken.items():
            command = [
                sys.executable,
                "-m",
                "benchmarks.replica",
                "--client",
                side,
                server,
                f"{directory}/{number}-{side}.db",
            ]
            ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=600)
            times.append(First(**json.loads(ended.stdout)))
    return taken


def pushes(server: str, directory: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Let both sides edit offline and push, in turns, on the stores of their first syncs: seconds of each."""
    taken: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    with ExitStack() as stack:
        clients = {}
        for side, made in SIDES.items():
            clients[side] = stack.enter_context(closing(made(f"{directory}/push-{side}.db", server, side)))
            clients[side].first_sync()
        for number in range(rounds):
            records = [f"record-{(number * EDITS + place) % RECORDS:09d}" for place in range(EDITS)]
            for side, one in clients.items():
                begin = time.perf_counter()
                one.edit(records, f"buy milk, round {number}")
                edited = time.perf_counter()
                pushed = one.push()
                taken[side].append((edited - begin, time.perf_counter() - edited))
                assert pushed == EDITS
    return taken


@contextmanager
def server(directory: Path) -> Iterator[str]:
    """Run ``mobync serve`` over SQLite, with an owner of `RECORDS` records for each side."""
    url = f"sqlite:///{directory}/server.db"
    with Mobync(url) as mobync:
        for side in SIDES:
            fill(mobync.storage, side, RECORDS)
    command = [sys.executable, "-m", "mobync_core.cli", "serve", url, "--port", "0", "--insecure-token-is-owner"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()
            process.communicate()


def show(console: Console, first: dict[str, list[First]], push: dict[str, list[tuple[float, float]]]) -> None:
    table = Table(title=f"Medians of {len(first['replica'])} first syncs of {RECORDS:,} records, in pages of {PAGE:,}")
    for column in ("", "replica", "by hand", "ratio"):
        table.add_column(column, justify="right" if column else "left")

    def add(name: str, unit: str, values: dict[str, list[float]]) -> None:
        replica, by_hand = (statistics.median(values[side]) for side in ("replica", "by hand"))
        table.add_row(name, f"{replica:,.2f} {unit}", f"{by_hand:,.2f} {unit}", f"{replica / by_hand:.2f}")

    add("time", "s", {side: [one.seconds for one in taken] for side, taken in first.items()})
    add("most memory", "MB", {side: [one.memory / 1e6 for one in taken] for side, taken in first.items()})
    add("  before the sync", "MB", {side: [one.before / 1e6 for one in taken] for side, taken in first.items()})
    add("store", "MB", {side: [one.store / 1e6 for one in taken] for side, taken in first.items()})
    table.add_section()
    add(f"{EDITS:,} edits", "s", {side: [edited for edited, _ in taken] for side, taken in push.items()})
    add("  pushed", "s", {side: [pushed for _, pushed in taken] for side, taken in push.items()})
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each first sync is timed; edits four times so often"
    )
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    parser.add_argument("--client", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.client:
        client(*asked.client)
        return
    with tempfile.TemporaryDirectory() as name, server(Path(name)) as url:
        first = first_syncs(url, Path(name), asked.rounds)
        push = pushes(url, Path(name), asked.rounds * 4)
    show(Console(), first, push)
    if asked.json:
        figures = {
            side: {"first": [asdict(one) for one in first[side]], "edited, pushed": push[side]} for side in SIDES
        }
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
