"""The storage contract: all that the engine asks of a store.

A storage keeps, per owner, a clock and a set of records. It stores the records, orders them by
their clock, and compares clocks; it understands nothing of what a record's `body` says. All
its writes go through one call, `commit`, a compare-and-commit on the owner's clock: the one shape that
is honestly atomic on SQL, on a standalone document store and on a sharded key-value store alike.

The contract's version is `mobync_core.Adapter.api`. What is added to it later is keyword-only and
defaulted, so that an adapter written today goes on working.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

Key: TypeAlias = tuple[str, str]
"""(model, id): what names a record within its owner."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of an owner, live or a tombstone, however often it was changed.

    `model` and `id` are 1 to 255 bytes of UTF-8 without NUL, and are compared byte by byte. `clock` is when it last
    changed; no two records of an owner share one. `changed_at` is the server's UTC time of that change in
    ms, for people and purges, never for order. `body` is opaque JSON text, up to the application's limit
    on records (1 MiB unless it says otherwise), without NUL, which must come back as it was.
    """

    model: str
    id: str
    clock: int
    deleted: bool
    changed_at: int
    body: str

    @property
    def key(self) -> Key:
        return self.model, self.id


@dataclass(frozen=True, slots=True)
class Note:
    """What a commit leaves beside the records, such as history or a parked diff. Never read by `load`.

    `kind` is 1 to 32 bytes of ASCII, `key` 1 to 1,024 bytes of UTF-8, `body` opaque text; none holds a NUL. A note
    replaces one of the same (owner, kind, key).
    """

    kind: str
    key: str
    body: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What the application wrote past Mobync, into a table of its own; see `OwnTables`.

    `fields` are those of the row as it is now, without nulls; None if the owner has no such row. `at` is the UTC time
    in ms of the last such write, `marks` what the storage keeps of these writes until a commit has them in `folded`.
    """

    model: str
    id: str
    at: int
    fields: Mapping[str, Any] | None
    marks: Sequence[str]

    @property
    def key(self) -> Key:
        return self.model, self.id


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an owner held at one moment.

    `clock` is the next clock (0 for an owner never seen), `epoch` a random id made with the owner ("" for one
    never seen), `purged` the greatest clock of a tombstone that was removed (-1: none was).

    `changed` are the records whose clock is at or after the `since` of the load, by clock, cut at its
    `limit`. `named` are the records of its `keys` that exist, in any order; a record may be in both. `outside` is what
    a storage of `OwnTables` knows the application to have written before that moment and the records lack, or the first
    of it; each row is as new as its marks, or newer.
    """

    clock: int
    epoch: str
    purged: int
    changed: Sequence[Record]
    named: Sequence[Record] = ()
    outside: Sequence[Outside] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One change of an owner, done whole or not at all.

    `expected` and `epoch` are the clock and the epoch that the owner must have. An owner never seen, or erased,
    has the clock 0 and any epoch, and gets this one: so a commit that was merged before an erasure conflicts
    after it, even if the owner's clock has come to the same number again. `clock` is the new clock, always
    greater; `purged` replaces the owner's; `renew`, unless "", replaces the epoch.

    `put` are records to write, new or not, with clocks before `clock` (one whose body alone changed keeps its clock);
    `remove` the keys of records to forget without a tombstone. No key is in both. `notes` are to be written, `forget`
    are the (kind, key) of notes to remove.

    `folded`, for `OwnTables` alone, are the marks of what the application wrote and the records now have. Such a commit
    writes no rows, which may be newer already. If it puts nothing, `clock` is `expected`: only the marks go.
    """

    expected: int
    clock: int
    epoch: str
    renew: str = ""
    purged: int = -1
    put: Sequence[Record] = ()
    remove: Sequence[Key] = ()
    notes: Sequence[Note] = ()
    forget: Sequence[tuple[str, str]] = ()
    folded: Sequence[str] = ()


@runtime_checkable
class Storage(Protocol):
    """All that an engine asks of a store.

    Its calls block. One instance may be shared by threads, and any number of processes, or of instances of one
    process, may work on one store, unless its adapter says that it is not `shared`. Whether an instance may be used
    after a fork is for the adapter to say.

    An owner is 1 to 255 bytes of UTF-8 without NUL, compared byte by byte. What is beyond the sizes that the contract
    names the engine never asks for; a storage may refuse it by `StorageError`, as `mobync_core.checks.check_commit`
    does. Every method may raise `StorageUnavailable`, after `close` `StorageClosed`, and all but `setup` `SchemaError`
    if nobody has set the store up; a driver's own errors are never raised bare, and no error, message or repr holds a
    password.
    """

    def setup(self) -> None:
        """Create what is missing in the store.

        Safe to repeat, and to be done by two processes at once. Raises `SchemaError` if the store
        holds a newer layout than this adapter knows.
        """

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        """Read what the owner held at one moment; see `Snapshot` for what it holds.

        `since` may be negative. A key that is named twice comes once.

        A store without snapshots reads the clock first: a commit that falls between then makes the next
        one conflict. A record that an open transaction still hides must not be skipped for good, so the clock
        is taken inside the transaction that commits, under a lock on the owner.
        """

    def commit(self, owner: str, commit: Commit) -> bool | None:
        """Write all of `commit`, or raise and leave no trace.

        Raises `ConflictError` if the owner's clock or epoch is not what `commit` expects, and `RecordRejected` if
        the store itself refuses a record. When it returns, the change survives a crash of the process and,
        where the store is set to do so, of its machine. True says that the store made something else of a record, and
        tells it as written `outside` at the next load; only `OwnTables` do.
        """

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        """Read the notes of one kind whose key starts with `prefix` and is greater than `after`, by key.

        Keys are ordered by their UTF-8 bytes. An error may come with the first note instead of the call. Who reads may
        write meanwhile, and may stop before the end.
        """

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        """Read the owners whose name starts with `prefix`, each once, in any order. For tools."""

    def erase(self, owner: str) -> None:
        """Remove all that the owner has: records, notes, clock and epoch. No error if there is nothing."""

    def close(self) -> None:
        """Give back what the storage itself opened. Safe to repeat; what was handed in stays open."""


@runtime_checkable
class OwnTables(Protocol):
    """What a storage has besides, some of whose models are tables of the application.

    A commit writes their rows, typed, together with the records, and raises `RecordRejected` for those that the store
    does not take. What the rest of the application writes comes `outside` in a snapshot, and the engine folds it into
    the records, as the edits of a device that has seen everything.
    """

    def row_fault(self, owner: str, model: str, fields: Mapping[str, Any]) -> str | None:
        """Say why no row of the model can have these fields, in a sentence; None if one can, or it has no table."""

    def read_only(self, model: str) -> Collection[str]:
        """Name the fields of the model that devices may not write."""
