"""What the servers that the tests start have in common: a free port, a plain user, a wait, an end."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NOBODY = 65534
"""The uid and gid under which a server runs that refuses to be root."""

_MEMORY = Path("/dev/shm")
_ROOM = 4 * 2**30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def as_plain_user() -> dict[str, Any]:
    """Arguments of `subprocess` that give root's rights up; none for a plain user."""
    if os.geteuid() != 0:
        return {}
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []}


@contextmanager
def plain_directory(prefix: str) -> Iterator[Path]:
    """A directory that the plain user owns, removed at the end.

    In memory, where there is room: servers that write every commit to a disk would make the tests wait for it, and what
    the tests kill is a process, never the machine.
    """
    in_memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if in_memory else None))
    try:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class ServerProcess:
    """A server of our own on 127.0.0.1, which tests may kill and start again; its port stays."""

    END = signal.SIGTERM
    """The signal that makes it end in good order."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def _launch(self, command: Sequence[str], **options: Any) -> None:
        """Start it and wait until it answers."""
        log_file = self._directory / "log"
        with log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._directory, **options
            )
        wait_until(self._answers, self._process, log_file)

    def _answers(self) -> bool:
        raise NotImplementedError

    def stop(self) -> None:
        """Stop in good order, closing every connection."""
        if self._process is not None:
            stop(self._process, self.END)

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would; `start` then recovers what was committed."""
        if self._process is None:
            raise RuntimeError("the server was never started")
        self._process.kill()
        self._process.wait()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    """Wait until `ready()`; raises `RuntimeError`, with the end of `log`, if the process ends or time is up."""
    deadline = time.monotonic() + seconds
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
            raise RuntimeError(f"{process.args!r} {state}:\n{log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], number: signal.Signals, seconds: float = 20) -> None:
    """End `process` by the signal that makes it end in good order, or by SIGKILL if that takes too long."""
    if process.poll() is None:
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
