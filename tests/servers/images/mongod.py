"""Runs in the image: SecantusDB in the place of mongod, with the first user that the official image would make."""

import os
import sys
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from secantus import SecantusDBServer  # type: ignore[import-untyped]
from secantus.cli import main  # type: ignore[import-untyped]

DATA = Path("/srv/mongodb")
MADE = DATA.with_name("mongodb-has-its-user")


def make_user(name: str, password: str) -> None:
    # Without --auth, and where nobody else comes by: as the official image does it.
    with (
        SecantusDBServer(host="127.0.0.1", port=27018, storage_path=str(DATA), sync_on_commit=True) as server,
        MongoClient[dict[str, Any]](server.uri) as client,
    ):
        client.admin.command("createUser", name, pwd=password, roles=["root"])
    MADE.touch()


if __name__ == "__main__":
    if not MADE.exists():
        make_user(os.environ["MONGO_INITDB_ROOT_USERNAME"], os.environ["MONGO_INITDB_ROOT_PASSWORD"])
    testing = ["--enable-test-commands"] if "enableTestCommands=1" in sys.argv else []
    sys.argv[1:] = ["--host", "0.0.0.0", "--port", "27017", "--storage-path", str(DATA), "--sync-on-commit", "--auth"]
    sys.argv += testing
    sys.exit(main())
