"""Offers ``lmdb:///directory`` to Mobync."""

import re
from collections.abc import Iterable
from urllib.parse import unquote

from mobync_core import Adapter, InvalidURL, Storage, hookimpl
from mobync_core.urls import redact


def open_lmdb(url: str) -> Storage:
    from mobync_lmdb.storage import LMDBStorage  # noqa: PLC0415 - who only looks for adapters needs no driver

    if not (match := re.fullmatch(r"(?i:lmdb)://(/[^/?#][^?#]*)(?:\?map_size=([0-9]{6,15}))?", url)):
        raise InvalidURL(f"{redact(url)} is no lmdb:///directory or lmdb:///directory?map_size=BYTES (over 99999)")
    return LMDBStorage(unquote(match[1]), map_size=int(match[2] or 16 * 2**30))


@hookimpl
def mobync_storage_adapters() -> Iterable[Adapter]:
    return [Adapter(name="lmdb", schemes=("lmdb",), open=open_lmdb, install="pip install mobync-lmdb")]
