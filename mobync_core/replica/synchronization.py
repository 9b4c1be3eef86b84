"""One sync: requests and answers, until all is pushed and all is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from mobync_core.replica import offers, queue
from mobync_core.replica.answers import Answer, read_answer
from mobync_core.replica.applying import Applied, apply
from mobync_core.replica.changes import tell
from mobync_core.replica.errors import ServerRefused, StoreError, SyncError, WrongOwner
from mobync_core.replica.requests import Exchange, body_of, next_exchange
from mobync_core.replica.results import Change, Progress, Report, SyncResult
from mobync_core.replica.rows import PENDING
from mobync_core.replica.state import read_state, write_state
from mobync_core.replica.store import Store
from mobync_core.replica.transport import Transport

Subscriber: TypeAlias = Callable[[Sequence[Change]], object]

_CHUNK_BYTES = 4 * 1024 * 1024

_EXTRA = 10
"""How many more requests are made for edits that keep coming while the sync goes on."""

_OVERTAKEN = 50
"""How many answers may be of no use, as another process synced meanwhile: it has pushed and read then."""

_STARTS = 3
"""How often a sync begins to offer, to resync or to read anew."""


class Synchronization:
    """A sync of one store with one server.

    `told` is called with what others changed, after each transaction that did. A `page` is how many records a reading
    is told at once, `batch` how many diffs are pushed at once. `now` returns the UTC time in ms.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        token: Callable[[], str | None],
        *,
        page: int,
        batch: int,
        now: Callable[[], int],
        new_id: Callable[[], str],
        told: Subscriber | None,
        progress: Callable[[Progress], object] | None,
    ) -> None:
        self._store = store
        self._transport = transport
        self._token = token
        self._page = page
        self._batch = batch
        self._bytes = _CHUNK_BYTES
        self._now = now
        self._new_id = new_id
        self._told = told
        self._progress = progress
        self._pushed = self._received = self._requests = 0
        self._starts = self._overtaken = self._extra = 0
        self._reports: list[Report] = []

    def run(self) -> SyncResult:
        """Sync. Raises `SyncError`, which the status then tells of too, and `StoreError`."""
        try:
            self._sync()
        except SyncError as error:
            with suppress(StoreError):  # the first error says more
                self._remember(str(error))
            raise
        kinds = {report.kind for report in self._reports}
        return SyncResult(
            self._pushed,
            self._received,
            [report for report in self._reports if report.kind == "refused"],
            [report for report in self._reports if report.kind == "conflict"],
            "restored" in kinds,
            "resynced" in kinds,
            self._requests,
        )

    def _sync(self) -> None:
        with self._store.read() as connection:
            last = queue.last_pending(connection)
        complete = False
        while True:
            try:
                with self._store.read() as connection:
                    exchange = next_exchange(connection, diffs=self._batch, size=self._bytes)
            except StoreError:
                if complete and self._store.closed:  # by a callback, say: all was done
                    return
                raise
            if complete and self._is_done(exchange, last):
                return
            unsent = [entry for entry in exchange.chunk if entry.type == "create" and not entry.life]
            if unsent:
                with self._store.write() as connection:
                    queue.name_life(connection, unsent)
            answer = self._ask(exchange)
            if answer is None:
                continue
            applied = apply(self._store, exchange, answer, now=self._now(), watched=self._told is not None)
            if applied is None:
                self._overtaken += 1
                if self._overtaken > _OVERTAKEN:
                    return
                continue
            complete = applied.complete
            self._tell(applied)

    def _is_done(self, exchange: Exchange, last: int) -> bool:
        if not exchange.chunk:
            return True
        self._extra += all(entry.seq > last for entry in exchange.chunk)
        return self._extra > _EXTRA

    def _ask(self, exchange: Exchange) -> Answer | None:
        """Send a request, and return its answer; None if there is another to be sent in its place."""
        token = self._token()
        self._requests += 1
        reply = self._transport.post(body_of(exchange, page=self._page, token=token), token)
        try:
            answer = read_answer(reply, exchange.base)
        except ServerRefused as refused:
            if not self._mends(refused, exchange):
                raise
            return None
        if answer.owner and exchange.state.owner not in (None, answer.owner):
            raise WrongOwner(reply.status, "wrong_owner", "the records held here are another owner's than the token")
        return answer

    def _mends(self, refused: ServerRefused, exchange: Exchange) -> bool:
        """Do something about a refusal, if there is something to be done."""
        pending = sum(entry.state == PENDING for entry in exchange.chunk)
        if refused.status == 413 and pending > 1:
            self._batch, self._bytes = pending // 2, self._bytes // 2
            return True
        state = exchange.state
        self._starts += 1
        if self._starts > _STARTS:
            return False
        told: list[Report] | None = []
        if refused.code == "invalid_clock" and state.mode == "resync":
            offers.resync_again(self._store, exchange)
        elif refused.code == "invalid_clock":
            told = offers.begin_offer(self._store, exchange, now=self._now(), new_id=self._new_id)
        elif refused.code == "resync_required" and state.reading:
            offers.begin_again(self._store, exchange)
        elif refused.code == "resync_required" and state.mode == "normal":
            told = offers.begin_resync(self._store, exchange, now=self._now())
        else:
            return False
        self._reports += told or []
        return True

    def _tell(self, applied: Applied) -> None:
        self._pushed += applied.pushed
        self._received += applied.received
        self._reports += applied.reports
        if self._progress is not None:
            with self._store.read() as connection:
                pending = queue.count_pending(connection, offers=True)
            self._progress(Progress(self._received, self._pushed, pending))
        if self._told is not None:
            for changes in tell(self._store, applied.changed):
                self._told(changes)

    def _remember(self, error: str) -> None:
        with self._store.write() as connection:
            state = read_state(connection)
            if state.last_error != error:
                state.last_error = error
                write_state(connection, state)
