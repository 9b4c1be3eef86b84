"""Real servers whose answers a test chooses, well formed or not."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias


@dataclass(frozen=True)
class Heard:
    """A request. `peer` is the client's port: another for each connection."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    peer: int


@dataclass(frozen=True)
class Say:
    """An answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"


Script: TypeAlias = Callable[[Heard], Say]


@dataclass(frozen=True)
class Scripted:
    """A server that runs."""

    url: str
    heard: list[Heard]


@contextmanager
def scripted(script: Script, *, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Scripted]:
    """Answer each POST as `script` says; connections are kept open."""
    heard: list[Heard] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard.append(Heard(self.path, headers, body, self.client_address[1]))
            say = script(heard[-1])
            self.send_response_only(say.status)
            for name, value in {"Content-Length": str(len(say.body)), **say.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(say.body)

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # a SYN that finds no place is sent again after a second
        daemon_threads = True  # a connection that is kept would be waited for

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that go away."""

    server = Server(("127.0.0.1", port), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Scripted(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", heard)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def blurting(said: bytes) -> Iterator[str]:
    """Answer each request with these bytes, and close the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # the listener was shut down
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):  # the client went away
                        connection.recv(65536)
                        connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
