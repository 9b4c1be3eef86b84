"""The endpoint of a sync, for any web framework: bytes in, a status, headers and bytes out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import TypeAlias

import msgspec

from mobync_core import wire
from mobync_core.engine import Mobync
from mobync_core.errors import RequestError, ServerBusy, TooLarge, Unauthenticated
from mobync_core.limits import identifier_fault

logger = logging.getLogger("mobync")

OwnerOf: TypeAlias = Callable[[str], str | None]
"""Tells whose token this is: an owner, or None if it is nobody's.

It is called in the thread that handles the request, from many at once, and may block. It may raise `Unauthenticated`
with a message for the device, or `ServerBusy` if it cannot find out now.
"""

JSON = "application/json; charset=utf-8"  # without the charset, the published client reads latin-1
_HEALTH_OWNER = "mobync:health"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Response:
    """What to answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Endpoint:
    """Answers the requests of devices with `mobync`, for the owner that `owner_of` finds for their token.

    The token is that of an ``Authorization: Bearer`` header or else the body's `auth_token`. A Bearer header alone
    counts where there are both: it is what proxies and gateways check. Another scheme than Bearer is left to them.

    Nothing raises: every error becomes a response of the protocol's codes, and what nobody foresaw one of status 500
    and code ``internal_error``, with the traceback in the log ``mobync`` and not in the answer.
    """

    def __init__(self, mobync: Mobync, owner_of: OwnerOf) -> None:
        if not isinstance(mobync, Mobync):
            raise TypeError(f"mobync must be a Mobync, not a {type(mobync).__name__}")
        if not callable(owner_of) or iscoroutinefunction(owner_of):
            raise TypeError("owner_of must be a function of a token, and not async: it runs in a thread")
        self._mobync = mobync
        self._owner_of = owner_of

    @property
    def request_bytes(self) -> int:
        """The size in bytes above which a body need not be read to its end: answer `too_large()`."""
        return self._mobync.limits.request_bytes

    def handle(self, body: bytes, authorization: str | None = None) -> Response:
        """Answer ``POST /sync`` with this body and, if the request has it, this Authorization header."""
        try:
            return Response(200, {"Content-Type": JSON}, wire.encode_response(self._sync(body, authorization)))
        except ServerBusy as busy:
            logger.warning("a sync had to be put off: %s", busy)  # it may name hosts, which are not for devices
            seconds = str(busy.retry_after)
            message = "the server cannot reach its data now; send the same request again later"
            return failure(busy.status, busy.code, message, {"Retry-After": seconds})
        except RequestError as error:
            return failure(error.status, error.code, str(error))
        except Exception:
            logger.exception("a sync failed")
            return failure(500, "internal_error", "the server failed at this request; its log says why")

    def health(self) -> Response:
        """Answer ``GET /health``: 200 if the storage can be read, else 503 or 500 as `handle` would."""
        try:
            next(self._mobync.records(_HEALTH_OWNER, "health"), None)
        except ServerBusy as busy:
            logger.warning("the storage is not well: %s", busy)
            seconds = str(busy.retry_after)
            return failure(busy.status, busy.code, "the storage is out of reach", {"Retry-After": seconds})
        except Exception:
            logger.exception("the storage is not well")
            return failure(500, "internal_error", "the storage cannot be read; the server's log says why")
        return Response(200, {"Content-Type": JSON}, _encode({"success": True, "message": ""}))

    def too_large(self) -> Response:
        """Answer a body of more than `request_bytes`, and close the connection rather than read on."""
        error = self._too_large()
        return failure(error.status, error.code, str(error), {"Connection": "close"})

    def _sync(self, body: bytes, authorization: str | None) -> wire.SyncResponse:
        if len(body) > self.request_bytes:
            raise self._too_large()
        token = _bearer(authorization)
        if token is not None:
            owner = self._owner(token)  # before the work of reading a stranger's body
            request = wire.decode_request(body)
        else:
            request = wire.decode_request(body)
            owner = self._owner(request.auth_token)
        return self._mobync.sync(owner, request)

    def _owner(self, token: str | None) -> str:
        if not token:
            raise Unauthenticated("a token is needed: as auth_token in the body, or as Authorization: Bearer")
        owner = self._owner_of(token)
        if owner is None:
            raise Unauthenticated("this token is nobody's")
        if fault := identifier_fault(owner):
            raise ValueError(f"the owner found for a token {fault}")
        return owner

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body has more than {self.request_bytes} bytes")


def failure(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response that says no, in the protocol's shape."""
    body = _encode({"success": False, "code": code, "message": message})
    return Response(status, {"Content-Type": JSON, **(headers or {})}, body)


def _bearer(authorization: str | None) -> str | None:
    """Return the token of an Authorization header, "" if it has none; None if it is of another scheme, or absent."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
