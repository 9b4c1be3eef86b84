"""Turns errors of the driver and of the server into the storage's own."""

from __future__ import annotations

import re

from redis.exceptions import (
    AskError,
    ClusterError,
    ConnectionError,
    MovedError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from mobync_core.errors import SchemaError, StorageError, StorageUnavailable
from mobync_core.urls import redact

ERRORS = (RedisError, RedisClusterException, OSError)
"""All that a call may raise."""

_UNAVAILABLE = (
    ConnectionError,
    TimeoutError,
    OSError,
    ClusterError,
    RedisClusterException,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)

# Refusals that pass, or that the server's owner can mend. Those of a command in a script stand within a sentence.
_REFUSALS = re.compile(
    r"\b(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOREPLICAS|OOM|READONLY|TRYAGAIN|UNBLOCKED|WRONGPASS)\b"
)


def fault(name: str, error: Exception) -> StorageError:
    """What to raise for `error` of the server called `name`."""
    # A server that does not know a command quotes it, and the keys of people with it.
    message = f"{name}: {redact(str(error).partition(', with args')[0])}"
    if isinstance(error, MovedError | AskError) or str(error).startswith("MOVED "):
        return StorageError(f"{message} (a node of a cluster: open it as redis+cluster://)")
    if isinstance(error, _UNAVAILABLE) or _REFUSALS.search(str(error)):
        return StorageUnavailable(message)
    if str(error).startswith(("MOBYNC ", "WRONGTYPE ")):
        return SchemaError(f"{message} (another program may write under this prefix)")
    return StorageError(message)
