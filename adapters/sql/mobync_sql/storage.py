"""The storage itself: what is the same on every database."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Engine, Integer, Select, bindparam, func, select, text

from mobync_core.adoption import BoundModel, Progress
from mobync_core.checks import check_clock
from mobync_core.errors import ConflictError, SchemaError
from mobync_core.storage import Commit, Key, Note, Outside, Record, Snapshot
from mobync_sql import adoption, outbox, schema
from mobync_sql.binding import Binding, BoundTable, resolve
from mobync_sql.capture import capture
from mobync_sql.database import Database
from mobync_sql.dialects.base import CHANGED, GENERATION, MARK, OWNER, LoadedRow
from mobync_sql.registry import Registry, bind, read_registry, table_named
from mobync_sql.rows import Vanished
from mobync_sql.writes import Misfit

_RAISE_CLOCK = text(
    "UPDATE mobync_owners SET clock = :clock, epoch = :renewed, purged = :purged "
    "WHERE owner = :owner AND clock = :expected AND epoch = :epoch "
    "AND (SELECT COALESCE(MAX(generation), 0) FROM mobync_bindings) = :generation"
)
_GENERATION = select(func.coalesce(func.max(schema.bindings.c.generation), 0))
_ERASE_OWNER = text("DELETE FROM mobync_owners WHERE owner = :owner")
_ERASE_RECORDS = text("DELETE FROM mobync_records WHERE owner = :owner")
_ERASE_MARKS = text("DELETE FROM mobync_outbox WHERE owner = :owner")
_ERASE_NOTES = text("DELETE FROM mobync_notes WHERE owner = :owner")

_owner = schema.owners.c.owner
_OWNERS = (
    select(_owner)
    .where(_owner >= bindparam("prefix"), _owner > bindparam("after"))
    .order_by(_owner)
    .limit(bindparam("page", type_=Integer))
)

_note = schema.notes.c
_NOTES = (
    select(_note.key, _note.body)
    .where(_note.owner == bindparam("owner"), _note.kind == bindparam("kind"))
    .where(_note.key >= bindparam("prefix"), _note.key > bindparam("after"))
    .order_by(_note.key)
    .limit(bindparam("page", type_=Integer))
)

# What is read at once when a caller goes through all of something: a note may be large, an owner's name is not.
_NOTES_PAGE = 100
_OWNERS_PAGE = 1000

_ERASE_SECONDS = 5
"""How long an erasure tries again, while commits of the owner are in its way."""


class SQLStorage:
    """A storage in the database of a SQLAlchemy engine; see `mobync_core.storage.Storage` for its calls.

    The engine's database is SQLite, PostgreSQL through psycopg 3, or MariaDB or MySQL through PyMySQL; `ValueError`
    says so of another. `close` leaves the engine open unless `owns_engine`. Threads may share the storage, and a
    process may fork after making it: the child gets connections of its own.

    `bind` are models whose records are rows of the application's own tables; see ``docs/own-tables.md``. `setup` stores
    the bindings, for every process that opens the database, and takes over the rows that are there. What goes through
    SQLAlchemy on this engine is caught from now on, also after `close`, unless a binding has `triggers`.
    """

    def __init__(self, engine: Engine, *, owns_engine: bool = False, bind: Iterable[Binding] = ()) -> None:
        self._database = Database(engine, owns_engine=owns_engine)
        self._given = [resolve(binding) for binding in bind]
        self._registry = Registry(-1)
        if self._given:
            capture(engine, self._captured)

    def __repr__(self) -> str:
        return f"SQLStorage({self._database.name!r})"

    @property
    def engine(self) -> Engine:
        """The engine that it works on."""
        return self._database.engine

    def setup(self) -> None:
        database = self._database
        version = database.read(schema.version_of)
        schema.refuse_newer(version)
        if reason := database.read(database.dialect.unfit):
            raise SchemaError(f"{database.name} will not do: {reason}")
        if version < len(schema.STEPS):  # else a user who may not create tables should be able to
            if version == 0 and database.owns_engine:
                database.read(database.dialect.prepare_file)
            with database.transaction() as connection, database.dialect.schema_lock(connection):
                schema.migrate(connection)
        if self._given:
            bind(database, self._given)
        self._read_registry()
        if self._given:
            for bound in adoption.unmarked(database, self._given):
                adoption.mark_rows(database, bound)

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        while True:
            registry = self._registry
            rows = self._database.read(
                lambda connection: self._database.dialect.load(
                    connection,
                    owner,
                    since,
                    keys,
                    limit,
                    marks=bool(registry),  # noqa: B023 - it is called at once
                )
            )
            clock, epoch, purged, generation = 0, "", -1, 0
            changed: list[Record] = []
            named: list[Record] = []
            marks: list[LoadedRow] = []
            for row in rows:
                tag, model, id, at, deleted, changed_at, body = row
                if tag == OWNER:
                    epoch, clock, purged = model, at, changed_at
                elif tag == GENERATION:
                    generation = at
                elif tag == MARK:
                    marks.append(row)
                else:
                    record = Record(model, id, at, bool(deleted), changed_at, body)
                    (changed if tag == CHANGED else named).append(record)
            if generation == registry.generation:
                break
            self._read_registry()
        # They come in order, but no database promises that of a part of a UNION. Sorting what is sorted is cheap.
        changed.sort(key=attrgetter("clock"))
        outside: Sequence[Outside] = ()
        if marks:
            outside = self._database.read(lambda connection: registry.rows.outside(connection, owner, marks))
        return Snapshot(clock=clock, epoch=epoch, purged=purged, changed=changed, named=named, outside=outside)

    def commit(self, owner: str, commit: Commit) -> bool:
        check_clock(commit)
        self._database.dialect.check(owner, commit)
        self._known()
        try:
            try:
                return self._commit(owner, commit, one_by_one=False)
            except Misfit:
                return self._commit(owner, commit, one_by_one=True)
        except Vanished as vanished:
            with self._database.transaction() as connection:
                outbox.mark(connection, vanished.keys)
            raise ConflictError(str(vanished)) from vanished

    def _commit(self, owner: str, commit: Commit, *, one_by_one: bool) -> bool:
        dialect = self._database.dialect
        registry = self._registry
        with self._database.transaction() as connection:
            if commit.clock > commit.expected:
                # First the owner's row, whose lock makes every other commit of this owner wait, and then fail.
                self._raise_clock(connection, owner, commit, registry.generation)
            corrected = False
            if commit.folded:
                outbox.forget(connection, owner, commit.folded)
            elif registry and commit.put:
                corrected = registry.rows.write(connection, owner, commit.put, commit.expected, one_by_one=one_by_one)
            if commit.remove:
                dialect.remove(connection, owner, commit.remove)
            if commit.put:
                dialect.put(connection, owner, commit.put)
            if commit.forget:
                dialect.forget(connection, owner, commit.forget)
            if commit.notes:
                dialect.write_notes(connection, owner, commit.notes)
            return corrected

    def _raise_clock(self, connection: Connection, owner: str, commit: Commit, generation: int) -> None:
        renewed = commit.renew or commit.epoch
        head = {"owner": owner, "clock": commit.clock, "purged": commit.purged}
        if commit.expected:
            expected = {"expected": commit.expected, "epoch": commit.epoch, "generation": generation}
            done = connection.execute(_RAISE_CLOCK, {**head, **expected, "renewed": renewed}).rowcount == 1
        else:
            done = connection.execute(self._database.dialect.insert_owner, {**head, "epoch": renewed}).rowcount == 1
            done = done and connection.execute(_GENERATION).scalar() == generation
        if not done:
            raise ConflictError(
                f"the owner's clock is not {commit.expected}, or its epoch or what is bound to tables is another"
            )

    def row_fault(self, owner: str, model: str, fields: Mapping[str, Any]) -> str | None:
        return self._known().rows.fault(owner, model, fields)

    def read_only(self, model: str) -> Collection[str]:
        return self._known().rows.read_only(model)

    def adopt(
        self,
        table: str,
        *,
        owner: str,
        model: str = "",
        id: str = "",
        fields: Mapping[str, str] | None = None,
        hidden: Collection[str] = (),
        read_only: Collection[str] = (),
        triggers: bool = True,
        progress: Progress | None = None,
    ) -> BoundModel:
        """Bind a model to a table by its name, ``schema.table`` if need be; see `mobync_core.adoption.Adoption`."""
        found = self._database.read(lambda connection: table_named(connection, table))
        bound = resolve(
            Binding(
                found,
                owner=owner,
                model=model,
                id=id,
                fields=fields or {},
                hidden=hidden,
                read_only=read_only,
                triggers=triggers,
            )
        )
        bind(self._database, [bound])
        self._read_registry()
        adoption.mark_rows(self._database, bound, progress)
        return _told(bound)

    def rescan(self, model: str, progress: Progress | None = None) -> None:
        tables = self._read_registry().rows.tables
        if model not in tables:
            raise SchemaError(f"{model} is bound to no table here; bound are: {', '.join(sorted(tables)) or 'none'}")
        adoption.rescan(self._database, tables[model], progress)

    def marked_owners(self) -> list[str]:
        return adoption.marked_owners(self._database)

    def bound_models(self) -> list[BoundModel]:
        return [_told(bound) for bound in self._read_registry().rows.tables.values()]

    def _captured(self) -> Sequence[BoundTable]:
        # Before the database was asked, what was given is caught: to miss a write is worse than to fail without setup.
        return list(self._registry.rows.tables.values()) if self._registry.generation >= 0 else self._given

    def _known(self) -> Registry:
        return self._registry if self._registry.generation >= 0 else self._read_registry()

    def _read_registry(self) -> Registry:
        self._registry = self._database.read(lambda connection: read_registry(connection, self._given))
        return self._registry

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        left = limit
        while left is None or left > 0:
            page = _NOTES_PAGE if left is None else min(left, _NOTES_PAGE)
            rows = self._page(_NOTES, owner=owner, kind=kind, prefix=prefix, after=after, page=page)
            # In the order of bytes, the keys with the prefix lie side by side.
            inside = takewhile(lambda row: row[0].startswith(prefix), rows)
            found = [Note(kind, row[0], row[1]) for row in inside]
            yield from found
            if len(found) < page:
                return
            after = found[-1].key
            left = None if left is None else left - page

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        after = ""
        while True:
            rows = self._page(_OWNERS, prefix=prefix, after=after, page=_OWNERS_PAGE)
            found = [row[0] for row in takewhile(lambda row: row[0].startswith(prefix), rows)]
            yield from found
            if len(found) < _OWNERS_PAGE:
                return
            after = found[-1]

    def erase(self, owner: str) -> None:
        deadline = time.monotonic() + _ERASE_SECONDS
        while True:
            try:
                return self._erase(owner)
            except ConflictError:  # a deadlock, or a lock: it expects no clock, so to begin again is right
                if time.monotonic() > deadline:
                    raise

    def _erase(self, owner: str) -> None:
        with self._database.transaction() as connection:
            # The row first: a commit under way is waited for, one that comes later finds the owner gone. Without a
            # row there is nothing else either, and what a first commit is just writing must stay whole.
            if connection.execute(_ERASE_OWNER, {"owner": owner}).rowcount:
                connection.execute(_ERASE_RECORDS, {"owner": owner})
                connection.execute(_ERASE_NOTES, {"owner": owner})
                connection.execute(_ERASE_MARKS, {"owner": owner})

    def close(self) -> None:
        """Close the engine if it was opened by URL. Calls after it raise `StorageClosed`."""
        self._database.close()

    def _page(self, statement: Select[Any], **asked: str | int) -> Sequence[Sequence[Any]]:
        return self._database.read(lambda connection: connection.execute(statement, asked).fetchall())


def _told(bound: BoundTable) -> BoundModel:
    return BoundModel(
        model=bound.model,
        table=bound.table.fullname,
        owner=bound.owner.name,
        id=bound.id.name,
        fields={name: column.column.name for name, column in bound.columns.items()},
        read_only=[name for name, column in bound.columns.items() if column.read_only],
        caught="triggers" if bound.triggers else "capture in SQLAlchemy, and rescans",
    )
