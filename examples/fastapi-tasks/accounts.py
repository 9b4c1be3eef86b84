"""Who is asking: passwords, and the tokens that a login gives."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from database import Database
from fastapi import APIRouter, Depends, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from models import User
from pydantic import BaseModel
from sqlalchemy import select

SECRET = os.environ.get("TASKS_SECRET") or secrets.token_hex(32)
"""What tokens are signed with. Where it is not set, they end with the process."""

_DAYS = 30

router = APIRouter()


class Credentials(BaseModel):
    name: str
    password: str


class Token(BaseModel):
    token: str


def hashed(password: str, salt: bytes | None = None) -> str:
    salt = salt or secrets.token_bytes(16)
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()}"


@router.post("/login")
def login(credentials: Credentials, database: Database) -> Token:
    user = database.scalar(select(User).where(User.name == credentials.name))
    if user is None or not _is_password(credentials.password, user.password):
        raise HTTPException(401, "there is no such user, or the password is another")
    claims = {"sub": str(user.id), "exp": datetime.now(UTC) + timedelta(days=_DAYS)}
    return Token(token=jwt.encode(claims, SECRET, algorithm="HS256"))


def current_user(bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())], database: Database) -> User:
    try:
        claims = jwt.decode(bearer.credentials, SECRET, algorithms=["HS256"], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError as error:
        raise HTTPException(401, "log in again") from error
    user = database.get(User, int(claims["sub"]))
    if user is None:
        raise HTTPException(401, "log in again")
    return user


CurrentUser = Annotated[User, Depends(current_user)]


def admin(user: CurrentUser) -> User:
    if not user.is_admin:
        raise HTTPException(403, "this is for admins")
    return user


def _is_password(password: str, stored: str) -> bool:
    return hmac.compare_digest(hashed(password, bytes.fromhex(stored.partition("$")[0])), stored)
