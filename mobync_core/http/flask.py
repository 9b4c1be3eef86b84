"""The endpoint as a Flask blueprint."""

from __future__ import annotations

from flask import Blueprint, request
from flask import Response as FlaskResponse
from werkzeug.exceptions import RequestEntityTooLarge

from mobync_core.engine import Mobync
from mobync_core.http.endpoint import Endpoint, OwnerOf, Response, failure

_ALL = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def flask_blueprint(mobync: Mobync, owner_of: OwnerOf, *, name: str = "mobync") -> Blueprint:
    """Return a blueprint that answers ``POST /sync`` and ``GET /health``; for the rest see `Endpoint`.

    Register it under a `url_prefix` to have them elsewhere. `name` is the blueprint's, one per application. A smaller
    `MAX_CONTENT_LENGTH` of the application than the limit on a request's size is obeyed.
    """
    endpoint = Endpoint(mobync, owner_of)
    blueprint = Blueprint(name, __name__)

    # Flask would answer another method itself, in HTML.
    @blueprint.route("/sync", methods=_ALL)
    def sync() -> FlaskResponse:
        if request.method != "POST":
            return _wrong_method("POST")
        if (request.content_length or 0) > endpoint.request_bytes:
            return _answer(endpoint.too_large())
        try:
            body = request.stream.read(endpoint.request_bytes + 1)
        except RequestEntityTooLarge:
            return _answer(failure(413, "too_large", "the body is over this application's limit"))
        return _answer(endpoint.handle(body, request.headers.get("Authorization")))

    @blueprint.route("/health", methods=_ALL)
    def health() -> FlaskResponse:
        return _answer(endpoint.health()) if request.method in ("GET", "HEAD") else _wrong_method("GET")

    return blueprint


def _answer(response: Response) -> FlaskResponse:
    return FlaskResponse(response.body, response.status, headers=dict(response.headers))


def _wrong_method(allowed: str) -> FlaskResponse:
    message = f"the method must be {allowed}"
    return _answer(failure(405, "method_not_allowed", message, {"Allow": allowed}))
