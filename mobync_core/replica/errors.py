"""What a replica raises on purpose, beside the `RecordError` of an edit that cannot be made.

::

    MobyncError
    └── ReplicaError
        ├── StoreError              the store is no replica's, of a newer version, locked or not writable
        └── SyncError               a sync did not end; what is pending stays so, and the next goes on
            ├── ServerUnreachable       no whole answer came; the server may have done what was asked
            └── ServerRefused           it answered with an error; has `status`, `code` and `retry_after`
                ├── NotAuthenticated        401  the token is nobody's
                └── WrongOwner              403  the token is another owner's than the one whose records are held here
"""

from __future__ import annotations

from mobync_core.errors import MobyncError


class ReplicaError(MobyncError):
    """The root of the errors of a replica."""


class StoreError(ReplicaError):
    """The store cannot be used: it is no replica's, of a newer version, locked or not writable."""


class SyncError(ReplicaError):
    """A sync did not end. What is pending stays pending, and what was received whole is kept."""


class ServerUnreachable(SyncError):
    """No whole answer came. The server may or may not have done what was asked; asking again is safe."""


class ServerRefused(SyncError):
    """The server answered that it will not, or in a way that no Mobync server does.

    `status` is the HTTP status; `code` the protocol's error code, "" if it named none; `message` what it said;
    `retry_after` the seconds that it asks to wait, None if it asks nothing.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"the server refused ({status}{' ' if code else ''}{code}): {message}")
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after


class NotAuthenticated(ServerRefused):
    """The token is nobody's, or not anymore: the user has to log in again."""


class WrongOwner(ServerRefused):
    """The token is another owner's than the one whose records this store holds. Nothing was sent or changed."""
