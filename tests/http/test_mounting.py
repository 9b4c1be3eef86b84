"""The endpoint in an application's own Flask or FastAPI, as the README shows it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from fastapi import FastAPI
from flask import Flask

from mobync_core import Mobync, Storage
from mobync_core.http.asgi import asgi_app
from mobync_core.http.flask import flask_blueprint
from mobync_core.http.serving import serving
from tests.http.conftest import OWNERS
from tests.http.posting import ask, diff, request
from tests.http.servers import serving_flask


def test_in_flask(memory: Storage) -> None:
    app = Flask(__name__)
    app.register_blueprint(flask_blueprint(Mobync(memory), OWNERS))

    @app.get("/")
    def home() -> str:
        return "the application's own"

    with serving_flask(app) as url:
        assert ask(url, request(diff(title="milk"))).json["logical_clock"] == 1
        assert ask(url, method="GET", path="/").body == b"the application's own"


def test_in_flask_elsewhere_and_twice(memory: Storage) -> None:
    app = Flask(__name__)
    mobync = Mobync(memory)
    app.register_blueprint(flask_blueprint(mobync, OWNERS), url_prefix="/v1")
    app.register_blueprint(flask_blueprint(mobync, OWNERS, name="next"), url_prefix="/v2")
    with serving_flask(app) as url:
        assert ask(url, request(), path="/v1/sync").status == 200
        assert ask(url, request(), path="/v2/sync").status == 200


def test_the_limit_of_the_flask_application_is_obeyed(memory: Storage) -> None:
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1000
    app.register_blueprint(flask_blueprint(Mobync(memory), OWNERS))
    with serving_flask(app) as url:
        answer = ask(url, request(diff(title="x" * 2000)))
    assert (answer.status, answer.json["code"]) == (413, "too_large")


def test_in_fastapi(memory: Storage) -> None:
    app = FastAPI()
    app.mount("/mobync", asgi_app(Mobync(memory), OWNERS))

    @app.get("/")
    def home() -> Any:
        return {"the application's": "own"}

    with serving(app) as url:
        assert ask(url, request(diff(title="milk")), path="/mobync/sync").json["logical_clock"] == 1
        assert ask(url, method="GET", path="/").json == {"the application's": "own"}
        wrong = ask(url, method="GET", path="/mobync/sync")
        assert (wrong.status, wrong.json["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("module", ["mobync_core", "mobync_core.http", "mobync_core.http.tokens"])
def test_what_needs_no_framework_imports_none(module: str) -> None:
    unwanted = ("starlette", "uvicorn", "flask", "fastapi", "click", "rich", "jwt", "anyio")
    code = f"import sys, {module}; print(*(name for name in {unwanted} if name in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == []
