"""The replica: an offline store of one user's records, and its synchronization with a Mobync server."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from mobync_core.engine import utc_now
from mobync_core.limits import Limits
from mobync_core.replica import drafts, queue, reports
from mobync_core.replica.background import Background
from mobync_core.replica.edits import Edits
from mobync_core.replica.results import Change, Progress, Report, Status, SyncResult
from mobync_core.replica.state import read_state
from mobync_core.replica.store import Store
from mobync_core.replica.synchronization import Synchronization
from mobync_core.replica.transport import HTTPTransport, Transport

__all__ = ["Change", "Progress", "Replica", "Report", "Status", "SyncResult", "random_id", "utc_now"]

logger = logging.getLogger("mobync")


def random_id() -> str:
    """Return an id that nothing else has."""
    return str(uuid.uuid4())


class Replica:
    """The records of one user, to be read and edited offline, and synchronized when there is a connection.

    `store` is the path of an SQLite file of its own, which is created if it is not there; or a URL such as
    ``sqlite:///app.db``; or ``:memory:``, which is gone when the replica is; or a connection as `sqlite3.connect`
    returns it, which is left as it is and not closed. `server` is the server's URL, to whose path ``/sync`` is added,
    or a `Transport`. `token` says who the user is, or is called for each request to say it. `timeout` is in seconds.

    A sync reads at most `page` records and pushes about `batch` diffs at a time. `limits` are to be those of the
    server. `now` returns the device's UTC time in ms, and `new_id` names records and diffs.

    One instance may be shared by threads. Any number of processes may work on one file, and synchronize at once; after
    a fork, open another. Raises `StoreError` if the store is not a replica's or cannot be used, as do all methods.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | sqlite3.Connection,
        server: str | Transport,
        *,
        token: str | Callable[[], str] | None = None,
        page: int = 1000,
        batch: int = 5000,
        limits: Limits | None = None,
        now: Callable[[], int] = utc_now,
        new_id: Callable[[], str] = random_id,
        timeout: float = 30.0,
    ) -> None:
        if page < 1 or batch < 1:
            raise ValueError(f"page and batch must be at least 1, not {page} and {batch}")
        self._token = token
        self._page = page
        self._batch = batch
        self._now = now
        self._new_id = new_id
        self._opened = isinstance(server, str)
        self._transport = HTTPTransport(server, timeout) if isinstance(server, str) else server
        self._subscribers: list[Callable[[Sequence[Change]], object]] = []
        self._syncing = threading.RLock()  # two syncs of one process would do the same work twice
        self._background: Background | None = None
        self._store = Store(store)
        self._edits = Edits(self._store, limits if limits is not None else Limits(), now, new_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def create(self, model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Create a record, and return it as `get` does. Without an ``id`` among the fields it gets a random one.

        Raises `ObjectExists` if there is a live record of that id, and `InvalidRecord` if the server would not take it.
        """
        record = self._edits.create(model, fields)
        self._changed()
        return record

    def update(self, model: str, record_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Set fields of a live record, and return the whole as `get` does. Raises `NoSuchObject` or `InvalidRecord`."""
        record = self._edits.update(model, record_id, fields)
        self._changed()
        return record

    def delete(self, model: str, record_id: str) -> None:
        """Delete a live record. Raises `NoSuchObject` or `InvalidRecord`."""
        self._edits.delete(model, record_id)
        self._changed()

    def get(self, model: str, record_id: str) -> dict[str, Any] | None:
        """Return the fields of a live record, ``id`` among them, or None if there is none."""
        with self._store.read() as connection:
            fields = drafts.live_fields(connection, (model, record_id))
        return None if fields is None else drafts.as_user_sees(record_id, fields)

    def all(self, model: str) -> list[dict[str, Any]]:
        """Return the live records of a model, by their ids."""
        with self._store.read() as connection:
            return drafts.all_live(connection, model)

    def models(self) -> list[str]:
        """Return the models that have a live record."""
        with self._store.read() as connection:
            return drafts.models(connection)

    def synchronize(self, *, progress: Callable[[Progress], object] | None = None) -> SyncResult:
        """Push what was edited here, and take what others did, until there is no more of either.

        `progress` is called after each answer. What it raises ends the sync, after which the next one goes on.

        Raises `ServerUnreachable` or `ServerRefused`, of which `NotAuthenticated` and `WrongOwner` are kinds: what was
        taken until then stays so, and what is pending is pushed by the next. Edits that are made meanwhile, by other
        threads or processes, are kept, and pushed too.
        """
        with self._syncing:
            return Synchronization(
                self._store,
                self._transport,
                self._token_now,
                page=self._page,
                batch=self._batch,
                now=self._now,
                new_id=self._new_id,
                told=self._tell if self._subscribers else None,
                progress=progress,
            ).run()

    def status(self) -> Status:
        """Tell how the replica stands, and what became of edits that did not simply count."""
        with self._store.read() as connection:
            state = read_state(connection)
            pending = queue.count_pending(connection)
            told = reports.read(connection)
        background = self._background
        return Status(
            pending,
            state.clock,
            state.last_sync,
            state.last_error,
            state.mode,
            background.state if background is not None else None,
            [report for report in told if report.kind == "refused"],
            [report for report in told if report.kind == "conflict"],
            [report for report in told if report.kind in ("restored", "resynced")],
        )

    def dismiss(self) -> None:
        """Forget the reports that `status` lists."""
        with self._store.write() as connection:
            reports.forget(connection)

    def on_change(self, callback: Callable[[Sequence[Change]], object]) -> Callable[[], None]:
        """Have `callback` called with what others changed, as far as it changes what is seen here.

        It is called by the syncs of this instance, in their thread, once the changes are in the store; it may use the
        replica. What it raises goes to the log ``mobync`` and ends nothing. Call what is returned to end it.
        """

        def tell(changes: Sequence[Change]) -> None:
            callback(changes)

        self._subscribers = [*self._subscribers, tell]

        def unsubscribe() -> None:
            self._subscribers = [one for one in self._subscribers if one is not tell]

        return unsubscribe

    def start(self, *, interval: float = 60.0) -> None:
        """Synchronize in a thread from now on: after edits, every `interval` seconds, and as the connection returns."""
        if self._background is None:
            self._background = Background(self.synchronize, interval=interval)

    def stop(self) -> None:
        """End what `start` began. A sync under way has a moment to end."""
        background, self._background = self._background, None
        if background is not None:
            background.stop()

    def wake(self) -> None:
        """Have the thread that `start` began synchronize now, whatever it waits for."""
        background = self._background
        if background is not None:
            background.wake()

    def close(self) -> None:
        """End the thread, and close what was opened here. Safe to repeat."""
        self.stop()
        if self._opened:
            self._transport.close()
        self._store.close()

    def _changed(self) -> None:
        background = self._background
        if background is not None:
            background.changed()

    def _token_now(self) -> str | None:
        return self._token() if callable(self._token) else self._token

    def _tell(self, changes: Sequence[Change]) -> None:
        for callback in self._subscribers:
            try:
                callback(changes)
            except Exception:
                logger.exception("a callback of a replica failed")
