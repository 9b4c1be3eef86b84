"""Tells a client the diffs of the log themselves, where they do to its rows what the protocol's answer does."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mobync_core.limits import TIMESTAMP_MAX
from mobync_core.records import Entry
from mobync_core.storage import Key
from mobync_core.synchronizer.log import Log, edit_of
from mobync_core.wire import Diff


def told_from_log(
    log: Log, diffs: Sequence[Diff], *, base: int, named: Collection[Key], sent: Collection[str]
) -> list[Diff]:
    """Replace answered diffs by those of the log. `named` are the records of the batch, `sent` the ids of its diffs.

    What no diffs of the log would do for a client that may hold the record in any state since its base stays as it is.
    """
    answered: dict[Key, list[Diff]] = {}
    for diff in diffs:
        edit = edit_of(diff)
        assert edit is not None
        assert edit.key is not None
        answered.setdefault(edit.key, []).append(diff)
    told: list[Diff] = []
    for key, ours in answered.items():
        entry = log.entry(key)
        logged = _from_log(log, entry, ours, base, key in named) if entry is not None else None
        told += logged if logged and all(_is_tellable(diff, base, sent) for diff in logged) else ours
    return sorted(told, key=_place)


def _is_tellable(diff: Diff, base: int, sent: Collection[str]) -> bool:
    """Say whether a client can take a diff: not one of its own queue, nor what an older server logged unchecked."""
    return diff.logical_clock >= base and diff.id not in sent and 0 <= diff.utc_timestamp <= TIMESTAMP_MAX


def _from_log(log: Log, entry: Entry, answered: Sequence[Diff], base: int, named: bool) -> list[Diff] | None:
    if entry.deleted:
        return _diffs(log, [entry.body.deleted_by])
    if len(answered) == 1 and answered[0].type == "update":
        return _updates(log, entry, answered[0])
    return None if named else _life(log, entry, base)


def _updates(log: Log, entry: Entry, answered: Diff) -> list[Diff] | None:
    """Return the diffs that wrote the fields of an answered update."""
    edit = edit_of(answered)
    assert edit is not None
    diffs = _diffs(log, {entry.body.fields[name].written_by for name in edit.fields})
    only = diffs and all(diff.type == "update" for diff in diffs)
    return diffs if diffs and only and _ends_as(entry, diffs) else None


def _life(log: Log, entry: Entry, base: int) -> list[Diff] | None:
    """Return the diffs that make a record which began since the base.

    Whatever the client holds of it is of this life, or of an earlier one that ended since the base.
    """
    body = entry.body
    diffs = _diffs(log, {body.created_by} | {register.written_by for register in body.fields.values()})
    if diffs is None or diffs[0].id != body.created_by or not _ends_as(entry, diffs):
        return None
    if body.life > 1:
        end = log.diffs.get(body.deleted_by)
        if end is None or (end.logical_clock >= base and _place(end) >= _place(diffs[0])):
            return None
        if end.logical_clock >= base:
            return [end, *diffs]
    return diffs


def _diffs(log: Log, ids: Collection[str]) -> list[Diff] | None:
    """Return these diffs in the order in which a client applies them; None if that order is not sure."""
    if any(name not in log.diffs for name in ids):
        return None
    diffs = sorted((log.diffs[name] for name in ids), key=_place)
    return diffs if len({_place(diff) for diff in diffs}) == len(diffs) else None


def _ends_as(entry: Entry, diffs: Sequence[Diff]) -> bool:
    """Say whether each field that the diffs set is last set by the diff that the record has it from."""
    written_by: dict[str, str] = {}
    for index, diff in enumerate(diffs):
        edit = edit_of(diff)
        if edit is None or edit.key != entry.key or (index > 0 and diff.type != "update"):
            return False
        written_by |= dict.fromkeys(edit.fields, diff.id)
    fields = entry.body.fields
    return all(name in fields and fields[name].written_by == writer for name, writer in written_by.items())


def _place(diff: Diff) -> tuple[int, int]:
    return diff.logical_clock, diff.utc_timestamp
