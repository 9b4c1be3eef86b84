"""A web application for tasks, whose users have them offline on their devices too. See README.md."""

from __future__ import annotations

import accounts
import admin
import sync
import web
from database import engine
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from models import Base
from sqlalchemy.exc import DataError, IntegrityError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

Base.metadata.create_all(engine)

app = FastAPI(title="Tasks")
for part in (accounts, web, admin):
    app.include_router(part.router)
app.mount("/mobync", sync.endpoint())  # POST /mobync/sync


@app.exception_handler(IntegrityError)
@app.exception_handler(DataError)
def not_taken(_request: Request, _error: Exception) -> JSONResponse:
    return _failure(409, "the database does not take this: a name is taken, a value not allowed, or a project gone")


@app.exception_handler(StaleDataError)
def gone(_request: Request, _error: Exception) -> JSONResponse:
    return _failure(409, "somebody else has removed this meanwhile")


@app.exception_handler(OperationalError)
def busy(_request: Request, _error: Exception) -> JSONResponse:
    return _failure(503, "the database is busy or out of reach: try again")


def _failure(status: int, detail: str) -> JSONResponse:
    return JSONResponse({"detail": detail}, status)
