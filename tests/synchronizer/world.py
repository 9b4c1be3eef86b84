"""The world of `tests/merge`, its server an application's own tables."""

from __future__ import annotations

import copy
import json
import zlib
from contextlib import suppress
from dataclasses import replace
from typing import Any

from mobync_core import Mobync, Storage
from tests.merge.world import MODEL, World

from .application import Application, Crash


class RefusingApplication(Application):
    """Refuses about a fifth of all diffs, the same ones whenever they come."""

    def validate_create(self, owner_id: str, **kwargs: Any) -> bool:
        return zlib.crc32(kwargs["id"].encode()) % 5 > 0

    validate_update = validate_create
    validate_delete = validate_create


class TableWorld(World):
    """One owner of an application. What `storage`, beside it, makes of the same requests is there to compare."""

    def __init__(self, storage: Storage, owner: str, seed: int, *, refusing: bool, orderly: bool) -> None:
        super().__init__(storage, owner, seed, refusing=refusing, orderly=orderly)
        self.beside = self.server
        self.application = RefusingApplication(MODEL) if refusing else Application(MODEL)
        self.server = Mobync(self.application, now=lambda: self.time)
        self.crashed = False

    def serve(self, request: dict[str, Any]) -> dict[str, Any]:
        before = self.live()
        answer = self._apply(request)
        stored = copy.deepcopy(self.application.tables)
        again = self._apply(request)
        assert self.application.tables == stored, "a repeated request changed what is stored"
        if "limit" not in request:  # a page may be cut elsewhere, after records moved behind it
            assert again["logical_clock"] == answer["logical_clock"]
        self._check_answer(answer)
        self._check_answer(again)
        self._check_tables()
        if self.orderly:
            self._check_undone(before, self.live(), request)
            asked = {name: request[name] for name in ("atomic", "limit") if name in request}
            self.beside.apply(request["logical_clock"], request["diffs"], self.owner, **asked)
            self.check_replay()
        self.sent.append(request)
        return answer

    def serve_late(self, request: dict[str, Any]) -> None:
        super().serve_late(request)
        self._check_tables()

    def crash(self, request: dict[str, Any], write: int, *, done: bool) -> None:
        """Give a request to a server that dies at its `write`-th write, before or after that was done."""
        self.application.fails_at, self.application.fails_after = self.application.writes + write, done
        with suppress(Crash):
            self._check_answer(self._apply(request))  # it had fewer writes, and the answer was lost
        self.application.fails_at = None
        self.crashed = True

    def heal(self) -> None:
        super().heal()
        self.crashed = False
        self._check_tables()

    def check_replay(self) -> None:
        """Check that the log says of every record what a storage keeps of it."""
        log = self.application.log(self.owner)
        kept = self.storage.load(self.owner, since=0)
        assert log.clock == kept.clock
        # The server's own time of a change is not in the log.
        replayed = [replace(record, changed_at=0) for record in log.snapshot(0).changed]
        assert replayed == [replace(record, changed_at=0) for record in kept.changed]

    def _check_tables(self) -> None:
        if self.crashed:  # until whoever pushed comes again, a row may be ahead of the log
            return
        rows = {(MODEL, row["id"]): {k: v for k, v in row.items() if k != "id"} for row in self.application.rows(MODEL)}
        assert rows == self.live(), "the table holds other rows than the log says"

    def _apply(self, request: dict[str, Any]) -> dict[str, Any]:
        crossed = json.loads(json.dumps(request))  # `apply` writes into the caller's diffs
        return super()._apply(crossed)
