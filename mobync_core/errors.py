"""Every error that Mobync raises on purpose.

::

    MobyncError
    ├── RequestError            a request that is refused as a whole; has `code` and HTTP `status`
    │   ├── InvalidData             400  the body could not be read
    │   ├── Unauthenticated         401  no owner for this token
    │   ├── WrongOwner              403  the token is another owner's than the client says
    │   ├── InvalidClock            409  the base is ahead of the server, or its epoch is another
    │   ├── ResyncRequired          410  the base is older than the oldest tombstone kept
    │   ├── TooLarge                413  the body is over the limit
    │   └── ServerBusy              503  the storage stayed in conflict or out of reach
    ├── RecordError             a write by the application that cannot be done
    │   ├── NoSuchObject            there is no live record of that id
    │   ├── ObjectExists            there is one already
    │   └── InvalidRecord           its name, id or a value is not one that devices could take
    ├── StorageError            what a storage may raise
    │   ├── ConflictError           the owner's clock is not the one that the commit expected
    │   ├── RecordRejected          the store refuses some records of a commit
    │   ├── StorageUnavailable      out of reach, or too slow to answer
    │   ├── StorageClosed           used after `close`
    │   └── SchemaError             the store holds what this version cannot work on
    └── AdapterError            no storage could be opened for a URL
        ├── InvalidURL
        ├── UnknownScheme
        ├── AmbiguousScheme
        ├── MissingDriver
        └── UnsupportedAdapter

Only tools and adapters have further ones, each beside its own: `mobync_core.http.tokens.TokenSourceError`,
`mobync_core.http.serving.CannotListen`, `mobync_core.demo.devices.DemoFailed`, and `mobync_sql.CannotCapture`, which
meets the application's own writes.

A diff that is refused raises nothing: the others are applied, and the outcome names its code
(protocol, "Refusals").
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar


class MobyncError(Exception):
    """The root of all errors of Mobync."""


class RequestError(MobyncError):
    """A request was refused as a whole and changed nothing.

    `code` is the protocol's error code, `status` the HTTP status that goes with it.
    """

    code: ClassVar[str]
    status: ClassVar[int]


class InvalidData(RequestError):
    """The request could not be understood."""

    code = "invalid_data"
    status = 400


class Unauthenticated(RequestError):
    """The token belongs to no owner."""

    code = "unauthenticated"
    status = 401


class WrongOwner(RequestError):
    """The token belongs to another owner than the one whose records the client says that it holds."""

    code = "wrong_owner"
    status = 403


class InvalidClock(RequestError):
    """The client has seen what this server does not have: an old backup was restored here."""

    code = "invalid_clock"
    status = 409


class ResyncRequired(RequestError):
    """Tombstones that the client still needs were purged; it must fetch the whole list."""

    code = "resync_required"
    status = 410


class TooLarge(RequestError):
    """The request is over a limit that concerns it as a whole."""

    code = "too_large"
    status = 413


class ServerBusy(RequestError):
    """The storage stayed in conflict or out of reach; nothing of the request was done, or all of it.

    Sending the same request again is safe, and the way to find out. `retry_after` is in seconds.
    """

    code = "server_busy"
    status = 503

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RecordError(MobyncError):
    """A write by the application could not be done; nothing was changed."""


class NoSuchObject(RecordError):
    """There is no live record of that model and id."""


class ObjectExists(RecordError):
    """There is a live record of that model and id already."""


class InvalidRecord(RecordError):
    """A model, an id, a field's name or a value is not one that every device could take."""


class StorageError(MobyncError):
    """A storage could not do what it was asked. Drivers' own errors are its cause, never raised bare."""


class ConflictError(StorageError):
    """The owner's clock was not the expected one, so the commit left no trace.

    Also what a storage raises for a deadlock, a serialization failure or a busy file: whatever
    goes away when the engine loads, merges and commits again.
    """


class RecordRejected(StorageError):
    """The store refuses some records of a commit, which left no trace.

    `reasons` maps (model, id) to a sentence that may be shown to the device's user, and `fields` some of them to the
    fields that are at fault. The engine refuses diffs of these records, the last first that set such a field,
    and merges again.
    """

    def __init__(
        self, reasons: Mapping[tuple[str, str], str], fields: Mapping[tuple[str, str], Collection[str]] | None = None
    ) -> None:
        super().__init__("; ".join(f"{model}/{id}: {why}" for (model, id), why in reasons.items()))
        self.reasons = dict(reasons)
        self.fields = dict(fields or {})


class StorageUnavailable(StorageError):
    """The store is out of reach or did not answer in time. A commit may or may not have been done."""


class StorageClosed(StorageError):
    """The storage was closed before: a fault of the program, which no waiting mends."""


class SchemaError(StorageError):
    """The store holds a layout that this version cannot work on, for one because it is newer."""


class AdapterError(MobyncError):
    """No storage could be opened for a URL. Its message never holds the URL's password."""


class InvalidURL(AdapterError):
    """The text is not a storage URL, or its adapter cannot make sense of it."""


class UnknownScheme(AdapterError):
    """No installed adapter claims the URL's scheme."""


class AmbiguousScheme(AdapterError):
    """Two installed adapters claim the URL's scheme."""


class MissingDriver(AdapterError):
    """The adapter is there, but a module that it needs is not installed."""


class UnsupportedAdapter(AdapterError):
    """The adapter was written for another version of the storage contract."""
