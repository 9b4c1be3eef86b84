"""The client: a replica of a user's records that works offline, and synchronizes with a Mobync server.

Needs the extra ``client``.
"""

from mobync_core.replica.asynchronous import AsyncReplica
from mobync_core.replica.errors import (
    NotAuthenticated,
    ReplicaError,
    ServerRefused,
    ServerUnreachable,
    StoreError,
    SyncError,
    WrongOwner,
)
from mobync_core.replica.replica import Replica
from mobync_core.replica.results import Change, Progress, Report, Status, SyncResult
from mobync_core.replica.transport import HTTPTransport, Reply, Transport

__all__ = [
    "AsyncReplica",
    "Change",
    "HTTPTransport",
    "NotAuthenticated",
    "Progress",
    "Replica",
    "ReplicaError",
    "Reply",
    "Report",
    "ServerRefused",
    "ServerUnreachable",
    "Status",
    "StoreError",
    "SyncError",
    "SyncResult",
    "Transport",
    "WrongOwner",
]
