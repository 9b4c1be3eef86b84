"""A TCP proxy on loopback between a storage and its server, to take the server away without touching it."""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class NoWay(ValueError):
    """No proxy can be put where the URL leads; the message says why."""


class Proxy:
    """Passes bytes on, until it is told to do otherwise. Its port stays the same."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._ends: set[socket.socket] = set()
        self._servers: set[socket.socket] = set()
        self._thaw = threading.Event()
        self._thaw.set()
        self._lose_after: int | None = None
        self._lose_most: int | None = None
        self._ended = False
        self.answers = 0
        """How many pieces came from the server."""
        self.lost = 0
        """How many of them were lost since `lose_answers`."""
        self._start()

    def refuse(self) -> None:
        """Close all connections and refuse new ones, as if the server were gone."""
        self._listener.close()
        self._cut()

    def accept(self) -> None:
        """Be there again."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._start()

    def freeze(self) -> None:
        """Accept connections and say nothing on them or on those there are, as a server that hangs does."""
        self._thaw.clear()

    def thaw(self) -> None:
        self._thaw.set()

    def lose_answers(self, after: int | None, *, most: int | None = None) -> None:
        """Close the connection in place of each answer that follows the next `after` ones, of `most` of them.

        None: never, and of all of them.
        """
        with self._lock:
            self.lost = 0
            self._lose_most = most
            self._lose_after = None if after is None else self.answers + after

    def close(self) -> None:
        self._ended = True
        self._thaw.set()
        self._listener.close()
        self._cut()

    def _start(self) -> None:
        threading.Thread(target=self._listen, args=(self._listener,), daemon=True).start()

    def _listen(self, listener: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(listener, selectors.EVENT_READ)
                while True:
                    # A blocked `accept` would keep a closed listener's port taken.
                    if not selector.select(0.05):
                        if listener.fileno() < 0:
                            return
                        continue
                    client, _ = listener.accept()
                    self._connect(client)
            except (OSError, ValueError):
                return  # the listener was closed

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=10)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._ends |= {client, server}
            self._servers.add(server)
        for ends in ((client, server), (server, client)):
            threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one end is gone: so is the other now
            while piece := source.recv(65536):
                self._thaw.wait()
                if source in self._servers and self._is_to_be_lost():
                    break
                target.sendall(piece)
        self._end(source, target)

    def _is_to_be_lost(self) -> bool:
        with self._lock:
            self.answers += 1
            lost = self._lose_after is not None and self.answers > self._lose_after
            if self._lose_most is not None and self.lost >= self._lose_most:
                lost = False
            self.lost += lost
            return lost

    def _cut(self) -> None:
        with self._lock:
            ends = list(self._ends)
        self._end(*ends)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):  # it was ended from the other side
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            with self._lock:
                self._ends.discard(end)
                self._servers.discard(end)


@contextmanager
def proxied(url: str) -> Iterator[tuple[str, Proxy]]:
    """Put a proxy before the server of `url`; yield the URL that leads through it. Raises `NoWay`."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    if not place:
        raise NoWay("the URL names no server")
    if "," in place or "cluster" in parts.scheme or parts.scheme.endswith("+srv"):
        raise NoWay("the client of several servers goes around a proxy to those that they name")
    if parts.hostname is None or parts.port is None:
        raise NoWay("the URL must name the server's port, so that a proxy can be put before it")
    proxy = Proxy(parts.hostname, parts.port)
    try:
        login = parts.netloc.removesuffix(place)
        yield parts._replace(netloc=f"{login}127.0.0.1:{proxy.port}").geturl(), proxy
    finally:
        proxy.close()
