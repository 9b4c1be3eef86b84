"""Sets workers to work at once: in threads that share one engine, or in processes with an engine each."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import msgspec

from mobync_core import Mobync
from tests.concurrency import worker
from tests.concurrency.worker import Job, Report, Worker

_ROOT = Path(__file__).parents[2]
_SECONDS = 120


def work_in_threads(engine: Mobync, owners: Sequence[str], syncs: int) -> list[Report]:
    """Let a worker for each of `owners` sync so many times, all through one engine; return their reports."""
    barrier = threading.Barrier(len(owners), timeout=_SECONDS)

    def run(number: int) -> Report:
        one = Worker(engine, owners[number], number)
        try:
            barrier.wait()
            one.work(syncs)
            barrier.wait()
            one.settle()
        except BaseException:
            barrier.abort()  # the others need not wait for it
            raise
        return one.report

    with ThreadPoolExecutor(len(owners)) as pool:
        runs = [pool.submit(run, number) for number in range(len(owners))]
    # Where one failed, the others tell of a broken barrier; its own error is the one to see.
    errors = [error for one in runs if (error := one.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [one.result() for one in runs]


def work_in_processes(url: str, owners: Sequence[str], syncs: int, directory: Path) -> list[Report]:
    """Let a process for each of `owners` open `url` and sync so many times; return their reports."""
    with ExitStack() as stack:
        files = [directory / f"{number}.json" for number in range(len(owners))]
        processes = [stack.enter_context(_Process(file.with_suffix(".log"))) for file in files]
        for number, process in enumerate(processes):
            job = Job(url=url, owner=owners[number], number=number, syncs=syncs, report=str(files[number]))
            process.say(msgspec.json.encode(job).decode())
        for stage in ("loaded", "ready", "done"):
            for process in processes:
                process.expect(stage)
            for process in processes:
                process.say("go on")
        for process in processes:
            process.end()
        return [msgspec.json.decode(file.read_bytes(), type=Report) for file in files]


class _Process:
    """A worker's process, which does not outlive the `with`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", worker.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=_ROOT,
                env={**os.environ, "PYTHONWARNINGS": "error"},
            )

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)

    def expect(self, stage: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == stage, self._log.read_text()

    def end(self) -> None:
        assert self._process.wait(_SECONDS) == 0, self._log.read_text()
