"""The answer: the diffs that turn the client's state into the server's (protocol, "The answer" and "Pages")."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from mobync_core.diffs import ECHO, Edit
from mobync_core.limits import TIMESTAMP_MAX
from mobync_core.merge import Batch, Merged, Named
from mobync_core.records import Entry, Register, entry_of
from mobync_core.storage import Key, Record, Snapshot
from mobync_core.wire import Diff, DiffType, SyncRequest

_encode = msgspec.json.Encoder().encode


class Answer(Struct, frozen=True):
    """What to tell: `diffs`, and the client's next base. `has_more` says that the page was cut."""

    clock: int
    diffs: list[Diff]
    has_more: bool


def answer(owner: str, snapshot: Snapshot, batch: Batch, merged: Merged, request: SyncRequest) -> Answer:
    """Tell a client what it lacks after `merged`.

    At most `request.limit` records changed at or after the base are told; `snapshot` must have been loaded with one
    more, or all.
    """
    changed, clock = _page(snapshot, batch, merged, request.limit)
    # Unless this is all of it, told at once, the base does not say what the client holds.
    paged = request.limit is not None and (request.page is not None or clock < merged.clock)
    teller = _Teller(owner, {edit.id for edit in batch.edits}, atomic=request.atomic, registers=request.registers)
    for record in changed:
        _tell_unnamed(teller, entry_of(record), batch.base, paged=paged)
    absent = []
    for key, named in merged.named.items():
        if named.entry is None:
            absent.append(key)
        elif named.entry.clock < clock:  # what lies beyond the page comes with a later one
            _tell_named(teller, named.entry, named, batch.base, paged=paged)
    teller.absent(absent, clock - 1)
    return Answer(clock, teller.in_order(), clock < merged.clock)


def _page(snapshot: Snapshot, batch: Batch, merged: Merged, limit: int | None) -> tuple[list[Record], int]:
    """Return the records to tell that the batch does not name, and the clock that the page ends before."""
    unnamed = [record for record in snapshot.changed if record.key not in merged.named]
    if limit is None:
        return unnamed, merged.clock
    if len(snapshot.changed) > limit:
        end = snapshot.changed[limit - 1].clock + 1
    else:
        clocks = [record.clock for record in unnamed]
        clocks += [named.entry.clock for named in merged.named.values() if named.entry is not None]
        clocks = sorted(clock for clock in clocks if clock >= batch.base)
        if len(clocks) <= limit:
            return unnamed, merged.clock
        end = clocks[limit - 1] + 1
    return [record for record in unnamed if record.clock < end], end


def _tell_unnamed(teller: _Teller, entry: Entry, base: int, *, paged: bool) -> None:
    body = entry.body
    if entry.deleted:
        # What was born after the base the client does not hold, but for an earlier life of it, and, on a later page,
        # what it pushed itself. But who may have to offer what it knows is to know of every delete.
        if not teller.atomic or teller.registers or body.created < base or body.life > 1 or paged:
            teller.delete(entry)
    elif body.created < base and not paged:
        teller.update(entry, [name for name, register in body.fields.items() if register.clock >= base])
    elif body.life == 1 and entry.clock == body.created:
        teller.create(entry)
    else:
        teller.replace(entry)


def _tell_named(teller: _Teller, entry: Entry, named: Named, base: int, *, paged: bool) -> None:
    edits = [edit for edit, _ in named.judged]
    if entry.deleted:
        if named.unsure or edits[-1].id != entry.body.deleted_by:
            teller.delete(entry)
    elif paged or _needs_replacing(entry, named) or not _in_this_life(entry, edits, base):
        teller.replace(entry)
    elif teller.registers and entry.body.life > 1 and any(edit.id == entry.body.created_by for edit in edits):
        teller.replace(entry)  # the client cannot know which life it began
    else:
        teller.update(entry, _fields_to_tell(entry, edits, base, teller))


def _needs_replacing(entry: Entry, named: Named) -> bool:
    """Say whether the client may hold of the record what no update would mend."""
    if named.unsure or any(verdict.result == "refused" for _, verdict in named.judged):
        return True
    edits = [edit for edit, _ in named.judged]
    kinds = [edit.type for edit in edits]
    if "create" in kinds and ("delete" in kinds or kinds.count("create") > 1 or kinds[0] != "create"):
        return True
    return any(name not in entry.body.fields for edit in edits for name in edit.fields)


