"""How requests reach the server over HTTP, and what is said where they do not."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import pytest
import urllib3

from mobync_core import Mobync, Storage
from mobync_core.http.asgi import asgi_app
from mobync_core.http.serving import serving
from mobync_core.replica.errors import ServerUnreachable
from mobync_core.replica.transport import HTTPTransport, Reply
from mobync_core.testing.proxy import proxied
from tests.http.conftest import OWNERS
from tests.http.posting import diff, request
from tests.http.storages import OutOfReach
from tests.replica.certificates import certificate
from tests.replica.scripted import Heard, Say, Scripted, blurting, scripted


@pytest.fixture
def echo() -> Iterator[Scripted]:
    """A server that says yes to all."""
    with scripted(lambda _: Say()) as server:
        yield server


def body(*diffs: object) -> bytes:
    return json.dumps(request(*diffs, token=None)).encode()


def post(url: str, *, timeout: float = 5.0, token: str | None = None) -> Reply:
    with closing(HTTPTransport(url, timeout)) as transport:
        return transport.post(b"{}", token)


def said(error: BaseException | None) -> str:
    """Return all that a traceback would say, but for the code."""
    if error is None:
        return ""
    before = error.__cause__ if error.__suppress_context__ else error.__context__
    return f"{error!r} {error} {said(before)}"


def test_a_server_of_mobync_answers(memory: Storage) -> None:
    with serving(asgi_app(Mobync(memory), OWNERS)) as url, closing(HTTPTransport(url)) as transport:
        reply = transport.post(body(diff(title="milk")), "ann-secret")
        assert (reply.status, json.loads(reply.body)["logical_clock"]) == (200, 1)
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        reply = transport.post(body(), "nobodys")
        assert (reply.status, json.loads(reply.body)["code"]) == (401, "unauthenticated")
        reply = transport.post(body(), None)
        assert (reply.status, json.loads(reply.body)["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("", "/sync"),
        ("/", "/sync"),
        ("/mobync", "/mobync/sync"),
        ("/mobync/", "/mobync/sync"),
        ("/sync", "/sync"),
        ("/api/sync/", "/api/sync"),
        ("/async", "/async/sync"),
    ],
)
def test_requests_go_to_sync(echo: Scripted, given: str, path: str) -> None:
    post(echo.url + given)
    assert [heard.path for heard in echo.heard] == [path]


def test_the_token_is_a_header_and_the_body_is_sent_as_it_is(echo: Scripted) -> None:
    with closing(HTTPTransport(echo.url)) as transport:
        transport.post('{"title":"Käse"}'.encode(), "s3cret")
        transport.post(b"{}", None)
    first, second = echo.heard
    assert first.headers["authorization"] == "Bearer s3cret"
    assert first.headers["content-type"] == "application/json"
    assert first.body.decode() == '{"title":"Käse"}'
    assert "authorization" not in second.headers


def test_a_connection_is_used_again_but_not_one_that_was_long_idle(
    echo: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(HTTPTransport(echo.url)) as transport:
        for _ in range(3):
            transport.post(b"{}", None)
        assert len({heard.peer for heard in echo.heard}) == 1
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + 8 * 3600)  # the laptop slept
        transport.post(b"{}", None)
        assert len({heard.peer for heard in echo.heard}) == 2
        monkeypatch.setattr(time, "time", real)  # and its clock was put right
        transport.post(b"{}", None)
        assert len({heard.peer for heard in echo.heard}) == 3


def test_a_server_that_died_and_is_back_is_reached_at_once(echo: Scripted) -> None:
    with proxied(echo.url) as (url, proxy), closing(HTTPTransport(url)) as transport:
        assert transport.post(b"{}", None).status == 200
        proxy.refuse()
        with pytest.raises(ServerUnreachable, match=r"takes no connection: .*refused"):
            transport.post(b"{}", None)
        proxy.accept()
        assert transport.post(b"{}", None).status == 200
        proxy.refuse()  # now it dies and is back while nobody looks
        proxy.accept()
        assert transport.post(b"{}", None).status == 200


def test_threads_may_share_one(echo: Scripted) -> None:
    with closing(HTTPTransport(echo.url)) as transport, ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: transport.post(b"{}", None), range(64)))
    assert {reply.status for reply in replies} == {200}
    assert len(echo.heard) == 64


def test_an_answer_may_be_compressed() -> None:
    def script(heard: Heard) -> Say:
        assert heard.headers["accept-encoding"] == "gzip"
        return Say(headers={"Content-Encoding": "gzip"}, body=gzip.compress(b"{}" * 10_000))

    with scripted(script) as server:
        assert post(server.url).body == b"{}" * 10_000


def test_a_redirect_is_an_answer(echo: Scripted) -> None:
    moved = Say(307, {"Location": f"{echo.url}/sync"}, b"")
    with scripted(lambda _: moved) as server:
        assert post(server.url, token="s3cret").status == 307
    assert echo.heard == []


def test_a_server_that_hangs(echo: Scripted) -> None:
    with proxied(echo.url) as (url, proxy):
        proxy.freeze()
        with pytest.raises(ServerUnreachable, match=r"did not answer within 0\.1 s"):
            post(url, timeout=0.1)


def test_an_answer_that_is_lost(echo: Scripted) -> None:
    with proxied(echo.url) as (url, proxy), closing(HTTPTransport(url)) as transport:
        proxy.lose_answers(0)
        with pytest.raises(ServerUnreachable, match="broke the connection"):
            transport.post(b"{}", None)
        proxy.lose_answers(None)
        assert transport.post(b"{}", None).status == 200
    assert len(echo.heard) == 2  # it is not for the transport to send a request again


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03\x01\x00garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
)
def test_what_is_no_whole_answer(answer: bytes) -> None:
    with blurting(answer) as url, pytest.raises(ServerUnreachable, match=f"^{url} "):
        post(url)


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)  # a test must not ask a real name server
    with pytest.raises(ServerUnreachable, match=r"^https://api\.example\.com has no address"):
        post("https://api.example.com/mobync")


def test_a_certificate_that_the_system_trusts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, file = certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with scripted(lambda _: Say(), tls=context) as server:
        assert post(server.url, token="s3cret").status == 200
        assert server.heard[0].headers["authorization"] == "Bearer s3cret"


def test_a_certificate_that_nobody_knows(tmp_path: Path) -> None:
    context, file = certificate(tmp_path, "127.0.0.1")
    with scripted(lambda _: Say(), tls=context) as server:
        with pytest.raises(ServerUnreachable, match=r"cannot be trusted.*certificate verify failed"):
            post(server.url, token="s3cret")
        assert server.heard == []
        with closing(HTTPTransport(server.url, pool=urllib3.PoolManager(ca_certs=str(file)))) as transport:
            assert transport.post(b"{}", None).status == 200


def test_a_certificate_of_another_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, file = certificate(tmp_path, "127.0.0.2")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with scripted(lambda _: Say(), tls=context) as server, pytest.raises(ServerUnreachable, match="not valid for"):
        post(server.url, token="s3cret")
    assert server.heard == []


def test_a_server_without_tls_where_it_is_wanted(echo: Scripted) -> None:
    with pytest.raises(ServerUnreachable, match="speaks no TLS"):
        post(echo.url.replace("http:", "https:"))


def test_nothing_that_is_said_holds_a_secret(echo: Scripted) -> None:
    with proxied(echo.url) as (url, proxy), closing(HTTPTransport(f"{url}/s3cret-path")) as transport:
        proxy.refuse()
        with pytest.raises(ServerUnreachable) as caught:
            transport.post(b'{"title":"s3cret-title"}', "s3cret-token")
        assert "s3cret" not in said(caught.value)
        assert "s3cret" not in repr(transport)
        assert url in repr(transport)


@pytest.mark.parametrize("token", ["s3cret\r\nX-Admin: 1", "s3cret-ü", "s3cret\0", "s3cret\ud800"])
def test_a_token_that_no_header_can_carry(echo: Scripted, token: str) -> None:
    with pytest.raises(ValueError, match="the token holds a character") as caught:
        post(echo.url, token=token)
    assert "s3cret" not in said(caught.value)
    assert echo.heard == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "must begin with https:// or http://"),
        ("api.example.com", "must begin with https:// or http://"),
        ("ftp://s3cret.example.com", "must begin with https:// or http://"),
        ("sqlite:///s3cret.db", "must begin with https:// or http://"),
        ("https:///s3cret", "name a host"),
        ("https://example.com:s3cret/", "cannot be read"),
        ("https://ann:s3cret@example.com/", "no user or password"),
        ("https://example.com/sync?key=s3cret", "without [?]"),
        ("https://example.com/#s3cret", "without [?]"),
    ],
)
def test_a_url_that_is_wrong_is_not_repeated(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        HTTPTransport(url)
    assert "s3cret" not in said(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_a_time(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be a number of seconds above 0"):
        HTTPTransport("https://example.com", timeout)


def test_how_long_a_server_asks_to_wait() -> None:
    def asked(**headers: str) -> float | None:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return Reply(503, headers, b"").retry_after

    assert asked() is None
    assert asked(retry_after="120") == 120
    assert asked(retry_after="0") == 0
    for nonsense in ("soon", "-1", "1.5", "", "٣", "Wed, 99 Nov 2026 00:00:00 GMT"):
        assert asked(retry_after=nonsense) is None
    assert asked(retry_after="9" * 5000) is not None
    now = time.time()
    soon = asked(retry_after=formatdate(now + 60, usegmt=True))
    assert soon is not None
    assert 55 < soon <= 60
    assert asked(retry_after=formatdate(now - 60, usegmt=True)) == 0
    days = 9 * 86400  # the device's clock is so far behind
    assert asked(retry_after=formatdate(now + days + 60, usegmt=True), date=formatdate(now + days, usegmt=True)) == 60


def test_a_storage_out_of_reach_is_told_with_the_time_to_wait(memory: Storage) -> None:
    with serving(asgi_app(Mobync(OutOfReach(memory)), OWNERS)) as url:
        with closing(HTTPTransport(url)) as transport:
            reply = transport.post(body(), "ann-secret")
        assert (reply.status, reply.retry_after) == (503, 1.0)
