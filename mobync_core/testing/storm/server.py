"""The server of a storm, as its devices and its operator reach it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from mobync_core.engine import Mobync
from mobync_core.http.endpoint import Endpoint
from mobync_core.records import Entry, entry_of
from mobync_core.replica.transport import Reply
from mobync_core.storage import Commit, Snapshot, Storage
from mobync_core.testing.storm.installation import REFUSED, TOKEN


@dataclass(frozen=True, slots=True)
class Held:
    """What the server has of the owner: its records by id, tombstones among them."""

    clock: int
    records: dict[str, Entry]
    count: int

    def rows(self) -> dict[str, dict[str, Any]]:
        """The live records."""
        return {record: entry.values() for record, entry in self.records.items() if not entry.deleted}


class Server(Protocol):
    """One owner on a server.

    Whoever is not in the same process as the server knows no more of it than what devices are told: then `held`
    returns None, and there are no backups and no purges.
    """

    def post(self, body: bytes, token: str | None) -> Reply:
        """Answer a request as over HTTP. Raises `ServerUnreachable` if there is no answer."""

    def kill(self, body: bytes) -> None:
        """Kill the server under a request, and start it again."""

    def held(self) -> Held | None:
        """What the server has of the owner."""

    def backup(self) -> Snapshot | None:
        """Make a backup of the owner."""

    def restore(self, backup: Snapshot, *, renewed: bool) -> None:
        """Put a backup in the place of what there is."""

    def purge(self, before: int) -> None:
        """Remove the tombstones that are older than this UTC time in ms."""


class InProcess:
    """An engine on a storage, reached as over HTTP, but without a network. `now` is its time."""

    def __init__(self, storage: Storage, owner: str, now: Callable[[], int], *, refusing: bool) -> None:
        self._storage = storage
        self._owner = owner
        self._mobync = Mobync(storage, rules=_Rules() if refusing else None, setup=False, now=now)
        self._endpoint = Endpoint(self._mobync, {TOKEN: owner}.get)

    def post(self, body: bytes, token: str | None) -> Reply:
        response = self._endpoint.handle(body, f"Bearer {token}" if token else None)
        return Reply(response.status, {name.lower(): value for name, value in response.headers.items()}, response.body)

    def kill(self, body: bytes) -> None:
        raise NotImplementedError("a server of this process dies with it")

    def held(self) -> Held:
        held = self._storage.load(self._owner, since=0)
        return Held(held.clock, {record.id: entry_of(record) for record in held.changed}, len(held.changed))

    def backup(self) -> Snapshot:
        return self._storage.load(self._owner, since=0)

    def restore(self, backup: Snapshot, *, renewed: bool) -> None:
        self._storage.erase(self._owner)
        if backup.clock:
            commit = Commit(
                expected=0, clock=backup.clock, epoch=backup.epoch, purged=backup.purged, put=list(backup.changed)
            )
            self._storage.commit(self._owner, commit)
        if renewed:
            self._mobync.restored(prefix=self._owner)

    def purge(self, before: int) -> None:
        self._mobync.purge(before, owner=self._owner)


class _Rules:
    """Refuses the diffs whose ids say so."""

    def validate_create(self, owner_id: str, **diff: Any) -> bool:  # noqa: ARG002 - the engine's names
        return not diff["id"].startswith(REFUSED)

    validate_update = validate_create
    validate_delete = validate_create
