"""Real servers for tests: the endpoint behind uvicorn and behind Flask's own, on free ports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

from flask import Flask
from werkzeug.serving import make_server

from mobync_core import Mobync
from mobync_core.http import OwnerOf
from mobync_core.http.asgi import asgi_app
from mobync_core.http.flask import flask_blueprint
from mobync_core.http.serving import serving

Face: TypeAlias = Callable[[Mobync, OwnerOf], AbstractContextManager[str]]
"""Serves an engine in a way of its own, and tells the URL."""


def asgi(mobync: Mobync, owner_of: OwnerOf) -> AbstractContextManager[str]:
    return serving(asgi_app(mobync, owner_of))


def flask(mobync: Mobync, owner_of: OwnerOf) -> AbstractContextManager[str]:
    app = Flask(__name__)
    app.register_blueprint(flask_blueprint(mobync, owner_of))
    return serving_flask(app)


@contextmanager
def serving_flask(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
