"""The replica for programs that run on asyncio."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from mobync_core.limits import Limits
from mobync_core.replica.replica import Replica
from mobync_core.replica.results import Change, Progress, Status, SyncResult
from mobync_core.replica.transport import Transport

logger = logging.getLogger("mobync")

_telling: ContextVar[bool] = ContextVar("mobync_telling", default=False)
"""Whether this is a callback, or what one began: it cannot wait for the callbacks."""


class Options(TypedDict, total=False):
    """What `Replica` may be given beside its store and its server."""

    token: str | Callable[[], str] | None
    page: int
    batch: int
    limits: Limits | None
    now: Callable[[], int]
    new_id: Callable[[], str]
    timeout: float


class AsyncReplica:
    """A `Replica` whose methods are awaited. ``async with`` opens it, or `open`; it takes what `Replica` takes.

    Its methods run in threads, by `asyncio.to_thread`, so that neither the disk nor the server holds up the loop. They
    raise what those of `Replica` raise. A connection that is handed in must be made with ``check_same_thread=False``.

    Callbacks run on the loop that opened it, one after another in the order of what they tell. They may be async
    functions, and may use the replica. What they raise goes to the log ``mobync``.

    A thread cannot be interrupted. So a call that is cancelled, by a time-out for one, may be done all the same, and
    even a moment later, but whole or not at all. A sync that is cancelled goes on to its end without you; what it did
    not do is left to the next.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | sqlite3.Connection,
        server: str | Transport,
        **options: Unpack[Options],
    ) -> None:
        self._make = partial(Replica, store, server, **options)
        self._opened: Replica | None = None
        self._loop: asyncio.AbstractEventLoop
        self._untold: asyncio.Queue[Callable[[], object]]
        self._teller: asyncio.Task[None]

    async def open(self) -> Self:
        """Open the store, and return this. Raises `StoreError`."""
        if self._opened is None:
            self._opened = await asyncio.to_thread(self._make)
            self._loop = asyncio.get_running_loop()
            self._untold = asyncio.Queue()
            self._teller = asyncio.create_task(_tell(self._untold), name="mobync-replica-callbacks")
        return self

    async def close(self) -> None:
        """Stop the background, close the store, and end the callbacks: who has not been told by then will not be."""
        if self._opened is None:
            return
        replica, self._opened = self._opened, None
        await asyncio.to_thread(replica.close)
        if _telling.get():
            self._untold.put_nowait(self._teller.cancel)  # not before this callback is done
        elif not self._teller.done():  # it is, if the loop that opened the replica is closed
            self._teller.cancel()
            await asyncio.wait([self._teller])

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def create(self, model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """See `Replica.create`."""
        return await asyncio.to_thread(self._replica.create, model, fields)

    async def update(self, model: str, record_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """See `Replica.update`."""
        return await asyncio.to_thread(self._replica.update, model, record_id, fields)

    async def delete(self, model: str, record_id: str) -> None:
        """See `Replica.delete`."""
        await asyncio.to_thread(self._replica.delete, model, record_id)

    async def get(self, model: str, record_id: str) -> dict[str, Any] | None:
        """See `Replica.get`."""
        return await asyncio.to_thread(self._replica.get, model, record_id)

    async def all(self, model: str) -> list[dict[str, Any]]:
        """See `Replica.all`."""
        return await asyncio.to_thread(self._replica.all, model)

    async def models(self) -> list[str]:
        """See `Replica.models`."""
        return await asyncio.to_thread(self._replica.models)

    async def synchronize(self, *, progress: Callable[[Progress], object] | None = None) -> SyncResult:
        """See `Replica.synchronize`. Callbacks are done when it returns, unless it is called within one."""
        told = None if progress is None else partial(self._tell, progress)
        result = await asyncio.to_thread(self._replica.synchronize, progress=told)
        if not _telling.get():
            told_all = self._loop.create_future()
            self._untold.put_nowait(partial(told_all.set_result, None))
            await asyncio.wait([told_all, self._teller], return_when=asyncio.FIRST_COMPLETED)  # it may be closed now
        return result

    async def status(self) -> Status:
        """See `Replica.status`."""
        return await asyncio.to_thread(self._replica.status)

    async def dismiss(self) -> None:
        """See `Replica.dismiss`."""
        await asyncio.to_thread(self._replica.dismiss)

    def on_change(self, callback: Callable[[Sequence[Change]], object]) -> Callable[[], None]:
        """See `Replica.on_change`. It does not wait, and is not awaited."""
        subscribed = True

        def tell(changes: Sequence[Change]) -> object:
            return callback(changes) if subscribed else None

        unsubscribe = self._replica.on_change(partial(self._tell, tell))

        def end() -> None:
            nonlocal subscribed
            subscribed = False
            unsubscribe()

        return end

    async def start(self, *, interval: float = 60.0) -> None:
        """See `Replica.start`."""
        await asyncio.to_thread(self._replica.start, interval=interval)

    async def stop(self) -> None:
        """See `Replica.stop`."""
        await asyncio.to_thread(self._replica.stop)

    async def wake(self) -> None:
        """See `Replica.wake`."""
        await asyncio.to_thread(self._replica.wake)

    @property
    def _replica(self) -> Replica:
        if self._opened is None:
            raise RuntimeError("the replica is not open: use `async with` or `await replica.open()`")
        return self._opened

    def _tell(self, callback: Callable[[Any], object], what: object) -> None:
        """Have a callback called on the loop, from whatever thread this is."""
        try:
            self._loop.call_soon_threadsafe(self._untold.put_nowait, partial(callback, what))
        except RuntimeError:
            logger.warning("a replica's callback is not called anymore: the loop that opened the replica is closed")


async def _tell(untold: asyncio.Queue[Callable[[], object]]) -> None:
    """Call callbacks, one after another, until cancelled."""
    _telling.set(True)
    teller = asyncio.current_task()
    assert teller is not None
    while True:
        callback = await untold.get()
        try:
            done = callback()
            if inspect.isawaitable(done):
                await done
        except asyncio.CancelledError:
            if teller.cancelling():
                raise
            logger.warning("a callback of a replica was cancelled")  # by itself, which is not for the others
        except Exception:
            logger.exception("a callback of a replica failed")
