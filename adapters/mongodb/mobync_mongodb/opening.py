"""Opens a storage by its URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

from pymongo import MongoClient
from pymongo.errors import ConfigurationError, InvalidName
from pymongo.uri_parser import split_options

from mobync_core.errors import InvalidURL
from mobync_core.urls import redact
from mobync_mongodb.storage import MongoStorage

CLIENT_OPTIONS = {
    "appname": "mobync",
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
    "waitQueueTimeoutMS": 10_000,
}
"""What the driver is told where the URL says nothing; times are in ms."""


def open_mongodb(url: str) -> MongoStorage:
    """Open the database that `url` names, ``mobync`` if it names none, without `setup`; `close` closes its client.

    Forms: ``mongodb://user:password@host:port,host:port/database``, ``mongodb+srv://user:password@host/database``;
    options as MongoDB knows them follow a ``?``. Nothing connects yet. Raises `InvalidURL`.
    """
    scheme, _, rest = url.partition("://")
    url = f"{scheme.lower()}://{rest}"  # as Mobync tells schemes apart, and the driver does not
    given = {option.partition("=")[0].lower() for option in url.partition("?")[2].replace(";", "&").split("&")}
    options: dict[str, Any] = {name: value for name, value in CLIENT_OPTIONS.items() if name.lower() not in given}

    def client() -> MongoClient[dict[str, Any]]:
        return MongoClient(url, connect=False, **options)

    place, _, query = url.partition("?")
    try:
        split_options(query, validate=True, warn=False) if query else None
        database = place.partition("://")[2].partition("/")[2]
        if "@" in database:
            raise ValueError("@")
        if "." in unquote_plus(database):
            raise ValueError("the name of a database has no dot")
        return MongoStorage(client(), owns_client=True, reopen=client)
    except (ConfigurationError, InvalidName, TypeError, ValueError, OSError) as error:
        # Their texts may quote a part of the password, and so may the errors that they are chained to.
        raise InvalidURL(f"{redact(url)} cannot be opened: {_hint(error)}") from None


def _hint(error: Exception) -> str:
    text = redact(str(error))
    if "@" in text or "RFC 3986" in text:
        return "it should be as mongodb://user:***@host:27017/name, with %, @, : and / percent-encoded in the password"
    return text
