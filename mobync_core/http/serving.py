"""Serving an ASGI application with uvicorn. Needs the extra ``server``."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from types import FrameType
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from mobync_core.errors import MobyncError

_GRACE = 30  # seconds that requests under way have when the server is told to stop


class CannotListen(MobyncError):
    """The address cannot be listened on: it is taken, not this machine's, or not permitted."""


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address. Raises `CannotListen` if there is no such address."""
    return all(ip_address(str(info[4][0]).partition("%")[0]).is_loopback for info in _addresses(host, 0))


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, at a free port if `port` is 0. Raises `CannotListen`."""
    family, kind, protocol, _, address = _addresses(host, port)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot listen on {host} port {port}: {error.strerror}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the URL at which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: ASGIApp, listener: socket.socket, *, ready: Callable[[], None] = lambda: None, access_log: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM; then finish what is under way and return. For the main thread.

    `ready` is called once a signal would end it in good order.
    """
    server = _server(app, access_log=access_log)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True  # uvicorn raises the signal again when it is done

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    ready()
    server.run(sockets=[listener])


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve on a free port of the loopback address, in a thread, while the context lasts; yield the URL."""
    listener = listen("127.0.0.1", 0)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="mobync-server")
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start; its log says why")
            time.sleep(0.005)
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _addresses(host: str, port: int) -> list[Any]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    except OSError as error:
        raise CannotListen(f"there is no address {host}: {error.strerror}") from None


def _server(app: ASGIApp, *, access_log: bool = False) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="info" if access_log else "warning",
        access_log=access_log,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return uvicorn.Server(config)
