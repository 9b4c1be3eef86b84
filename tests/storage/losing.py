"""A server whose answers get lost, and short ways to a client of the tests' own."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import redis


def prefix_of(url: str) -> str:
    return url.partition("prefix=")[2]


def client_at(url: str, **options: Any) -> Any:
    return redis.Redis.from_url(url.partition("?")[0], **options)


class Losing:
    """A proxy that passes a request on, waits for the server's answer, and then cuts or stays silent."""

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.loses: bytes | None = None
        self.silent = False
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._server) as far:
            losing = threading.Event()
            threading.Thread(target=self._answer, args=(far, near, losing), daemon=True).start()
            try:
                while asked := near.recv(2**20):
                    if self.loses and self.loses in asked:
                        losing.set()
                    far.sendall(asked)
            except OSError:
                return

    def _answer(self, far: socket.socket, near: socket.socket, losing: threading.Event) -> None:
        try:
            while answer := far.recv(2**20):
                if losing.is_set():
                    self.lost += 1
                    if self.silent:
                        time.sleep(3)
                    break
                near.sendall(answer)
            near.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()
