"""What a replica knows of its server, and where it stands in a sync: the one row of the table ``replica``."""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from mobync_core.replica.results import Mode

_READ = """SELECT generation, mode, clock, "cursor", page, epoch, owner, last_sync, last_error FROM replica"""
_WRITE = """UPDATE replica SET generation = ?, mode = ?, clock = ?, "cursor" = ?, page = ?, epoch = ?, owner = ?,
    last_sync = ?, last_error = ?"""


class State(Struct):
    """Where a replica stands.

    `generation` counts what syncs changed: an answer to a request that was made before the last change is of no use.
    `clock` is the base of all that is in `records`. While pages are read, `cursor` is the base of the next and `page`
    the server's word for it. `epoch` and `owner` are None until the server told them. `last_sync` is in ms.
    """

    generation: int
    mode: Mode
    clock: int
    cursor: int | None
    page: str | None
    epoch: str | None
    owner: str | None
    last_sync: int | None
    last_error: str | None

    @property
    def reading(self) -> bool:
        """Whether some pages of a reading are there, and others are not."""
        return self.cursor is not None


def read_state(connection: sqlite3.Connection) -> State:
    return State(*connection.execute(_READ).fetchone())


def write_state(connection: sqlite3.Connection, state: State) -> None:
    connection.execute(
        _WRITE,
        (
            state.generation,
            state.mode,
            state.clock,
            state.cursor,
            state.page,
            state.epoch,
            state.owner,
            state.last_sync,
            state.last_error,
        ),
    )
