"""A storage and devices whose whole state can be taken, compared, and put back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from random import Random
from typing import Any, Protocol, TypeAlias

from mobync_core.errors import ConflictError
from mobync_core.replica import Replica
from mobync_core.replica.errors import ServerUnreachable
from mobync_core.replica.transport import Reply
from mobync_core.storage import Commit, Key, Note, Record, Snapshot
from mobync_core.testing.dart import DartDevice

Post: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_TABLES = (
    'SELECT mode, clock, "cursor", page, epoch, owner FROM replica',
    "SELECT * FROM records ORDER BY model, id",
    "SELECT * FROM staged ORDER BY model, id",
    "SELECT * FROM drafts ORDER BY model, id",
    "SELECT id, type, data, timestamp, clock, life, state, offer, unseen FROM queue ORDER BY seq",
)


@dataclass(frozen=True, slots=True)
class Held:
    """What a storage has of its only owner."""

    clock: int = 0
    purged: int = -1
    records: frozenset[Record] = frozenset()


class ClonedStorage:
    """A storage of one owner, which has its epoch from the start. `held` is its whole state."""

    def __init__(self) -> None:
        self.held = Held()

    def setup(self) -> None:
        pass

    def load(self, _owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.held
        changed = sorted((one for one in held.records if one.clock >= since), key=attrgetter("clock"))
        return Snapshot(
            held.clock, "epoch", held.purged, changed[:limit], [one for one in held.records if one.key in keys]
        )

    def commit(self, _owner: str, commit: Commit) -> None:
        if commit.expected != self.held.clock:
            raise ConflictError("the owner's clock is another")
        gone = {record.key for record in commit.put} | set(commit.remove)
        kept = frozenset(record for record in self.held.records if record.key not in gone)
        self.held = Held(commit.clock, commit.purged, kept | frozenset(commit.put))

    def notes(
        self,
        _owner: str,
        _kind: str,
        *,
        prefix: str = "",  # noqa: ARG002 - the contract's names
        after: str = "",  # noqa: ARG002
        limit: int | None = None,  # noqa: ARG002
    ) -> Iterator[Note]:
        return iter(())

    def owners(self, *, prefix: str = "") -> Iterator[str]:  # noqa: ARG002
        return iter(())

    def erase(self, _owner: str) -> None:
        self.held = Held()

    def close(self) -> None:
        pass


class Clonable(Protocol):
    """A device of which `save` takes the state and `load` puts it back; equal states have equal `key`s."""

    def save(self) -> object: ...
    def load(self, saved: Any) -> None: ...
    def key(self) -> Hashable: ...
    def row(self, record: str) -> dict[str, str] | None: ...
    def told_row(self, record: str) -> dict[str, str] | None: ...
    def write(self, record: str, fields: Mapping[str, str], *, create: bool) -> None: ...
    def delete(self, record: str) -> None: ...
    def sync(self, *, lose: bool = False) -> None: ...


class DartClone:
    """The model of the published client."""

    def __init__(self, post: Post, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._post = post
        self._dart = DartDevice("", now=now, random=Random(1), new_id=new_id)

    def save(self) -> object:
        return self._dart.save()

    def load(self, saved: Any) -> None:
        self._dart.load(saved)

    def key(self) -> Hashable:
        clock, rows, diffs = self._dart.save()
        return clock, tuple((key, tuple(row.items())) for key, row in rows.items()), frozenset(diffs.values())

    def row(self, record: str) -> dict[str, str] | None:
        return self._dart.rows.get(("todo", record))

    def told_row(self, record: str) -> dict[str, str] | None:
        return self.row(record)

    def write(self, record: str, fields: Mapping[str, str], *, create: bool) -> None:
        if create:
            self._dart.create("todo", record, fields)
        else:
            self._dart.update("todo", record, fields)

    def delete(self, record: str) -> None:
        self._dart.delete("todo", record)

    def sync(self, *, lose: bool = False) -> None:
        answer = self._post(self._dart.request())
        if not lose:
            self._dart.receive(answer)


class ReplicaClone:
    """A replica, with its store in memory."""

    def __init__(self, post: Post, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._post = post
        self._loses = False
        self._store = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._store.execute("PRAGMA page_size = 512")  # there are many copies of it
        self._replica = Replica(self._store, self, now=now, new_id=new_id)

    def post(self, body: bytes, token: str | None) -> Reply:  # noqa: ARG002 - there is one owner
        answer = self._post(json.loads(body))
        if self._loses:
            raise ServerUnreachable("the answer is lost")
        return Reply(200, {}, json.dumps(answer).encode())

    def close(self) -> None:
        pass

    def save(self) -> object:
        return self._store.serialize()

    def load(self, saved: Any) -> None:
        self._store.deserialize(saved)

    def key(self) -> Hashable:
        return tuple(tuple(self._store.execute(query)) for query in _TABLES)

    def row(self, record: str) -> dict[str, str] | None:
        row = self._replica.get("todo", record)
        return None if row is None else {name: value for name, value in row.items() if name != "id"}

    def told_row(self, record: str) -> dict[str, str] | None:
        held = self._store.execute("SELECT fields FROM records WHERE id = ?", (record,)).fetchone()
        told: dict[str, str] | None = json.loads(held[0]) if held and held[0] else None
        return told

    def write(self, record: str, fields: Mapping[str, str], *, create: bool) -> None:
        if create:
            self._replica.create("todo", {"id": record, **fields})
        else:
            self._replica.update("todo", record, fields)

    def delete(self, record: str) -> None:
        self._replica.delete("todo", record)

    def sync(self, *, lose: bool = False) -> None:
        self._loses = lose
        try:
            self._replica.synchronize()
        except ServerUnreachable:
            if not lose:
                raise
        finally:
            self._loses = False
