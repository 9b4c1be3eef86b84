"""A process of its own that works on a storage, for promises about processes: ``python -m mobync_core.testing.worker``.

It reads one line of JSON with the URL (never as an argument, which everybody on the machine can read), and then one for
each job: {"job": name, "arguments": {...}}. It answers each with one line, except that `write` never ends.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from mobync_core.plugins import open_storage
from mobync_core.storage import Commit, Note, Storage
from mobync_core.testing.examples import EPOCH, PATIENCE, record, tries, wins

BATCH = 20
"""How many records `write` commits at once."""

_SECONDS = PATIENCE + 30
"""How long a job may take."""


class Worker:
    """The parent's end of such a process."""

    def __init__(self, url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._say(url)

    @classmethod
    @contextmanager
    def crew(cls, url: str, size: int) -> Iterator[list[Worker]]:
        """Start several, all ready to begin at one moment; they are ended with the `with`."""
        workers = [cls(url) for _ in range(size)]
        try:
            for worker in workers:
                worker.next_line()
            yield workers
        finally:
            for worker in workers:
                worker.kill()

    def begin(self, job: str, **arguments: Any) -> None:
        self._say({"job": job, "arguments": arguments})

    def result(self) -> Any:
        """Wait for the end of a job. Raises `AssertionError`, with what the process said, if it failed."""
        return json.loads(self.next_line())

    def next_line(self) -> str:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        timer = threading.Timer(_SECONDS, self._process.kill)
        timer.start()
        line = self._process.stdout.readline()
        timer.cancel()
        if not line:
            said = self._process.stderr.read().strip()
            late = self._process.wait() == -signal.SIGKILL
            raise AssertionError(f"a process on the storage {'took too long' if late else 'failed'}:\n{said}")
        return line

    def kill(self) -> str:
        """End the process with SIGKILL; return what it had said since it was last read."""
        self._process.kill()
        said, _ = self._process.communicate(timeout=_SECONDS)
        return said

    def _say(self, message: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()


def setup(storage: Storage, *, times: int) -> None:
    for _ in range(times):
        storage.setup()


def race(storage: Storage, *, owner: str, expected: int, name: str, threads: int) -> list[str]:
    """Commit on one clock from each thread; return the names of those who won."""

    def attempt(thread: int) -> str | None:
        mine = f"{name}-{thread}"
        commit = Commit(
            expected=expected,
            clock=expected + 5,
            epoch=EPOCH,
            put=[record(f"{mine}-{i}", expected + i) for i in range(5)],
            notes=[Note("history", mine, "")],
        )
        return mine if wins(storage, owner, commit) else None

    with ThreadPoolExecutor(threads) as pool:
        return [winner for winner in pool.map(attempt, range(threads)) if winner is not None]


def count(storage: Storage, *, owner: str, times: int) -> None:
    """Raise the number in one record, `times` times."""
    for _ in range(times):
        for _ in tries("to raise a number in a record, in spite of other processes"):
            held = storage.load(owner, since=2**53, keys=[("task", "counter")])
            number = int(held.named[0].body) + 1 if held.named else 1
            commit = Commit(
                expected=held.clock,
                clock=held.clock + 1,
                epoch=held.epoch or EPOCH,
                put=[record("counter", held.clock, str(number))],
            )
            if wins(storage, owner, commit):
                break


def write(storage: Storage, *, owner: str) -> None:
    """Commit batches for ever; say the clock after each."""
    while True:
        held = storage.load(owner, since=2**53)
        clock = held.clock + BATCH
        put = [record(f"r{at}", at, "x" * 1000) for at in range(held.clock, clock)]
        note = Note("history", f"{clock:010}", "")
        commit = Commit(expected=held.clock, clock=clock, epoch=held.epoch or EPOCH, put=put, notes=[note])
        if wins(storage, owner, commit):
            print(clock, flush=True)


_JOBS = {job.__name__: job for job in (setup, race, count, write)}


def main() -> None:
    storage = open_storage(json.loads(sys.stdin.readline()))
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_JOBS[asked["job"]](storage, **asked["arguments"])), flush=True)


if __name__ == "__main__":
    main()
