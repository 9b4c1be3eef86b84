"""How a replica's requests reach the server: over HTTP by urllib3, or by what an application writes instead."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Protocol

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    LocationParseError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from mobync_core.replica.errors import ServerUnreachable

_CONNECTING = 10.0
"""The most seconds that making a connection may take: more means that nobody is there."""

_IDLE = 4.0
"""Seconds after which a connection is not used again.

Many servers close theirs after five; and one from before a laptop slept or changed its network swallows what is sent.
"""

_KEPT = 4
"""How many connections are kept, for threads that sync at once; beyond, each request makes its own."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered. The names of its headers are in lower case; its body is as it was before compression."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> float | None:
        """The seconds that the server asks to wait before the next request, None if it asks nothing.

        A date is held against the server's own clock where the answer tells it: the device's may be days wrong.
        """
        asked = self.headers.get("retry-after", "").strip()
        if asked.isascii() and asked.isdigit():
            return float(asked[:10])
        until = _seconds(asked)
        if until is None:
            return None
        now = _seconds(self.headers.get("date", ""))
        return max(0.0, until - (time.time() if now is None else now))


class Transport(Protocol):
    """Carries requests to the server's ``POST …/sync``. It may be used by many threads at once."""

    def post(self, body: bytes, token: str | None) -> Reply:
        """Send a JSON body, with the token as ``Authorization: Bearer`` if there is one, and return the answer.

        Whatever the status is, it is an answer; a redirect is one too, and is not followed. Raises `ServerUnreachable`
        if no whole answer came: the server may or may not have done what was asked.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds, such as connections."""
        ...


class HTTPTransport:
    """Posts to a Mobync server over HTTP, and keeps the connection for the next request.

    Requests go to `url` with ``/sync`` at its end. `timeout` is how many seconds the server may say nothing before it
    counts as unreachable. TLS certificates are checked against the system's; ``SSL_CERT_FILE`` names others. Hand in a
    `pool` to do otherwise: to go through a proxy by `urllib3.ProxyManager`, say, or with a certificate of the client's.

    Errors name the server, and neither the URL's path nor a token. Raises `ValueError` for a URL that it cannot use.
    """

    def __init__(self, url: str, timeout: float = 30.0, *, pool: urllib3.PoolManager | None = None) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout must be a number of seconds above 0, not {timeout}")
        self._server, self._url = _addresses(url)
        self._timeout = urllib3.Timeout(connect=min(timeout, _CONNECTING), read=timeout)
        self._pool = pool or _pool(self._url)
        self._used = 0.0  # by the wall clock: the other one stands still while a laptop sleeps

    def __repr__(self) -> str:
        return f"<HTTPTransport to {self._server}>"

    def post(self, body: bytes, token: str | None) -> Reply:
        """Send a request and return its answer; see `Transport`.

        Raises `ValueError` for a token that no header can carry.
        """
        headers = _headers(token)
        if not 0 <= time.time() - self._used < _IDLE:
            self._pool.clear()
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=headers, timeout=self._timeout, redirect=False, retries=False
            )
        except HTTPError as error:
            raise ServerUnreachable(f"{self._server} {self._fault(error)}") from error
        self._used = time.time()
        return Reply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.data)

    def close(self) -> None:
        """Close the connections that are not in use, and the others once they are not."""
        self._pool.clear()

    def _fault(self, error: HTTPError) -> str:  # noqa: PLR0911 - one return for each kind of fault
        """Say what went wrong, as the end of a sentence about the server."""
        match error:
            case ProxyError():
                return f"cannot be reached through the proxy: {error.original_error}"
            case NameResolutionError():
                return "has no address that could be found: is there a connection, and is the name right?"
            case NewConnectionError():
                return f"takes no connection: {_cause(error)}"
            case ConnectTimeoutError():
                return f"took no connection within {self._timeout.connect_timeout:g} s"
            case ReadTimeoutError():
                return f"did not answer within {self._timeout.read_timeout:g} s"
            case SSLError():
                return f"cannot be trusted, or speaks no TLS: {_cause(error)}"
            case DecodeError():
                return "sent an answer that says that it is compressed, and is not"
            case _:
                return "broke the connection before its answer was complete, or speaks no HTTP"


def _addresses(url: str) -> tuple[str, str]:
    """Return the server as errors may name it, and the URL that requests go to."""
    try:
        parsed = urllib3.util.parse_url(url)
    except LocationParseError:
        raise ValueError("the server's URL cannot be read; it must be like https://api.example.com") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError("the server's URL must begin with https:// or http:// and name a host")
    if parsed.auth is not None:
        raise ValueError("the server's URL must hold no user or password: give what proves who it is as token")
    if parsed.query is not None or parsed.fragment is not None:
        raise ValueError("the server's URL must end with its path: without ? and #")
    server = f"{parsed.scheme}://{parsed.netloc}"
    path = (parsed.path or "").rstrip("/")
    return server, f"{server}{path}" if path.endswith("/sync") else f"{server}{path}/sync"


def _pool(url: str) -> urllib3.PoolManager:
    if not url.startswith("https:"):
        return urllib3.PoolManager(maxsize=_KEPT)
    return urllib3.PoolManager(
        maxsize=_KEPT, ssl_context=ssl.create_default_context()
    )  # read once, not for each connection


def _headers(token: str | None) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": "mobync-replica",
    }
    if token is not None:
        if not (token.isascii() and token.isprintable()):
            raise ValueError("the token holds a character that no header can carry: it must be printable ASCII")
        headers["Authorization"] = f"Bearer {token}"
    return headers


def _cause(error: HTTPError) -> str:
    """Return what the system said: urllib3's own words lead with its objects."""
    return str(error.__cause__ or error.__context__ or error)


def _seconds(date: str) -> float | None:
    """Return the POSIX time of an HTTP date, None if it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
