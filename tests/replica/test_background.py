"""When the background syncs: against servers that die, come back, hang, ask for time and say no."""

from __future__ import annotations

import logging
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from mobync_core import Mobync, Storage
from mobync_core.http.asgi import asgi_app
from mobync_core.http.serving import serving
from mobync_core.replica import Replica
from mobync_core.replica.background import Background
from mobync_core.replica.errors import NotAuthenticated, ServerRefused, ServerUnreachable, WrongOwner
from mobync_core.replica.transport import HTTPTransport
from mobync_core.testing.proxy import proxied
from tests.http.conftest import OWNERS
from tests.replica.scripted import Heard, Say, Scripted, scripted

SOON = 10.0  # seconds: what should happen does so much earlier
NOT = 0.1  # seconds: what should not happen would do so much earlier


class Calls:
    """A `synchronize` that tells when it was called, and does what a test says."""

    def __init__(self, work: Callable[[], object] = lambda: None) -> None:
        self.work = work
        self._calls: queue.Queue[float] = queue.Queue()

    def __call__(self) -> None:
        try:
            self.work()
        finally:
            self._calls.put(time.monotonic())

    def next(self) -> float:
        """Wait until the next call ended, and return when."""
        return self._calls.get(timeout=SOON)

    def none(self, seconds: float = NOT) -> bool:
        """Say whether none ends within these seconds."""
        try:
            self._calls.get(timeout=seconds)
        except queue.Empty:
            return True
        return False


@contextmanager
def running(synchronize: Callable[[], object], *, interval: float = 1000.0) -> Iterator[Background]:
    background = Background(synchronize, interval=interval)
    try:
        yield background
    finally:
        background.stop()


def until(state: str, background: Background) -> None:
    """Wait until it is so far: `synchronize` has returned before its end is taken note of."""
    wait_for(lambda: background.state == state)


