"""What only the ASGI face has to do: read a body that comes in pieces, and keep the loop free."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.types import Message

from mobync_core import Limits, Mobync, Storage
from mobync_core.http.asgi import asgi_app
from mobync_core.http.serving import serving
from tests.http.conftest import OWNERS
from tests.http.posting import ask, request


def answer_to(app: Any, messages: list[Message], headers: dict[str, str]) -> tuple[list[Message], int]:
    """Run one request, and return what was sent and how many messages were left unread."""
    left = iter(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        return next(left)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/sync",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    return sent, len(list(left))


def pieces(count: int, size: int) -> list[Message]:
    return [{"type": "http.request", "body": b" " * size, "more_body": True} for _ in range(count)]


def test_reading_stops_where_the_body_is_over_though_its_length_lies(memory: Storage) -> None:
    app = asgi_app(Mobync(memory, limits=Limits(request_bytes=1000)), OWNERS)
    sent, unread = answer_to(app, pieces(50, 100), {"content-length": "10"})
    assert sent[0]["status"] == 413
    assert unread == 39


def test_nothing_is_read_of_a_body_whose_length_is_over(memory: Storage) -> None:
    app = asgi_app(Mobync(memory, limits=Limits(request_bytes=1000)), OWNERS)
    sent, unread = answer_to(app, pieces(50, 100), {"content-length": "5000"})
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]
    assert unread == 50


def test_a_body_in_pieces_is_put_together(memory: Storage) -> None:
    body = json.dumps(request()).encode()
    messages: list[Message] = [{"type": "http.request", "body": body[n : n + 1], "more_body": True} for n in range(9)]
    messages.append({"type": "http.request", "body": body[9:], "more_body": False})
    sent, _ = answer_to(asgi_app(Mobync(memory), OWNERS), messages, {})
    assert sent[0]["status"] == 200


def test_a_client_that_goes_away_changes_nothing(memory: Storage) -> None:
    messages: list[Message] = [*pieces(1, 10), {"type": "http.disconnect"}]
    answer_to(asgi_app(Mobync(memory), OWNERS), messages, {})
    assert list(memory.owners()) == []


def test_no_more_threads_work_than_were_allowed(memory: Storage) -> None:
    working, most, lock = 0, 0, threading.Lock()

    def owner_of(_token: str) -> str:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        time.sleep(0.05)
        with lock:
            working -= 1
        return "ann"

    with serving(asgi_app(Mobync(memory), owner_of, threads=2)) as url:
        clients = [threading.Thread(target=ask, args=(url, request())) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert most == 2
