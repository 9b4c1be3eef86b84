"""Servers that are older, somebody else's, or none."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from mobync_core.http import Endpoint
from mobync_core.replica import (
    NotAuthenticated,
    ServerRefused,
    SyncError,
    WrongOwner,
)
from mobync_core.replica.transport import Reply
from tests.replica.devices import Line, Server


def test_a_token_of_somebody_else_sends_and_changes_nothing(server: Server) -> None:
    tokens = ["ann"]
    ann = server.device(token=lambda: tokens[-1])
    ann.create("todo", {"id": "a"})
    ann.synchronize()
    ann.create("todo", {"id": "b"})
    tokens.append("bob")
    with pytest.raises(WrongOwner):
        ann.synchronize()
    assert list(server.mobync.records("bob", "todo")) == []
    assert ann.rows() == {"a": {}, "b": {}}
    assert ann.status().pending == 1
    tokens.append("ann")
    ann.synchronize()
    assert set(server.rows()) == {"a", "b"}


def test_a_token_that_is_nobody_s_is_told(server: Server) -> None:
    server.endpoint = Endpoint(server.mobync, lambda _token: None)
    ann = server.device()
    with pytest.raises(NotAuthenticated, match="this token is nobody's") as refused:
        ann.synchronize()
    assert refused.value.status == 401
    last = ann.status().last_error
    assert last is not None
    assert "nobody's" in last


class _Plain(Line):
    """A line to a server that knows only the original's four keys."""

    def sent(self, body: bytes) -> bytes:
        request = json.loads(body)
        kept = {key: request[key] for key in ("auth_token", "logical_clock", "diffs")}
        for diff in kept["diffs"]:
            diff.pop("life", None)
        return json.dumps(kept).encode()


def test_a_plain_server_will_do(server: Server) -> None:
    chance = random.Random(5)
    devices = [server.device(line=_Plain(server)), server.device(line=_Plain(server)), server.device()]
    for step in range(300):
        server.time += chance.randrange(3)
        device = chance.choice(devices)
        record = f"r{chance.randrange(4)}"
        if chance.random() < 0.3:
            device.synchronize()
        elif device.get("todo", record) is None:
            device.create("todo", {"id": record, "x": step})
        elif chance.random() < 0.8:
            device.update("todo", record, {chance.choice("xyz"): step})
        else:
            device.delete("todo", record)
    for _ in range(2):
        for device in devices:
            device.synchronize()
    assert devices[0].rows() == devices[1].rows() == devices[2].rows() == server.rows()


def _answer(**other: Any) -> bytes:
    return json.dumps({"success": True, "message": "", "logical_clock": 5, "diffs": [], **other}).encode()


def _diff(**other: Any) -> dict[str, Any]:
    made = {
        "id": "d",
        "logical_clock": 1,
        "utc_timestamp": 1,
        "type": "create",
        "model": "todo",
        "json_data": '{"id":"a"}',
    }
    return {**made, **other}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"<html>welcome to the hotel</html>", "no answer of a Mobync server"),
        (200, b"", "no answer of a Mobync server"),
        (200, b"{}", "no answer of a Mobync server"),
        (200, b'{"success": false, "message": "not today"}', "no answer of a Mobync server"),
        (200, _answer(success=False, message="not today"), "not today"),
        (200, _answer(logical_clock=-1), "no answer"),
        (200, _answer(diffs=[_diff(json_data="[]")]), "no answer"),
        (200, _answer(diffs=[_diff(json_data="{}")]), "names no record"),
        (200, _answer(diffs=[_diff(type="upsert")]), "no answer"),
        (200, _answer(diffs=[_diff(), _diff(stamps={"x": "y"})]), "no answer"),
        (200, _answer(logical_clock=0, has_more=True), "no clock to go on from"),
        (301, b"", "has moved"),
        (404, b"not found", "it gave no reason"),
        (409, b"{}", "409"),
        (413, b"", "413"),
        (500, b'{"success": false, "code": "internal_error", "message": "its log says why"}', "its log says why"),
        (502, b"<html>", "502"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_changes_nothing(
    server: Server, status: int, body: bytes, says: str
) -> None:
    ann = server.device()
    ann.create("todo", {"id": "a", "x": 1})
    before = ann.rows(), ann.status().pending, ann.status().clock
    ann.line.says = Reply(status, {}, body)
    with pytest.raises(ServerRefused, match=says) as refused:
        ann.synchronize()
    assert refused.value.status == status
    assert (ann.rows(), ann.status().pending, ann.status().clock) == before
    ann.line.says = None
    ann.synchronize()
    assert ann.rows() == server.rows()


def test_how_long_the_server_asks_to_wait_is_told(server: Server) -> None:
    ann = server.device()
    busy = b'{"success": false, "code": "server_busy", "message": "later"}'
    ann.line.says = Reply(503, {"retry-after": "7"}, busy)
    with pytest.raises(SyncError) as refused:
        ann.synchronize()
    assert isinstance(refused.value, ServerRefused)
    assert (refused.value.status, refused.value.code, refused.value.retry_after) == (503, "server_busy", 7.0)
