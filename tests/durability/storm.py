"""Devices push, something is killed at a random moment of that, and the devices go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random

from tests.durability.server import Request, Server, ask
from tests.durability.writers import Reader, Writer

_LONGEST_QUEUE = 2  # batches


class Storm:
    """Some writers of two owners, and readers, before one server.

    `pushed` is how long the slowest of their pushes takes, measured before anything is killed.
    """

    def __init__(self, server: Server, *, size: int, random: Random) -> None:
        self.server = server
        self.random = random
        self.writers = [Writer("ann", "a", size), Writer("ann", "b", size), Writer("bob", "c", size)]
        self._readers = {owner: Reader(owner) for owner in ("ann", "bob")}
        self.pushed = max(self._calm_push() for _ in range(3))

    def edit(self) -> None:
        """Let each writer make a batch, or rest if it has one that was not acknowledged."""
        for writer in self.writers:
            if not writer.queued or (writer.queued < _LONGEST_QUEUE and self.random.random() < 0.5):
                writer.edit()

    def send(self) -> list[Request]:
        """Send every queue at once, and wait until the first was sent whole."""
        requests = [Request(self.server.address, writer.request()) for writer in self.writers]
        requests[0].begun.wait()
        return requests

    def wait(self) -> None:
        """Wait for a moment within the time that pushes take."""
        time.sleep(self.random.uniform(0, self.pushed))

    def check_stored(self) -> int:
        """Pull with fresh devices: return how many batches are there that nobody was told of. None may be by half."""
        more = 0
        for owner, reader in self._readers.items():
            fresh = Reader(owner)
            for device in (fresh, reader):
                answer = ask(self.server, device.device.request())
                assert answer.status == 200, answer
                device.receive(answer.json)
            assert reader.device.rows == fresh.device.rows
            for writer in self.writers:
                if writer.owner == owner:
                    more += writer.stored(fresh.device.rows) > writer.acknowledged
        return more

    def end(self) -> None:
        """Send what is queued; then all devices must hold what the server holds, which is all that they made."""
        for _ in range(2):  # the second time they learn what the others pushed
            for writer in self.writers:
                writer.edit()
                answer = ask(self.server, writer.request())
                assert answer.status == 200, answer
                writer.receive(answer.json)
        for writer in self.writers:  # without edits of their own
            answer = ask(self.server, writer.device.request())
            if answer.json["diffs"]:
                assert writer.device.receive(answer.json)
        assert self.check_stored() == 0
        for writer in self.writers:
            rows = self._readers[writer.owner].device.rows
            assert writer.queued == 0
            assert writer.stored(rows) == writer.acknowledged
            assert writer.device.rows == rows

    def _calm_push(self) -> float:
        self.edit()
        begin = time.monotonic()
        requests = self.send()
        for writer, request in zip(self.writers, requests, strict=True):
            answer = request.join()
            assert answer is not None
            assert answer.status == 200, answer
            writer.receive(answer.json)
        return time.monotonic() - begin


def unanswered(requests: Sequence[Request], moment: float) -> int:
    """Count the requests, all joined, that had been sent by `moment`, and whose answer had not come whole by then."""
    return sum(
        request.sent is not None and request.sent < moment and (request.answered is None or request.answered > moment)
        for request in requests
    )


def until(done: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `done()`; fail, naming `what`, if that takes longer."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"{what} took longer than {seconds:.0f} s"
        time.sleep(0.05)