def wait_for(so: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not so():
        assert time.monotonic() < end
        time.sleep(0.001)


def raising(error: Exception) -> Callable[[], None]:
    def synchronize() -> None:
        raise error

    return synchronize


def posting(url: str, *, timeout: float = 5.0) -> Callable[[], None]:
    """A sync of nothing, with the errors that one of a replica raises."""

    def synchronize() -> None:
        with closing(HTTPTransport(url, timeout)) as transport:
            reply = transport.post(b"{}", "token")
        errors = {401: NotAuthenticated, 403: WrongOwner}
        if reply.status != 200:
            raise errors.get(reply.status, ServerRefused)(reply.status, "a_code", "no", reply.retry_after)

    return synchronize


@pytest.fixture
def ranges(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """From how many seconds each pause was chosen; all are short."""
    chosen: list[float] = []

    def uniform(least: float, most: float) -> float:
        assert least == 0
        chosen.append(most)
        return 0.005

    monkeypatch.setattr(random, "uniform", uniform)
    return chosen


class TestWhen:
    def test_at_once(self) -> None:
        calls = Calls()
        began = time.monotonic()
        with running(calls) as background:
            assert calls.next() - began < 0.5
            until("waiting", background)

    def test_after_a_burst_of_changes(self) -> None:
        calls = Calls()
        with running(calls) as background:
            calls.next()
            for _ in range(20):
                background.changed()
                last = time.monotonic()
            assert 0.29 < calls.next() - last < 1
            assert calls.none(0.4)

    def test_though_changes_never_end(self) -> None:
        calls = Calls()
        with running(calls) as background:
            calls.next()
            began = time.monotonic()
            while time.monotonic() < began + SOON:
                background.changed()
                if not calls.none(0.05):
                    break
            assert 1.9 < time.monotonic() - began < 3

    def test_on_a_timer(self) -> None:
        calls = Calls()
        with running(calls, interval=0.05):
            first, second, third = calls.next(), calls.next(), calls.next()
        assert second - first > 0.045
        assert third - second > 0.045

    def test_when_woken(self) -> None:
        calls = Calls()
        with running(calls) as background:
            calls.next()
            began = time.monotonic()
            background.wake()
            assert calls.next() - began < 0.25

    def test_again_for_what_changed_during_a_sync(self) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            assert go_on.wait(SOON)

        calls = Calls(work)
        with running(calls) as background:
            assert begun.wait(SOON)
            assert background.state == "syncing"
            background.changed()
            go_on.set()
            calls.next()
            calls.next()
            assert calls.none(0.4)

    @pytest.mark.parametrize("interval", [0, -1, float("nan")])
    def test_not_without_a_time(self, interval: float) -> None:
        with pytest.raises(ValueError, match="interval must be a number of seconds above 0"):
            Background(lambda: None, interval=interval)

    def test_with_an_interval_of_for_ever(self) -> None:
        calls = Calls()
        with running(calls, interval=float("inf")) as background:
            calls.next()
            background.wake()
            calls.next()


class TestAServerOutOfReach:
    def test_is_found_again(self, ranges: list[float]) -> None:
        with scripted(lambda _: Say()) as server, proxied(server.url) as (url, proxy):
            proxy.refuse()
            calls = Calls(posting(url))
            with running(calls) as background:
                for _ in range(8):
                    calls.next()
                assert ranges[:7] == [1, 2, 4, 8, 15, 15, 15]
                assert server.heard == []
                proxy.accept()
                until("waiting", background)
                assert server.heard
                failures = len(ranges)
                proxy.refuse()
                background.wake()
                until("retrying", background)
            assert ranges[failures] == 1  # from the start again

    def test_hangs_and_is_found_again(self, ranges: list[float]) -> None:
        with scripted(lambda _: Say()) as server, proxied(server.url) as (url, proxy):
            proxy.freeze()
            calls = Calls(posting(url, timeout=0.05))
            with running(calls) as background:
                calls.next()
                calls.next()
                proxy.thaw()
                until("waiting", background)
        assert ranges

    def test_pauses_differ(self) -> None:
        """Devices that lost their server in one moment must not come back in one."""
        lost = [Calls(raising(ServerUnreachable("gone"))) for _ in range(5)]
        with ExitStack() as stack:
            for calls in lost:
                stack.enter_context(running(calls))
            pauses = [-calls.next() + calls.next() for calls in lost]
        assert max(pauses) < 1.2
        assert max(pauses) - min(pauses) > 0.01

    def test_is_not_asked_sooner_for_a_change_but_when_woken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(random, "uniform", lambda _, most: most * 1000)
        with scripted(lambda _: Say()) as server, proxied(server.url) as (url, proxy):
            proxy.refuse()
            calls = Calls(posting(url))
            with running(calls) as background:
                calls.next()
                proxy.accept()
                background.changed()
                assert calls.none(0.4)
                background.wake()
                calls.next()
                until("waiting", background)
                assert calls.none(0.4)  # the change went along

    def test_is_said_once(self, ranges: list[float], caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "mobync")
        with scripted(lambda _: Say()) as server, proxied(server.url) as (url, proxy):
            proxy.refuse()
            calls = Calls(posting(url))
            with running(calls) as background:
                for _ in range(5):
                    calls.next()
                proxy.accept()
                until("waiting", background)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert f"{url} takes no connection" in caplog.text
        assert ranges


class TestAServerInTrouble:
    @pytest.mark.parametrize("status", [500, 503, 429, 302])
    def test_has_rest(self, ranges: list[float], status: int) -> None:
        with scripted(lambda _: Say(status if len(server.heard) < 12 else 200)) as server:
            calls = Calls(posting(server.url))
            with running(calls) as background:
                for _ in range(12):
                    calls.next()
                until("waiting", background)
        assert ranges == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]

    def test_is_not_held_to_what_was_before(self, ranges: list[float]) -> None:
        with scripted(lambda _: Say(503 if len(server.heard) < 3 else 200)) as server, proxied(server.url) as way:
            url, proxy = way
            proxy.refuse()
            calls = Calls(posting(url))
            with running(calls) as background:
                for _ in range(6):
                    calls.next()
                proxy.accept()
                until("waiting", background)
        assert ranges[-2:] == [1, 2]

    def test_has_the_time_that_it_asks_for(self, ranges: list[float]) -> None:
        busy = Say(503, {"Retry-After": "1"})
        with scripted(lambda _: busy if len(server.heard) == 1 else Say()) as server:
            calls = Calls(posting(server.url))
            with running(calls) as background:
                began = calls.next()
                until("retrying", background)
                background.changed()
                background.wake()
                assert 0.99 < calls.next() - began < 2
                until("waiting", background)
        assert ranges == [1]

    def test_is_not_believed_for_ever(self) -> None:
        calls = Calls(raising(ServerRefused(503, "server_busy", "busy", 30 * 86400.0)))
        with running(calls) as background:
            began = calls.next()
            until("retrying", background)
            with pytest.MonkeyPatch.context() as patch:
                real = time.monotonic
                patch.setattr(time, "monotonic", lambda: real() + 3602)
                background.wake()
                assert calls.next() - began > 3600


class TestAServerThatSaysNo:
    @pytest.fixture
    def strict(self) -> Iterator[tuple[Scripted, list[int]]]:
        statuses = [200]
        with scripted(lambda _: Say(statuses[0])) as server:
            yield server, statuses

    @pytest.mark.parametrize(
        ("status", "then"),
        [(400, Background.wake), (401, Background.wake), (403, Background.wake), (401, Background.changed)],
    )
    def test_is_not_asked_again_until(
        self,
        strict: tuple[Scripted, list[int]],
        ranges: list[float],
        status: int,
        then: Callable[[Background], object],
    ) -> None:
        server, statuses = strict
        statuses[0] = status
        calls = Calls(posting(server.url))
        with running(calls, interval=0.01) as background:
            calls.next()
            until("halted", background)
            assert calls.none()
            statuses[0] = 200
            then(background)
            calls.next()
            calls.next()  # and its timer goes again
        assert ranges == [1]

    def test_is_asked_the_less_the_more_often_it_said_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(random, "uniform", lambda _, most: most * 0.6)
        calls = Calls(raising(NotAuthenticated(401, "unauthenticated", "nobody's")))
        with running(calls) as background:
            began = calls.next()
            until("halted", background)
            background.changed()
            assert 0.59 < calls.next() - began < 2

    def test_is_told(self, strict: tuple[Scripted, list[int]], caplog: pytest.LogCaptureFixture) -> None:
        server, statuses = strict
        statuses[0] = 401
        with running(posting(server.url)) as background:
            until("halted", background)
        assert "until something changes here or wake() is called" in caplog.text
        assert "401 a_code" in caplog.text


class TestOtherFaults:
    def test_are_logged_and_end_nothing(self, ranges: list[float], caplog: pytest.LogCaptureFixture) -> None:
        def work() -> None:
            if len(caplog.records) < 2:
                raise ZeroDivisionError("a callback's own")

        calls = Calls(work)
        with running(calls, interval=0.01) as background:
            for _ in range(4):
                calls.next()
            until("waiting", background)
        assert len(caplog.records) == 2
        assert caplog.text.count("ZeroDivisionError: a callback's own") == 2
        assert ranges == [1, 2]

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
    def test_that_end_it_are_not_silent(self, caplog: pytest.LogCaptureFixture) -> None:
        with running(sys.exit) as background:
            until("stopped", background)
        assert [record.levelname for record in caplog.records] == ["CRITICAL"]
        assert "nothing syncs any more" in caplog.text


class TestStop:
    def test_while_it_waits(self) -> None:
        calls = Calls()
        with running(calls) as background:
            calls.next()
            began = time.monotonic()
            background.stop()
            assert time.monotonic() - began < 0.5
            assert background.state == "stopped"
            background.stop()
            background.wake()
            background.changed()
            assert calls.none(0.4)

    def test_while_it_pauses(self) -> None:
        calls = Calls(raising(ServerRefused(503, "server_busy", "busy", 1000)))
        with running(calls) as background:
            until("retrying", background)
            began = time.monotonic()
            background.stop()
            assert time.monotonic() - began < 0.5

    def test_waits_for_a_sync_that_goes_on(self) -> None:
        heard, go_on = threading.Event(), threading.Event()

        def script(_: Heard) -> Say:
            heard.set()
            assert go_on.wait(SOON)
            return Say()

        with scripted(script) as server:
            calls = Calls(posting(server.url))
            with running(calls) as background:
                assert heard.wait(SOON)
                threading.Timer(0.1, go_on.set).start()
                background.stop()
                assert not calls.none(0)

    def test_does_not_wait_for_a_server_that_hangs(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "mobync")
        with scripted(lambda _: Say()) as server, proxied(server.url) as (url, proxy):
            proxy.freeze()
            calls = Calls(posting(url))
            with running(calls) as background:
                until("syncing", background)
                began = time.monotonic()
                background.stop()
                assert time.monotonic() - began < 1.5
                assert background.state == "stopped"
                proxy.refuse()
                calls.next()
                assert calls.none()
        assert {record.levelname for record in caplog.records} <= {"DEBUG"}

    def test_from_within_a_sync(self) -> None:
        made: queue.Queue[Background] = queue.Queue()
        stopped = threading.Event()

        def work() -> None:
            made.get(timeout=SOON).stop()
            stopped.set()

        calls = Calls(work)
        with running(calls, interval=0.01) as background:
            made.put(background)
            calls.next()
            assert stopped.is_set()
            assert calls.none()


class TestOfAReplica:
    def test_a_wrong_token_is_told_and_an_edit_after_the_login_is_pushed(self, memory: Storage) -> None:
        mobync, tokens = Mobync(memory), ["nobodys"]
        with (
            serving(asgi_app(mobync, OWNERS)) as url,
            Replica(":memory:", url, token=lambda: tokens[-1]) as replica,
        ):
            replica.start()
            wait_for(lambda: replica.status().background == "halted")
            assert "this token is nobody's" in str(replica.status().last_error)
            tokens.append("ann-secret")
            replica.create("todo", {"id": "milk"})
            wait_for(lambda: replica.status().pending == 0)
            wait_for(lambda: replica.status().background == "waiting")
            assert replica.status().last_error is None
        assert mobync.get("ann", "todo", "milk") == {"id": "milk"}

    def test_callbacks_that_fail_do_not_end_it(self, memory: Storage, caplog: pytest.LogCaptureFixture) -> None:
        mobync, seen = Mobync(memory), threading.Event()

        def fails(_: object) -> None:
            seen.set()
            raise ZeroDivisionError("a callback's own")

        with serving(asgi_app(mobync, OWNERS)) as url, Replica(":memory:", url, token="ann-secret") as replica:
            replica.on_change(fails)
            replica.start(interval=0.02)
            for record in ("milk", "bread"):
                mobync.create("ann", "todo", {"id": record})
                assert seen.wait(SOON)
                seen.clear()
            assert len(replica.all("todo")) == 2
        assert "ZeroDivisionError: a callback's own" in caplog.text

    def test_it_is_closed_at_once_though_the_server_hangs_and_goes_on_when_opened_anew(
        self, memory: Storage, tmp_path: Path
    ) -> None:
        mobync = Mobync(memory)
        with serving(asgi_app(mobync, OWNERS)) as server, proxied(server) as (url, proxy):
            with Replica(tmp_path / "ann.db", url, token="ann-secret") as replica:
                proxy.freeze()
                replica.create("todo", {"id": "milk"})
                replica.start()
                wait_for(lambda: replica.status().background == "syncing")
                began = time.monotonic()
                replica.close()
                assert time.monotonic() - began < 1.5
            proxy.thaw()
            with Replica(tmp_path / "ann.db", url, token="ann-secret") as replica:
                replica.start()
                wait_for(lambda: replica.status().pending == 0)
        assert [record["id"] for record in mobync.records("ann", "todo")] == ["milk"]
