"""Mobync as an operator runs it: a process that serves a site, and devices that reach it over HTTP."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mobync_core import open_storage
from mobync_core.replica import Replica
from mobync_core.storage import Record
from tests.cli.commands import Serving, mobync, serving
from tests.restores.sites import Site
from tests.servers.processes import free_port

OWNER = "ann"

Rows = dict[str, dict[str, Any]]


class Deployment:
    """``mobync serve`` on a site, always at one address, and the replicas of one owner in `directory`."""

    def __init__(self, site: Site, directory: Path) -> None:
        self.site = site
        self._directory = directory
        self._port = free_port()
        self._stack = ExitStack()
        self._serving: Serving | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        arguments = ("--insecure-token-is-owner", "--port", str(self._port))
        self._serving = self._stack.enter_context(serving(self.site.url, *arguments))

    def stop(self, number: int = signal.SIGTERM) -> None:
        assert self._serving is not None
        self._serving.end(number)

    def back_up(self) -> None:
        """Make a backup, and have Mobync at work before and after."""
        if self.site.idle:
            self.stop()
        self.site.back_up()
        if self.site.idle:
            self.start()

    def lose(self, *, told: bool) -> None:
        """Have the server die, and begin again with the backup. That it is one, Mobync is `told`, or is not."""
        self.stop(signal.SIGKILL)
        self.site.restore()
        if told:
            ended = mobync("restored", self.site.url)
            assert ended.status == 0, ended.err
            assert "1 owner has another epoch" in ended.out
        self.start()

    def device(self, name: str) -> Replica:
        """A replica in a file of its own, closed in the end."""
        return self._stack.enter_context(Replica(self._directory / f"{name}.db", self.url, token=OWNER))

    def held(self) -> list[Record]:
        """What the storage has of the owner."""
        storage = open_storage(self.site.url)
        try:
            return list(storage.load(OWNER, since=0).changed)
        finally:
            storage.close()


def rows(replica: Replica) -> Rows:
    """What a replica's user sees, by id."""
    return {record.pop("id"): record for record in replica.all("note")}
