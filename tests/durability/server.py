"""``mobync serve`` as a process that tests kill, and the requests that may be on their way to it meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.servers.processes import stop


class Server:
    """A server over the storage at `url`. After it was killed it listens elsewhere: ask for `address` again."""

    def __init__(self, url: str, log: Path) -> None:
        self._url = url
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self.address = ""

    @property
    def pid(self) -> int:
        assert self._process is not None
        assert self._process.poll() is None, f"the server has ended:\n{self.log()}"
        return self._process.pid

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("MOBYNC_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mobync_core.cli", "serve", "--port", "0", "--insecure-token-is-owner"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**own, "MOBYNC_URL": self._url, "PYTHONWARNINGS": "error"},
            )
        assert self._process.stdout is not None
        printed = ""
        for line in self._process.stdout:
            printed += line
            if line.lstrip().startswith("owners"):
                break
        found = re.search(r"http://(127\.0\.0\.1:\d+)", printed)
        assert found, f"the server did not start:\n{printed}{self.log()}"
        self.address = found[1]

    def kill(self) -> None:
        """End the server with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        assert self._process.returncode == -signal.SIGKILL, f"it had ended before:\n{self.log()}"
        self._close()

    def stop(self) -> None:
        """End the server, in good order if it can."""
        if self._process is not None:
            stop(self._process, signal.SIGTERM, 5)  # type: ignore[arg-type]  # of text, not of bytes
            self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running(url: str, directory: Path) -> Iterator[Server]:
    """A server that does not outlive the `with`."""
    server = Server(url, directory / "server.log")
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    json: Any


class Request:
    """A request in a thread of its own. What is known of it is fixed once it was joined.

    `sent` is when the last byte had been handed to the network, `answered` when the last one of the response had come,
    each None if that never was; `answer` is the response if it came whole.
    """

    def __init__(self, address: str, body: dict[str, Any], *, method: str = "POST", path: str = "/sync") -> None:
        self.sent: float | None = None
        self.answered: float | None = None
        self.answer: Answer | None = None
        self.begun = threading.Event()
        self._address = address
        self._method = method
        self._path = path
        self._body = json.dumps(body).encode()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> Answer | None:
        self._thread.join(60)
        assert not self._thread.is_alive(), "a request was neither answered nor cut off for a minute"
        return self.answer

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=40)
        try:
            connection.request(self._method, self._path, self._body, {"Content-Type": "application/json"})
            self.sent = time.monotonic()
            self.begun.set()
            response = connection.getresponse()
            body = response.read()
            headers = {name.lower(): value for name, value in response.getheaders()}
            self.answer = Answer(response.status, headers, json.loads(body))
            self.answered = time.monotonic()
        except (OSError, http.client.HTTPException):
            pass  # cut off by the kill: the device learns nothing
        finally:
            self.begun.set()
            connection.close()


def ask(server: Server, body: dict[str, Any]) -> Answer:
    """Send one request to a server that must answer it."""
    answer = Request(server.address, body).join()
    assert answer is not None, f"a request was cut off:\n{server.log()}"
    return answer