def _in_this_life(entry: Entry, edits: Sequence[Edit], base: int) -> bool:
    for index, edit in enumerate(edits):
        if edit.id == entry.body.created_by:
            return all(later.type != "delete" for later in edits[index:])
    return entry.body.created < base and all(edit.type != "delete" for edit in edits)


def _fields_to_tell(entry: Entry, edits: Sequence[Edit], base: int, teller: _Teller) -> list[str]:
    setters: dict[str, list[Edit]] = {}
    for edit in edits:
        for name in edit.fields:
            setters.setdefault(name, []).append(edit)
    own_create = any(edit.id == entry.body.created_by for edit in edits)
    told = []
    for name, register in entry.body.fields.items():
        by = setters.get(name)
        if by is None:
            if own_create or register.clock >= base:
                told.append(name)
        elif not _is_known(register, by, teller):
            told.append(name)
    return told


def _is_known(register: Register, by: Sequence[Edit], teller: _Teller) -> bool:
    """Say whether the client, which has set the field `by` these edits, holds what the register does."""
    if register.written_by != by[-1].id:
        return False
    if teller.registers and register.stamp != by[-1].timestamp:
        return False
    # A plain client may apply what it was told, then send diffs of one field out of their order.
    return teller.atomic or len(by) == 1


class _Teller:
    """Makes the answered diffs, each with an id that only this server issues."""

    def __init__(self, owner: str, sent_ids: Collection[str], *, atomic: bool, registers: bool) -> None:
        self.atomic = atomic
        self.registers = registers
        self._owner = owner
        self._sent_ids = sent_ids
        self._diffs: list[Diff] = []

    def delete(self, entry: Entry) -> None:
        self._tell("delete", entry.key, entry.clock, entry.body.floor, life=entry.body.life)

    def create(self, entry: Entry) -> None:
        self._tell_fields("create", entry, list(entry.body.fields))

    def update(self, entry: Entry, names: Sequence[str]) -> None:
        if names:
            self._tell_fields("update", entry, names)

    def replace(self, entry: Entry) -> None:
        """Tell the whole record, whatever the client holds of it.

        A plain client understands a delete and a create, told in this order by their timestamps.
        """
        if self.atomic:
            self.create(entry)
            return
        stamp = min(max(1, _stamp(entry, entry.body.fields)), TIMESTAMP_MAX)  # or both would be cut to the same
        self._tell("delete", entry.key, entry.clock, stamp - 1)
        self._tell_fields("create", entry, list(entry.body.fields), stamp)

    def absent(self, keys: Iterable[Key], clock: int) -> None:
        """Tell the client to delete what never came to be, each at a timestamp that nothing else has then."""
        taken = {diff.utc_timestamp for diff in self._diffs if diff.logical_clock == clock}
        stamp = 0
        for key in keys:
            while stamp in taken:
                stamp += 1
            self._tell("delete", key, clock, stamp)
            stamp += 1

    def in_order(self) -> list[Diff]:
        return sorted(self._diffs, key=lambda diff: (diff.logical_clock, diff.utc_timestamp))

    def _tell_fields(self, kind: DiffType, entry: Entry, names: Sequence[str], stamp: int | None = None) -> None:
        registers = {name: entry.body.fields[name] for name in names}
        stamp = _stamp(entry, names) if stamp is None else stamp
        self._tell(
            kind,
            entry.key,
            entry.clock,
            stamp,
            {name: register.value for name, register in registers.items()},
            life=entry.body.life,
            stamps={name: register.stamp for name, register in registers.items() if register.stamp != stamp},
        )

    def _tell(
        self,
        kind: DiffType,
        key: Key,
        clock: int,
        stamp: int,
        values: Mapping[str, Any] | None = None,
        *,
        life: int = 0,
        stamps: dict[str, int] | None = None,
    ) -> None:
        model, record = key
        digest = blake2b(f"{model}\0{record}".encode(), digest_size=8).hexdigest()
        name = f"{ECHO}{clock}:{kind}:{digest}"
        while name in self._sent_ids:  # a client that has this id in its queue could not store it again
            name += "+"
        self._diffs.append(
            Diff(
                id=name,
                owner=self._owner,
                logical_clock=clock,
                utc_timestamp=min(max(stamp, 0), TIMESTAMP_MAX),
                type=kind,
                model=model,
                json_data=_encode({"id": record, **(values or {})}).decode(),
                life=life if self.registers and life > (kind != "delete") else UNSET,
                stamps=stamps if self.registers and stamps else UNSET,
            )
        )


def _stamp(entry: Entry, names: Iterable[str]) -> int:
    return max((entry.body.fields[name].stamp for name in names), default=0)
