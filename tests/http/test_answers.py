"""What is answered, over HTTP, whichever face serves it: statuses, codes, headers, texts."""

from __future__ import annotations

import json
import logging
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from mobync_core import Limits, Mobync, ServerBusy, Storage, Unauthenticated
from mobync_core.http.tokens import token_is_owner
from tests.http import servers
from tests.http.conftest import OWNERS
from tests.http.posting import Answer, ask, diff, request
from tests.http.servers import Face
from tests.http.storages import OutOfReach, Purged

JSON = "application/json; charset=utf-8"


def assert_refused(answer: Answer, status: int, code: str) -> str:
    """Check the shape that all errors share, and return the message."""
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["success"] is False
    assert set(answer.json) == {"success", "code", "message"}
    assert answer.headers["content-type"] == JSON
    assert "Traceback" not in answer.json["message"]
    assert isinstance(answer.json["message"], str)
    assert answer.json["message"]
    return str(answer.json["message"])


def test_a_sync_is_answered_in_the_four_keys_of_the_protocol(server: str) -> None:
    pushed = ask(server, request(diff(title="milk")))
    assert (pushed.status, pushed.headers["content-type"]) == (200, JSON)
    assert pushed.json == {"success": True, "message": "", "logical_clock": 1, "diffs": []}
    pulled = ask(server, request())
    assert set(pulled.json) == {"success", "message", "logical_clock", "diffs"}
    assert [json.loads(told["json_data"]) for told in pulled.json["diffs"]] == [{"id": "r1", "title": "milk"}]


def test_what_a_request_asks_for_beyond_is_answered(server: str) -> None:
    answer = ask(server, request(diff(title="milk"), explain=True, epoch=None, limit=10)).json
    assert answer["outcomes"][0]["result"] == "applied"
    assert answer["has_more"] is False
    assert answer["epoch"]


def test_texts_beyond_ascii_come_back_as_they_were(server: str) -> None:
    title = "Müsli “für” 牛乳 🥛"
    ask(server, request(diff(title=title)))
    pulled = ask(server, request())
    assert json.loads(pulled.json["diffs"][0]["json_data"])["title"] == title
    assert title in json.loads(pulled.body.decode("utf-8"))["diffs"][0]["json_data"]


def test_owners_are_kept_apart(server: str) -> None:
    ask(server, request(diff(title="milk")))
    assert ask(server, request(token="bob-secret")).json["diffs"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"milk",
        b'{"auth_token": "ann-secret", "logical_clock": 0, "diffs": [',
        b"[]",
        b"\xff\xfe{}",
        b'{"auth_token": "ann-secret", "logical_clock": 0, "diffs": ' + b"[" * 100_000,
    ],
    ids=["empty", "no JSON", "cut off", "no object", "no UTF-8", "too deep"],
)
def test_a_body_that_is_no_request_is_invalid_data(server: str, body: bytes) -> None:
    assert_refused(ask(server, body), 400, "invalid_data")


@pytest.mark.parametrize("clock", ["7", -1, 1.5, None, 2**53, 10**40], ids=str)
def test_a_base_that_is_no_clock_is_invalid_data(server: str, clock: Any) -> None:
    assert_refused(ask(server, request(base=clock)), 400, "invalid_data")


def test_a_missing_base_is_invalid_data(server: str) -> None:
    message = assert_refused(ask(server, {"auth_token": "ann-secret", "diffs": []}), 400, "invalid_data")
    assert "logical_clock" in message


@pytest.mark.parametrize("diffs", [{}, "milk", 7, None], ids=repr)
def test_diffs_that_are_no_list_are_invalid_data(server: str, diffs: Any) -> None:
    body = {"auth_token": "ann-secret", "logical_clock": 0, "diffs": diffs}
    assert "diffs" in assert_refused(ask(server, body), 400, "invalid_data")


def test_a_diff_that_is_wrong_is_refused_alone(server: str) -> None:
    answer = ask(server, request({"id": "d0", "type": "rename"}, diff(title="milk"), 7, explain=True))
    assert answer.status == 200
    assert [outcome["result"] for outcome in answer.json["outcomes"]] == ["refused", "applied", "refused"]


def test_a_token_of_nobody_is_unauthenticated(server: str) -> None:
    message = assert_refused(ask(server, request(token="guessed")), 401, "unauthenticated")
    assert "guessed" not in message


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_unauthenticated(server: str, token: str | None) -> None:
    assert_refused(ask(server, request(token=token)), 401, "unauthenticated")


def test_a_token_that_is_no_text_is_invalid_data(server: str) -> None:
    body = {"auth_token": 7, "logical_clock": 0, "diffs": []}
    assert_refused(ask(server, body), 400, "invalid_data")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_may_come_in_a_header(server: str, scheme: str) -> None:
    body = {"logical_clock": 0, "diffs": [diff(title="milk")]}
    assert ask(server, body, headers={"Authorization": f"{scheme} ann-secret"}).status == 200
    assert len(ask(server, request()).json["diffs"]) == 1


def test_a_bearer_header_alone_counts_if_the_body_has_a_token_too(server: str) -> None:
    header = {"Authorization": "Bearer bob-secret"}
    ask(server, request(diff(title="milk")), headers=header)
    assert ask(server, request()).json["diffs"] == []
    assert len(ask(server, request(token="bob-secret")).json["diffs"]) == 1
    assert_refused(ask(server, request(), headers={"Authorization": "Bearer no"}), 401, "unauthenticated")
    assert_refused(ask(server, request(), headers={"Authorization": "Bearer"}), 401, "unauthenticated")


def test_a_header_of_another_scheme_is_left_to_whom_it_is_for(server: str) -> None:
    assert ask(server, request(), headers={"Authorization": "Basic YTpi"}).status == 200


