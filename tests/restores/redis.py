"""Redis and Valkey: a snapshot from a while ago, and a log whose last seconds never reached the disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from tests.servers import redis
from tests.servers.processes import plain_directory
from tests.servers.redis import Redis
from tests.servers.report import note
from tests.servers.sources import no_server


class Snapshot:
    """A server that also keeps a log; its RDB file is copied, and put back.

    A server that keeps a log reads that alone when it starts, or nothing if there is none. So it starts without a log,
    and begins one then.
    """

    SETTINGS: ClassVar[dict[str, str]] = {}
    idle = False

    def __init__(self, server: Redis, place: Path, directory: Path) -> None:
        self._server = server
        self._place = place
        self._backup = directory / "dump.rdb"
        self.url = server.url

    def back_up(self) -> None:
        with closing(self._server.client()) as client:
            client.save()
        shutil.copy(self._place / "dump.rdb", self._backup)

    def restore(self) -> None:
        with closing(self._server.client()) as client:
            client.save()  # what the server itself keeps there is another than the backup
        self._server.kill()
        shutil.rmtree(self._place / "appendonlydir")
        snapshot = self._place / "dump.rdb"
        owner = snapshot.stat()
        shutil.copy(self._backup, snapshot)
        os.chown(snapshot, owner.st_uid, owner.st_gid)
        self._server.settings["appendonly"] = "no"
        self._server.start()
        with closing(self._server.client()) as client:
            client.config_set("appendonly", "yes")
            deadline = time.monotonic() + 20
            while _is_beginning(client.info("persistence")):
                assert time.monotonic() < deadline, "the log was not begun in time"
                time.sleep(0.02)
        self._server.kill()
        self._server.settings["appendonly"] = "yes"
        self._server.start()


def _is_beginning(persistence: dict[str, Any]) -> bool:
    return bool(persistence["aof_rewrite_in_progress"] or persistence["aof_rewrite_scheduled"])


class LostSeconds:
    """A server with ``appendfsync everysec`` on a machine that loses its power.

    What the log had beyond the last fsync is gone, and the last command that is left is cut off in its middle. To kill
    the server alone would lose nothing: the kernel has what it wrote.
    """

    idle = False
    SETTINGS: ClassVar[dict[str, str]] = {"appendfsync": "everysec"}

    def __init__(self, server: Redis, place: Path, _directory: Path) -> None:
        self._server = server
        self._logs = place / "appendonlydir"
        self._synced = 0
        self.url = server.url

    def back_up(self) -> None:
        self._synced = self._log().stat().st_size

    def restore(self) -> None:
        self._server.kill()
        log = self._log()
        assert log.stat().st_size > self._synced + 20
        os.truncate(log, self._synced + 20)
        self._server.start()

    def _log(self) -> Path:
        (log,) = self._logs.glob("*.incr.aof")
        return log


@contextmanager
def site(kind: type[Snapshot] | type[LostSeconds], directory: Path) -> Iterator[Snapshot | LostSeconds]:
    """A site of one's own; ends the test if there is no server."""
    program = redis.binary()
    if program is None:
        no_server("redis", redis.WAY_OUT)
    with plain_directory("mobync-redis-") as place:
        server = Redis(place, program, **kind.SETTINGS)
        server.start()
        try:
            note("redis", f"{redis.version(server.url)}, from a binary of this machine")
            yield kind(server, place, directory)
        finally:
            server.stop()
