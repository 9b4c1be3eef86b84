"""Diffs that the published client made in one millisecond, which it sends in any order (protocol, "The wire")."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from mobync_core.diffs import Edit
from mobync_core.records import Entry


def in_order_made(entry: Entry | None, edits: Sequence[Edit], base: int) -> tuple[list[Edit], bool]:
    """Put the edits of one record that share a (clock, timestamp) into an order that the client could have made.

    Its store refuses to create what it has. Within that, edits go by their ids: so every delivery has the same order,
    and the published client's ids (UUIDs of version 1) mostly have the true one. Also return whether another order
    might have left the client with another row, or with none.
    """
    had = entry is not None and _had_it(entry, edits, base)
    ordered: list[Edit] = []
    unsure = False
    for _, group in groupby(edits, key=attrgetter("order")):
        tied = list(group)
        if len(tied) > 1:
            unsure = unsure or any(edit.type != "update" for edit in tied)
            tied = _settled(sorted(tied, key=attrgetter("id")), had)
        for edit in tied:
            had = edit.type == "create" or (had and edit.type == "update")
        ordered += tied
    return ordered, unsure


def _had_it(entry: Entry, edits: Sequence[Edit], base: int) -> bool:
    """Say whether the client's store had the record before it made these edits."""
    body = entry.body
    ids = {edit.id for edit in edits}
    if body.created_by in ids and body.deleted_by in ids:
        # Earlier deliveries both created and deleted it: as creates and deletes alternate, their numbers tell.
        kinds = [edit.type for edit in edits]
        return kinds.count("delete") + (not entry.deleted) > kinds.count("create")
    return body.created < base and not (entry.deleted and entry.clock < base)


def _settled(tied: Sequence[Edit], had: bool) -> list[Edit]:
    creates = deque(edit for edit in tied if edit.type == "create")
    updates = deque(edit for edit in tied if edit.type == "update")
    deletes = deque(edit for edit in tied if edit.type == "delete")
    ordered = []
    while creates or updates or deletes:
        if creates and not (had and (updates or deletes)):
            queue = creates
        elif updates and (not deletes or updates[0].id < deletes[0].id or (had and not creates)):
            queue = updates  # after the last delete there is nothing to update
        else:
            queue = deletes
        edit = queue.popleft()
        had = edit.type == "create" or (had and edit.type == "update")
        ordered.append(edit)
    return ordered