def test_a_base_ahead_of_the_server_is_invalid_clock(server: str) -> None:
    assert_refused(ask(server, request(diff(title="milk"), base=7)), 409, "invalid_clock")
    assert ask(server, request()).json["logical_clock"] == 0


def test_a_base_before_the_last_purge_is_resync_required(face: Face, memory: Storage) -> None:
    with face(Mobync(Purged(memory)), OWNERS) as url:
        assert_refused(ask(url, request(base=5)), 410, "resync_required")


@pytest.mark.parametrize("path", ["/", "/synch", "/sync/more"])
def test_another_path_is_not_found(memory: Storage, path: str) -> None:
    with servers.asgi(Mobync(memory), OWNERS) as url:  # in Flask the rest of the paths are the application's
        assert_refused(ask(url, request(), path=path), 404, "not_found")


@pytest.mark.parametrize(("path", "method"), [("/sync", "GET"), ("/sync", "PUT"), ("/health", "POST")])
def test_another_method_is_not_allowed(server: str, path: str, method: str) -> None:
    answer = ask(server, path=path, method=method)
    assert_refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"].split(", ")[0] in ("POST", "GET", "HEAD")
    assert method not in answer.headers["allow"]


SMALL = Limits(request_bytes=2000)


def test_a_body_over_the_limit_is_too_large(face: Face, memory: Storage) -> None:
    with face(Mobync(memory, limits=SMALL), OWNERS) as url:
        assert ask(url, request(diff(title="x" * 1500))).status == 200
        assert "2000" in assert_refused(ask(url, request(diff(title="x" * 2500))), 413, "too_large")


def test_a_chunked_body_is_not_read_beyond_the_limit(face: Face, memory: Storage) -> None:
    with face(Mobync(memory, limits=SMALL), OWNERS) as url:
        host, port = urlsplit(url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"POST /sync HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            chunk = b"x" * 1000
            for _ in range(3):
                connection.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            answered = connection.makefile("rb").read()  # it ends though the body never did
        head, _, body = answered.partition(b"\r\n\r\n")
        assert head.split(b" ")[1] == b"413"
        assert json.loads(body)["code"] == "too_large"


def test_more_diffs_than_the_limit_are_too_large(face: Face, memory: Storage) -> None:
    with face(Mobync(memory, limits=Limits(diffs=1)), OWNERS) as url:
        body = request(diff(title="milk"), diff(id="d2", record="r2", title="bread"))
        assert_refused(ask(url, body), 413, "too_large")


def test_a_storage_out_of_reach_is_server_busy(face: Face, memory: Storage, caplog: pytest.LogCaptureFixture) -> None:
    with face(Mobync(OutOfReach(memory)), OWNERS) as url:
        answer = ask(url, request(diff(title="milk")))
        message = assert_refused(answer, 503, "server_busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert "db.internal" not in message
        assert "db.internal" in caplog.text
        assert_refused(ask(url, method="GET", path="/health"), 503, "server_busy")


class Raising:
    """Rules with a fault of their own."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        raise KeyError(f"secret of {owner_id}: {diff['json_data']}")

    validate_update = validate_delete = validate_create


class Forbidding:
    """Rules that allow nothing."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        return False

    validate_update = validate_delete = validate_create


def test_a_rule_that_raises_is_an_internal_error_that_tells_nothing(
    face: Face, memory: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    with face(Mobync(memory, rules=Raising()), OWNERS) as url:
        answer = ask(url, request(diff(title="milk")))
    message = assert_refused(answer, 500, "internal_error")
    assert "milk" not in message
    assert "KeyError" not in message
    logged = [record for record in caplog.records if record.name == "mobync" and record.levelno == logging.ERROR]
    assert [record.exc_info is not None and record.exc_info[0] for record in logged] == [KeyError]
    assert "ann-secret" not in caplog.text


def test_rules_that_say_no_refuse_the_diff_and_not_the_request(face: Face, memory: Storage) -> None:
    with face(Mobync(memory, rules=Forbidding()), OWNERS) as url:
        answer = ask(url, request(diff(title="milk"), explain=True))
    assert answer.status == 200
    assert answer.json["outcomes"][0]["code"] == "unauthorized"
    assert [told["type"] for told in answer.json["diffs"]] == ["delete"]


@pytest.mark.parametrize("owner", [7, "", "x" * 256], ids=["a number", "empty", "too long"])
def test_an_owner_that_is_none_is_an_error_of_the_server(face: Face, memory: Storage, owner: Any) -> None:
    with face(Mobync(memory), lambda _token: owner) as url:
        assert_refused(ask(url, request()), 500, "internal_error")


def test_the_source_of_owners_may_say_what_is_wrong(face: Face, memory: Storage) -> None:
    def owner_of(token: str) -> str:
        if token == "old":
            raise Unauthenticated("the session is over: sign in again")
        raise ServerBusy("sessions.internal is down", retry_after=30)

    with face(Mobync(memory), owner_of) as url:
        assert "sign in again" in assert_refused(ask(url, request(token="old")), 401, "unauthenticated")
        busy = ask(url, request(token="new"))
        assert "internal" not in assert_refused(busy, 503, "server_busy")
        assert busy.headers["retry-after"] == "30"


def test_a_long_token_is_nobodys_when_tokens_are_owners(face: Face, memory: Storage) -> None:
    with face(Mobync(memory), token_is_owner) as url:
        assert ask(url, request(token="ann")).status == 200
        assert_refused(ask(url, request(token="x" * 256)), 401, "unauthenticated")


def test_health(server: str) -> None:
    healthy = ask(server, method="GET", path="/health")
    assert (healthy.status, healthy.json["success"]) == (200, True)
    assert ask(server, method="HEAD", path="/health").status == 200
