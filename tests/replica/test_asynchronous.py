"""The replica in asyncio: over a real server, with callbacks on the loop, and calls that are cancelled."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import get_type_hints

import pytest

from mobync_core import InvalidRecord, Mobync, NoSuchObject, ObjectExists, Storage
from mobync_core.http.asgi import asgi_app
from mobync_core.http.serving import serving
from mobync_core.replica import AsyncReplica, Change, Progress, Replica
from mobync_core.replica.asynchronous import Options
from mobync_core.replica.errors import ServerUnreachable, StoreError
from mobync_core.testing.proxy import Proxy, proxied
from tests.http.conftest import OWNERS

SOON = 10.0  # seconds: what should happen does so much earlier
TOKEN = "ann-secret"


@pytest.fixture
def mobync(memory: Storage) -> Mobync:
    return Mobync(memory)


@pytest.fixture
def server(mobync: Mobync) -> Iterator[str]:
    with serving(asgi_app(mobync, OWNERS)) as url:
        yield url


@pytest.fixture
def line(server: str) -> Iterator[tuple[str, Proxy]]:
    """The way to the server, and what can bar it."""
    with proxied(server) as (url, proxy):
        yield url, proxy


@asynccontextmanager
async def pair(url: str) -> AsyncIterator[tuple[AsyncReplica, AsyncReplica]]:
    """Two devices of one owner."""
    async with (
        AsyncReplica(":memory:", url, token=TOKEN) as phone,
        AsyncReplica(":memory:", url, token=TOKEN) as laptop,
    ):
        yield phone, laptop


async def until_pushed(replica: AsyncReplica) -> None:
    async with asyncio.timeout(SOON):
        while (await replica.status()).pending:
            await asyncio.sleep(0.01)


class TestWhatItDoes:
    def test_what_a_replica_does(self, server: str) -> None:
        async def story() -> None:
            async with pair(server) as (phone, laptop):
                milk = await phone.create("todo", {"title": "milk"})
                bread = await phone.create("todo", {"id": "bread", "title": "bread"})
                assert await phone.update("todo", "bread", {"done": True}) == {**bread, "done": True}
                assert (await phone.status()).pending == 3
                assert (await phone.synchronize()).pushed == 3
                assert (await laptop.synchronize()).received == 2
                assert await laptop.all("todo") == await phone.all("todo")
                assert await laptop.get("todo", milk["id"]) == milk
                assert await laptop.models() == ["todo"]
                await laptop.delete("todo", "bread")
                await laptop.synchronize()
                await phone.synchronize()
                assert await phone.get("todo", "bread") is None
                with pytest.raises(ObjectExists):
                    await phone.create("todo", milk)
                with pytest.raises(NoSuchObject):
                    await phone.update("todo", "bread", {"done": False})
                with pytest.raises(InvalidRecord):
                    await phone.create("to do", {})
                await phone.dismiss()

        asyncio.run(story())

    def test_it_has_all_methods_and_options_of_a_replica(self) -> None:
        for name, method in inspect.getmembers(Replica, inspect.isfunction):
            if not name.startswith("_"):
                mine, its = inspect.signature(getattr(AsyncReplica, name)), inspect.signature(method)
                assert list(mine.parameters) == list(its.parameters)
                assert [one.default for one in mine.parameters.values()] == [
                    one.default for one in its.parameters.values()
                ]
        taken = inspect.signature(Replica).parameters.values()
        options = get_type_hints(Options)
        assert list(options) == [one.name for one in taken if one.kind is one.KEYWORD_ONLY]
        hints = get_type_hints(Replica.__init__)
        assert options == {name: hints[name] for name in options}

    def test_the_store_may_be_a_connection(self, server: str) -> None:
        async def story() -> None:
            with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
                async with AsyncReplica(connection, server, token=TOKEN) as replica:
                    await replica.create("todo", {"title": "milk"})
                connection.execute("SELECT 1")

        asyncio.run(story())

    def test_a_store_that_is_none(self, server: str, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("milk, bread, " * 1000)

        async def story() -> None:
            with pytest.raises(StoreError):
                await AsyncReplica(tmp_path / "notes.txt", server).open()

        asyncio.run(story())

    def test_it_is_to_be_opened(self, server: str) -> None:
        async def story() -> None:
            replica = AsyncReplica(":memory:", server, token=TOKEN)
            await replica.close()
            with pytest.raises(RuntimeError, match="not open: use `async with`"):
                await replica.all("todo")
            assert await replica.open() is replica
            await replica.create("todo", {"title": "milk"})
            await replica.open()
            assert len(await replica.all("todo")) == 1
            await replica.close()
            await replica.close()
            with pytest.raises(RuntimeError, match="not open"):
                await replica.synchronize()

        asyncio.run(story())


class TestTheLoop:
    def test_goes_on_while_the_server_hangs(self, line: tuple[str, Proxy]) -> None:
        url, proxy = line

        async def story() -> None:
            async with AsyncReplica(":memory:", url, token=TOKEN) as replica:
                proxy.freeze()
                syncing = asyncio.create_task(replica.synchronize())
                for _ in range(20):
                    await asyncio.sleep(0.005)
                await replica.create("todo", {"title": "milk"})
                assert not syncing.done()
                proxy.thaw()
                await syncing

        asyncio.run(story())


class TestCallbacks:
    def test_run_on_the_loop_in_order_and_are_done_when_a_sync_is(self, server: str) -> None:
        heard: list[tuple[str, str]] = []
        threads = set()

        async def slowly(changes: Sequence[Change]) -> None:
            for change in changes:
                await asyncio.sleep(0.01)
                heard.append(("async", f"{change.type} {change.record}"))
                threads.add(threading.current_thread())

        def at_once(changes: Sequence[Change]) -> None:
            heard.extend(("plain", f"{change.type} {change.record}") for change in changes)
            threads.add(threading.current_thread())

        async def story() -> None:
            async with pair(server) as (phone, laptop):
                laptop.on_change(slowly)
                laptop.on_change(at_once)
                await phone.create("todo", {"id": "milk"})
                await phone.synchronize()
                await laptop.synchronize()
                assert heard == [("async", "create milk"), ("plain", "create milk")]
                await phone.delete("todo", "milk")
                await phone.synchronize()
                await laptop.synchronize()
            assert heard[2:] == [("async", "delete milk"), ("plain", "delete milk")]

        asyncio.run(story())
        assert threads == {threading.current_thread()}

    def test_of_progress(self, server: str, mobync: Mobync) -> None:
        for number in range(25):
            mobync.create("ann", "todo", {"id": f"{number:02d}"})
        seen: list[int] = []

        async def progress(told: Progress) -> None:
            await asyncio.sleep(0)
            seen.append(told.records)

        async def story() -> None:
            async with AsyncReplica(":memory:", server, token=TOKEN, page=10) as replica:
                await replica.synchronize(progress=progress)

        asyncio.run(story())
        assert seen == sorted(seen)
        assert seen[-1] == 25
        assert len(seen) >= 3

    def test_may_use_the_replica_and_synchronize(self, server: str, mobync: Mobync) -> None:
        async def story() -> None:
            async with pair(server) as (phone, laptop):

                async def mark(changes: Sequence[Change]) -> None:
                    for change in changes:
                        assert await laptop.get("todo", change.record) == change.fields
                        await laptop.update("todo", change.record, {"seen": True})
                    await asyncio.wait_for(laptop.synchronize(), SOON)  # a task of its own

                laptop.on_change(mark)
                await phone.create("todo", {"id": "milk"})
                await phone.synchronize()
                async with asyncio.timeout(SOON):
                    await laptop.synchronize()

        asyncio.run(story())
        assert mobync.get("ann", "todo", "milk") == {"id": "milk", "seen": True}

    def test_that_fail_are_logged_and_the_others_are_called(
        self, server: str, mobync: Mobync, caplog: pytest.LogCaptureFixture
    ) -> None:
        mobync.create("ann", "todo", {"id": "milk"})
        heard: list[Sequence[Change]] = []

        async def fails(_: Sequence[Change]) -> None:
            raise ZeroDivisionError("its own")

        async def is_cancelled(_: Sequence[Change]) -> None:
            raise asyncio.CancelledError

        async def story() -> None:
            async with AsyncReplica(":memory:", server, token=TOKEN) as replica:
                for callback in (fails, is_cancelled, heard.append):
                    replica.on_change(callback)
                await replica.synchronize()
                assert await replica.all("todo") == [{"id": "milk"}]

        asyncio.run(story())
        assert len(heard) == 1
        assert "ZeroDivisionError: its own" in caplog.text
        assert "a callback of a replica was cancelled" in caplog.text

    def test_can_be_ended(self, server: str) -> None:
        heard: list[Sequence[Change]] = []

        async def story() -> None:
            async with pair(server) as (phone, laptop):
                end = laptop.on_change(heard.append)
                for number in range(2):
                    await phone.create("todo", {"id": str(number)})
                    await phone.synchronize()
                    await laptop.synchronize()
                    end()
                    end()

        asyncio.run(story())
        assert [change.record for changes in heard for change in changes] == ["0"]

    def test_that_were_ended_are_not_told_what_was_under_way(self, server: str, mobync: Mobync) -> None:
        mobync.create("ann", "todo", {"id": "milk"})
        heard: list[str] = []

        async def story() -> None:
            async with AsyncReplica(":memory:", server, token=TOKEN) as replica:

                async def first(_: Sequence[Change]) -> None:
                    await asyncio.sleep(0.01)
                    end()
                    heard.append("first")

                replica.on_change(first)
                end = replica.on_change(lambda _: heard.append("second"))
                await replica.synchronize()

        asyncio.run(story())
        assert heard == ["first"]

    def test_may_close_it(self, server: str, mobync: Mobync) -> None:
        mobync.create("ann", "todo", {"id": "milk"})
        done = []

        async def story() -> None:
            replica = await AsyncReplica(":memory:", server, token=TOKEN).open()

            async def close(_: Sequence[Change]) -> None:
                await replica.close()
                await asyncio.sleep(0)
                done.append(True)

            replica.on_change(close)
            async with asyncio.timeout(SOON):
                await replica.synchronize()
            with pytest.raises(RuntimeError, match="not open"):
                await replica.status()

        asyncio.run(story())
        assert done == [True]

    def test_that_hang_end_with_it(self, server: str, mobync: Mobync) -> None:
        mobync.create("ann", "todo", {"id": "milk"})

        async def story() -> None:
            begun = asyncio.Event()

            async def hang(_: Sequence[Change]) -> None:
                begun.set()
                await asyncio.Event().wait()

            async with AsyncReplica(":memory:", server, token=TOKEN) as replica:
                replica.on_change(hang)
                syncing = asyncio.create_task(replica.synchronize())
                async with asyncio.timeout(SOON):
                    await begun.wait()
            async with asyncio.timeout(SOON):
                await syncing

        asyncio.run(story())


class TestCancellation:
    def test_of_a_sync_loses_and_doubles_nothing(self, line: tuple[str, Proxy], mobync: Mobync) -> None:
        url, proxy = line

        async def story() -> None:
            async with AsyncReplica(":memory:", url, token=TOKEN) as replica:
                await replica.create("todo", {"id": "milk"})
                proxy.freeze()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(replica.synchronize(), 0.1)
                assert (await replica.status()).pending == 1
                proxy.thaw()
                await until_pushed(replica)  # it went on without us
                await replica.create("todo", {"id": "bread"})
                await replica.synchronize()
                assert (await replica.status()).pending == 0

        asyncio.run(story())
        assert sorted(record["id"] for record in mobync.records("ann", "todo")) == ["bread", "milk"]

    def test_of_a_sync_whose_replica_is_closed_then(self, line: tuple[str, Proxy], tmp_path: Path) -> None:
        url, proxy = line

        async def story() -> None:
            async with AsyncReplica(tmp_path / "ann.db", url, token=TOKEN) as replica:
                await replica.create("todo", {"id": "milk"})
                proxy.freeze()
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(replica.synchronize(), 0.1)
            proxy.thaw()
            async with AsyncReplica(tmp_path / "ann.db", url, token=TOKEN) as replica:
                await replica.synchronize()
                assert (await replica.status()).pending == 0
                assert await replica.all("todo") == [{"id": "milk"}]

        asyncio.run(story())


class TestBackground:
    def test_pushes_and_tells_on_the_loop(self, server: str) -> None:
        async def story() -> None:
            async with pair(server) as (phone, laptop):
                told: asyncio.Queue[Sequence[Change]] = asyncio.Queue()
                laptop.on_change(told.put)
                await phone.start()
                await laptop.start(interval=0.05)
                await phone.create("todo", {"id": "milk"})
                async with asyncio.timeout(SOON):
                    assert [change.record for change in await told.get()] == ["milk"]
                await phone.stop()
                await phone.create("todo", {"id": "bread"})
                await asyncio.sleep(0.5)
                assert (await phone.status()).pending == 1
                await phone.start()
                await phone.wake()
                async with asyncio.timeout(SOON):
                    assert [change.record for change in await told.get()] == ["bread"]

        asyncio.run(story())

    def test_comes_back_with_the_server(self, line: tuple[str, Proxy], mobync: Mobync) -> None:
        url, proxy = line
        proxy.refuse()

        async def story() -> None:
            async with AsyncReplica(":memory:", url, token=TOKEN) as replica:
                await replica.start()
                await replica.create("todo", {"id": "milk"})
                with pytest.raises(ServerUnreachable):
                    await replica.synchronize()
                assert "takes no connection" in str((await replica.status()).last_error)
                proxy.accept()
                await until_pushed(replica)

        asyncio.run(story())
        assert mobync.get("ann", "todo", "milk") == {"id": "milk"}

    def test_outlives_its_loop(self, server: str, mobync: Mobync, caplog: pytest.LogCaptureFixture) -> None:
        heard: list[Sequence[Change]] = []

        async def opened() -> AsyncReplica:
            replica = await AsyncReplica(":memory:", server, token=TOKEN).open()
            replica.on_change(heard.append)
            await replica.start(interval=0.05)
            return replica

        replica = asyncio.run(opened())
        mobync.create("ann", "todo", {"id": "milk"})
        end = time.monotonic() + SOON
        while "the loop that opened the replica is closed" not in caplog.text:
            assert time.monotonic() < end
            time.sleep(0.01)
        asyncio.run(replica.close())
        assert heard == []
