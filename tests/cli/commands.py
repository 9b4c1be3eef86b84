"""Runs ``mobync`` as its users do: as a process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

COMMAND = [sys.executable, "-m", "mobync_core.cli"]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def mobync(*arguments: str, **variables: str) -> Ended:
    """Run the command to its end."""
    ended = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, env=_environment(variables), timeout=60, check=False
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@dataclass
class Serving:
    """A running server: its URL, and what it printed until it was ready."""

    url: str
    printed: str
    process: subprocess.Popen[str]

    def end(self, number: int = signal.SIGTERM) -> Ended:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return Ended(self.process.returncode, out, err)


@contextmanager
def serving(*arguments: str, **variables: str) -> Iterator[Serving]:
    """Run ``mobync serve`` on a free port."""
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(variables),
    ) as process:
        try:
            assert process.stdout is not None
            printed = _until_ready(process.stdout)
            found = re.search(r"http://\S+", printed)
            assert found, (printed, process.stderr and process.stderr.read())
            yield Serving(found[0], printed, process)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _until_ready(out: IO[str]) -> str:
    lines = []
    for line in out:
        lines.append(line)
        if line.lstrip().startswith("owners"):
            break
    return "".join(lines)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MOBYNC_")}
    return {**own, "PYTHONWARNINGS": "error", **variables}
