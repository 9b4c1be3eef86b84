"""Turns what pymongo raises into the storage's own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    DocumentTooLarge,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
)

from mobync_core.errors import ConflictError, StorageClosed, StorageError, StorageUnavailable
from mobync_core.urls import redact

SECONDS = 20
"""How long one command may take, with every retry of the driver, unless the client has a `timeoutMS`."""

DUPLICATE = 11000

CONFLICT = 112  # WriteConflict
OUT_OF_REACH = {
    6,  # HostUnreachable
    7,  # HostNotFound
    18,  # AuthenticationFailed
    24,  # LockTimeout
    46,  # LockBusy
    50,  # MaxTimeMSExpired
    63,  # StaleShardVersion
    64,  # WriteConcernFailed, such as wtimeout
    89,  # NetworkTimeout
    91,  # ShutdownInProgress
    133,  # FailedToSatisfyReadPreference
    134,  # ReadConcernMajorityNotAvailableYet
    189,  # PrimarySteppedDown
    202,  # NetworkInterfaceExceededTimeLimit
    262,  # ExceededTimeLimit
    9001,  # SocketException
    10107,  # NotWritablePrimary
    11600,  # InterruptedAtShutdown
    11602,  # InterruptedDueToReplStateChange
    13388,  # StaleConfig
    13435,  # NotPrimaryNoSecondaryOk
    13436,  # NotPrimaryOrSecondary
    14031,  # OutOfDiskSpace
}


@contextmanager
def faults(name: str, seconds: float, client: MongoClient[Any]) -> Iterator[None]:
    """Around one command to the database called `name`, which is out of reach if the command takes longer.

    Messages are rebuilt, and errors of the server not chained: their text quotes names and bodies of people.
    """
    try:
        # The driver knows, or waits for a primary as long as serverSelectionTimeoutMS says. With directConnection it
        # would read from a secondary as well.
        with pymongo.timeout(min(seconds, client.options.server_selection_timeout)):
            is_primary = client.is_primary
        if not is_primary:
            raise StorageUnavailable(f"{name}: this member is no primary")
        with pymongo.timeout(seconds):
            yield
    except ConnectionFailure as error:
        # Without the description of the whole topology, which says the same at length.
        message = str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0]
        raise StorageUnavailable(f"{name}: {redact(message) or type(error).__name__}") from error
    except OperationFailure as error:
        raise _refused(name, error) from None
    except InvalidOperation as error:
        if "after close" in str(error):
            raise StorageClosed(f"{name} is closed") from error
        raise StorageError(f"{name}: {type(error).__name__}") from None
    except DocumentTooLarge:
        raise StorageError(f"{name} cannot hold a record or a note of 16 MiB or more") from None
    except (BSONError, UnicodeError, OverflowError) as error:
        raise StorageError(f"{name} cannot hold this: {type(error).__name__}") from None
    except ConfigurationError as error:  # DNS of mongodb+srv, or a server that is too old
        raise StorageUnavailable(f"{name}: {redact(str(error))}") from None
    except PyMongoError as error:
        kind = StorageUnavailable if error.timeout else StorageError
        raise kind(f"{name}: {type(error).__name__}") from None


def codes_of(error: OperationFailure) -> set[int]:
    """The codes of all that the server refused in one command."""
    found = {error.code} if error.code is not None else set()
    if isinstance(error, BulkWriteError):
        details = error.details
        found = {fault["code"] for fault in details["writeErrors"] + details["writeConcernErrors"]}
    return found


def _refused(name: str, error: OperationFailure) -> StorageError:
    codes = codes_of(error)
    kind = StorageError
    if codes & OUT_OF_REACH or error.timeout or error.has_error_label("RetryableWriteError"):
        kind = StorageUnavailable
    elif CONFLICT in codes:
        kind = ConflictError
    word = (error.details or {}).get("codeName") or type(error).__name__
    return kind(f"{name}: the server refused a command: {word} (code {', '.join(map(str, sorted(codes)))})")
