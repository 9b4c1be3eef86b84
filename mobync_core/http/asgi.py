"""The endpoint as an ASGI application, to be served as it is or mounted in Starlette and FastAPI.

Needs the extra ``server``.
"""

from __future__ import annotations

from http import HTTPStatus

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

from mobync_core.engine import Mobync
from mobync_core.http.endpoint import Endpoint, OwnerOf, Response, failure

THREADS = 32


def asgi_app(mobync: Mobync, owner_of: OwnerOf, *, threads: int = THREADS) -> Starlette:
    """Return an application that answers ``POST /sync`` and ``GET /health``; for the rest see `Endpoint`.

    The engine blocks, so it runs in at most `threads` threads of its own; further requests wait for one.
    """
    face = _Face(Endpoint(mobync, owner_of), threads)
    app = Starlette(
        routes=[
            Route("/sync", face.sync, methods=["POST"]),
            Route("/health", face.health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _not_here},
    )
    app.router.redirect_slashes = False  # the published client follows no redirect, and others might leave TLS by one
    return app


class _Face:
    def __init__(self, endpoint: Endpoint, threads: int) -> None:
        self._endpoint = endpoint
        self._limiter = CapacityLimiter(threads)

    async def sync(self, request: Request) -> StarletteResponse:
        try:
            body = await _body(request, self._endpoint.request_bytes)
        except ClientDisconnect:
            return StarletteResponse(status_code=400)  # nobody is there to read it
        if body is None:
            return _answer(self._endpoint.too_large())
        authorization = request.headers.get("authorization")
        return _answer(await to_thread.run_sync(self._endpoint.handle, body, authorization, limiter=self._limiter))

    async def health(self, _request: Request) -> StarletteResponse:
        return _answer(await to_thread.run_sync(self._endpoint.health, limiter=self._limiter))


async def _body(request: Request, most: int) -> bytes | None:
    """Read the body, or return None once it is known to be too large."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length[:20]) > most:
        return None
    body = bytearray()
    async for chunk in request.stream():  # counted too: a chunked body has no length
        body += chunk
        if len(body) > most:
            return None
    return bytes(body)


def _answer(response: Response) -> StarletteResponse:
    return StarletteResponse(response.body, response.status, headers=dict(response.headers))


async def _not_here(_request: Request, error: Exception) -> StarletteResponse:
    """Answer a wrong path or method in the shape of every other error."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    return _answer(failure(status, code, "there are POST /sync and GET /health", error.headers))
