"""A Flask server that syncs tables in SQL. See README.md."""

from __future__ import annotations

import os
from typing import Any

import sqlalchemy as sa
from flask import Flask, request
from flask.typing import ResponseReturnValue
from tables import Implementation, connect, metadata
from werkzeug.exceptions import HTTPException

from mobync_core import InvalidData, Mobync, NoSuchObject, ObjectExists, RecordError, RequestError
from mobync_core.http.flask import flask_blueprint

app = Flask(__name__)
engine = connect(os.environ.get("DATABASE_URL", "sqlite:///example.db"))
mobync = Mobync(Implementation(engine))


def owner_of(token: str) -> str | None:
    """Tell whose token this is. Here it is the owner's name: ask your sessions instead."""
    return token


app.register_blueprint(flask_blueprint(mobync, owner_of))  # POST /sync


@app.get("/list-db")
def list_db() -> ResponseReturnValue:
    with engine.connect() as connection:
        return {
            name: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for name, table in metadata.tables.items()
        }


@app.post("/add-item")
def add_item() -> ResponseReturnValue:
    owner, where, data = asked("owner", str), asked("where", str), asked("data", dict)
    check_table(where)
    return mobync.create(owner, where, data), 201


@app.post("/delete-item")
def delete_item() -> ResponseReturnValue:
    owner, where, record = asked("owner", str), asked("where", str), asked("id", str)
    check_table(where)
    mobync.delete(owner, where, record)
    return {"success": True, "message": ""}


def asked(name: str, kind: type) -> Any:
    """Return a part of the request's JSON. Raises `InvalidData` if it is missing or of another type."""
    body = request.get_json(force=True, silent=True)  # whatever its Content-Type, as /sync does
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, kind):
        raise InvalidData(f"the body must be a JSON object with {name!r}, a {kind.__name__}")
    return value


def check_table(name: str) -> None:
    if name == "diffs" or name not in metadata.tables:
        raise InvalidData(f"there is no table {name!r} to write to")


@app.errorhandler(RequestError)
def refused(error: RequestError) -> ResponseReturnValue:
    return failure(error.status, error.code, str(error))


@app.errorhandler(RecordError)
def not_done(error: RecordError) -> ResponseReturnValue:
    if isinstance(error, NoSuchObject):
        return failure(404, "no_such_object", str(error))
    return failure(409 if isinstance(error, ObjectExists) else 400, "invalid_data", str(error))


@app.errorhandler(HTTPException)
def no_page(error: HTTPException) -> ResponseReturnValue:
    codes = {404: "not_found", 405: "method_not_allowed", 500: "internal_error"}
    return failure(error.code or 500, codes.get(error.code or 500, "invalid_data"), error.description or error.name)


def failure(status: int, code: str, message: str) -> ResponseReturnValue:
    return {"success": False, "code": code, "message": message}, status
