"""What a dialect says and does for `SQLStorage`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, TypeAlias

from sqlalchemy import Connection, Engine, Table, TextClause

from mobync_core.errors import StorageError
from mobync_core.storage import Commit, Key, Note, Record

LoadedRow: TypeAlias = tuple[int, str, str, int, bool, int, str]
"""A tag and six columns: see `OWNER`, `CHANGED`, `NAMED`, `GENERATION` and `MARK`."""

OWNER = 0
"""The tag of the one row (0, epoch, '', clock, false, purged, ''); there is none for an owner never seen."""

CHANGED = 1
"""The tag of a row (1, model, id, clock, deleted, changed_at, body) of what changed since."""

NAMED = 2
"""The tag of a row (2, model, id, clock, deleted, changed_at, body) of what was asked for by its key."""


GENERATION = 3
"""The tag of the one row (3, '', '', generation, false, 0, '') of the tables that models are bound to, 0 if none is."""

MARK = 4
"""The tag of a row (4, model, id, mark, false, at, '') of what the application wrote; at most `MARKS` of them."""

MARKS = 1000


class Dialect(ABC):
    """The statements of one database.

    The number of statements never depends on how many records, keys or notes they are about, nor does their
    text: drivers and servers keep them prepared.
    """

    begin: ClassVar[str]
    """Begins a transaction that is going to write."""

    insert_owner: ClassVar[TextClause]
    """Inserts (:owner, :clock, :epoch, :purged); no row and no error if the owner is there."""

    upsert: ClassVar[str] = (
        "ON CONFLICT (owner, model, id) DO UPDATE SET clock = excluded.clock, deleted = excluded.deleted, "
        "changed_at = excluded.changed_at, body = excluded.body"
    )
    upsert_note: ClassVar[str] = "ON CONFLICT (owner, kind, key) DO UPDATE SET body = excluded.body"

    lent = False
    """Whether the sessions are those of an application's engine, which go on with its own settings."""

    def check_engine(self, engine: Engine) -> None:  # noqa: B027 - most have nothing to object
        """Raise `ValueError` if the engine is set up so that the storage's promises would not hold."""

    def start(self, connection: Connection) -> None:
        """Begin a transaction that is going to write."""
        connection.exec_driver_sql(self.begin)

    def finish(self, connection: Connection) -> None:  # noqa: B027 - most leave nothing behind
        """Put the session back to what it was before `start`; the transaction has ended."""

    @abstractmethod
    def unfit(self, connection: Connection) -> str:
        """Say why the database cannot keep what the contract asks for, "" if it can."""

    def unfit_for_rows(self, connection: Connection, table: Table) -> str:  # noqa: ARG002
        """Say why this table of the application's cannot keep what is asked of bound tables, "" if it can."""
        return ""

    def lock_writers(self, connection: Connection) -> None:  # noqa: B027 - some have one writer anyway
        """Wait for all commits under way, and keep others waiting until the end of the transaction."""

    def check(self, owner: str, commit: Commit) -> None:  # noqa: B027 - most databases refuse it by themselves
        """Raise `StorageError` if the database would take the commit, but not as it is."""

    def prepare_file(self, connection: Connection) -> None:  # noqa: B027 - most have no file
        """Set what the database keeps for ever, before its tables are made. Only for an engine of our own."""

    def locks(self, engine: Engine) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:  # noqa: ARG002
        """Return what the threads of this process hold while they read, and while they write."""
        return nullcontext(), nullcontext()

    @abstractmethod
    def schema_lock(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep other processes from migrating meanwhile. `connection` is in a transaction."""

    @abstractmethod
    def load(
        self, connection: Connection, owner: str, since: int, keys: Collection[Key], limit: int | None, *, marks: bool
    ) -> Sequence[LoadedRow]:
        """Read the owner, what changed since and what is named, in one statement, hence in one snapshot.

        With it comes the generation of the bindings and, if `marks`, what the application wrote.
        """

    @abstractmethod
    def put(self, connection: Connection, owner: str, records: Sequence[Record]) -> None:
        """Insert or replace records."""

    @abstractmethod
    def remove(self, connection: Connection, owner: str, keys: Sequence[Key]) -> None:
        """Delete records."""

    @abstractmethod
    def write_notes(self, connection: Connection, owner: str, notes: Sequence[Note]) -> None:
        """Insert or replace notes."""

    @abstractmethod
    def forget(self, connection: Connection, owner: str, keys: Sequence[tuple[str, str]]) -> None:
        """Delete notes, each given by (kind, key)."""

    @abstractmethod
    def fault(self, error: BaseException) -> tuple[type[StorageError], str]:
        """Say which error of the storage the driver's error is, and in which words."""
