"""Catches what the application writes into bound tables through SQLAlchemy.

Every write appends marks to the outbox in its own transaction. What is caught is every `insert`, `update` and `delete`
that a connection of the engine executes, whoever made it: a flush of the unit of work, `Session.execute`, the bulk
methods of a session, or a `Connection`. Not caught are SQL as text (`text`, ``exec_driver_sql``), what other programs
write, and what the database changes by itself: cascades of foreign keys, triggers, procedures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Executable, Insert, Update, event
from sqlalchemy.engine import CursorResult, ExecutionContext
from sqlalchemy.sql.compiler import SQLCompiler

from mobync_sql.binding import Binding, resolve
from mobync_sql.bound import BoundTable
from mobync_sql.capture.changes import Change
from mobync_sql.capture.inserts import Insertion
from mobync_sql.capture.targets import CannotCapture, Target, targets
from mobync_sql.database import OWN

__all__ = ["CannotCapture", "capture", "capture_writes"]

_captures = count()

Parameters = Sequence[Mapping[str, Any]]


def capture_writes(engine: Engine, bindings: Iterable[Binding]) -> None:
    """Catch all writes through an engine that no `SQLStorage` has: of a worker, or the `sync_engine` of an async one.

    Its database must be set up. Bindings with `triggers` need none of this. Raises as `SQLStorage` for bindings that
    are wrong; a write whose rows cannot be known is refused before it is done, by `CannotCapture`.
    """
    tables = [resolve(binding) for binding in bindings]
    capture(engine, lambda: tables)


def capture(engine: Engine, tables: Callable[[], Sequence[BoundTable]]) -> Callable[[], None]:
    """Catch all writes through `engine` into `tables` but those whose triggers do so. Returns what stops it.

    A write whose rows cannot be known is refused before it is done, by `CannotCapture`.
    """
    return _Capture(engine, tables).stop


class _Capture:
    """What listens to the events of one engine."""

    def __init__(self, engine: Engine, tables: Callable[[], Sequence[BoundTable]]) -> None:
        self._engine = engine
        self._tables = tables
        self._number = next(_captures)
        event.listen(engine, "before_execute", self._before, retval=True)
        event.listen(engine, "after_execute", self._after)
        event.listen(engine, "before_cursor_execute", self._refuse_nested)

    def stop(self) -> None:
        event.remove(self._engine, "before_execute", self._before)
        event.remove(self._engine, "after_execute", self._after)
        event.remove(self._engine, "before_cursor_execute", self._refuse_nested)

    def _before(
        self,
        connection: Connection,
        statement: Any,
        multiparams: Parameters,
        params: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> tuple[Executable, Parameters, Mapping[str, Any]]:
        """Mark the rows that an UPDATE or DELETE hits, and see to it that the ids of an INSERT will be known."""
        if not getattr(statement, "is_dml", False) or options.get(OWN):
            return statement, multiparams, params
        if statement._is_lambda_element:
            statement = statement._resolved
        found = self._targets(connection, statement, options)
        parameters = multiparams or [params]
        for number, target in enumerate(found):
            if isinstance(statement, Insert):
                statement = Insertion(connection, target, statement, parameters).prepare()
            elif isinstance(statement, Update | Delete):
                change = Change(connection, target, statement, parameters, f"{self._number}_{number}")
                statement, parameters = change.marked()
        return (statement, parameters, {}) if multiparams else (statement, [], parameters[0])

    def _after(
        self,
        connection: Connection,
        statement: Executable,
        multiparams: Parameters,
        params: Mapping[str, Any],
        options: Mapping[str, Any],
        result: CursorResult[Any],
    ) -> None:
        """Mark the rows that an INSERT made."""
        if isinstance(statement, Insert) and not options.get(OWN):
            for target in self._targets(connection, statement, options):
                Insertion(connection, target, statement, multiparams or [params]).mark(result)

    def _refuse_nested(
        self,
        connection: Connection,
        _cursor: Any,
        _statement: str,
        _parameters: Any,
        context: ExecutionContext | None,
        _executemany: bool,
    ) -> None:
        """Refuse a write that is a part of a statement which is no write itself."""
        compiled = context.compiled if context is not None else None
        if not isinstance(compiled, SQLCompiler) or context is None or context.execution_options.get(OWN):
            return
        inner: list[Any] = [cte.element for cte in compiled.ctes or () if cte.element.is_dml]
        whole: Any = compiled.statement
        if (compiled.isinsert or compiled.isupdate or compiled.isdelete) and not isinstance(
            context.invoked_statement, Insert | Update | Delete
        ):
            inner.append(getattr(whole, "element", whole))
        for statement in inner:
            for target in self._targets(connection, statement, context.execution_options):
                raise CannotCapture(target.bound, "the write is a part of another statement")

    def _targets(self, connection: Connection, statement: Executable, options: Mapping[str, Any]) -> Sequence[Target]:
        caught = [bound for bound in self._tables() if not bound.triggers]
        return targets(connection, statement, options, caught) if caught else ()
