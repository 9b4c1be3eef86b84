"""Finds out which records look different to the user after a sync."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence

from mobync_core.fold import same
from mobync_core.replica.drafts import as_user_sees, current, drafted_keys, live_fields
from mobync_core.replica.records import decode_fields
from mobync_core.replica.results import Change
from mobync_core.replica.store import Store
from mobync_core.storage import Key

_MOVED = """SELECT staged.model, staged.id, records.fields, staged.fields FROM staged
    LEFT JOIN records ON records.model = staged.model AND records.id = staged.id
    WHERE records.fields IS NOT staged.fields
    AND NOT EXISTS (SELECT 1 FROM drafts WHERE drafts.model = staged.model AND drafts.id = staged.id)"""
_GONE = """SELECT model, id FROM records WHERE fields IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM staged WHERE staged.model = records.model AND staged.id = records.id)
    AND NOT EXISTS (SELECT 1 FROM drafts WHERE drafts.model = records.model AND drafts.id = records.id)"""

_AT_ONCE = 1000


class Looks:
    """How some records look before something is done, to be held against how they look after it."""

    def __init__(self, connection: sqlite3.Connection, keys: Collection[Key]) -> None:
        self._connection = connection
        self._before = {key: live_fields(connection, key) for key in keys}
        self._known: list[tuple[Key, bool]] = []

    @classmethod
    def before_moving(cls, connection: sqlite3.Connection, *, whole: bool) -> Looks:
        """Look before what is staged takes the place of the records, of all of them if `whole`."""
        looks = cls(connection, drafted_keys(connection))
        for model, id, old, new in connection.execute(_MOVED):
            if _differ(old, new):
                looks._known.append(((model, id), old is not None))
        if whole:
            looks._known += [((model, id), True) for model, id in connection.execute(_GONE)]
        return looks

    def changed(self) -> list[tuple[Key, bool]]:
        """Return the records that look different now, and whether they were live before."""
        seen = [
            (key, old is not None)
            for key, old in self._before.items()
            if _differ(old, live_fields(self._connection, key))
        ]
        return self._known + seen


def tell(store: Store, changed: Sequence[tuple[Key, bool]]) -> Iterator[list[Change]]:
    """Read how changed records look now, some at a time."""
    for start in range(0, len(changed), _AT_ONCE):
        told = []
        with store.read() as connection:
            for (model, id), was_live in changed[start : start + _AT_ONCE]:
                held = current(connection, (model, id))
                fields = None if held is None or held[0] is None else as_user_sees(id, held[0])
                if fields is not None:
                    told.append(Change("update" if was_live else "create", model, id, fields))
                elif was_live:
                    told.append(Change("delete", model, id, None))
        if told:
            yield told


def _differ(old: str | None, new: str | None) -> bool:
    if old is None or new is None or old == new:
        return old is not new and old != new
    return not same(decode_fields(old), decode_fields(new))
