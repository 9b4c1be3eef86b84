"""What a replica tells of its syncs: progress, results, reports, changes and its status."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from mobync_core.wire import DiffType, Lost

Kind: TypeAlias = Literal["refused", "conflict", "restored", "resynced"]

Mode: TypeAlias = Literal["normal", "offer", "resync"]
"""What a replica is about: ``normal``; ``offer``, as the server lost data; ``resync``, as it was away for too long."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the user of a replica may want to know.

    `kind` is ``refused``: the server did not take an edit, for the reason given, and the record is as the server has
    it; ``conflict``: an edit that nobody here had seen stands in place of one made here (`lost` says of which fields,
    or `reason` why all of it was dropped); ``restored``: the server had lost data, and all that is held here was
    offered to it; ``resynced``: this replica was away for so long that it had to fetch everything anew.

    `at` is the device's UTC time in ms. Of the first two kinds, `model`, `record`, `diff_type` and `fields` are those
    of the edit; `code` is one of the protocol's error codes.
    """

    kind: Kind
    at: int
    model: str = ""
    record: str = ""
    diff_type: DiffType | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    reason: str = ""
    lost: tuple[Lost, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What others changed of one record: `fields` is the whole record now, with its ``id``; None if it was deleted."""

    type: DiffType
    model: str
    record: str
    fields: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sync has come: records received and edits pushed by it so far, and edits still to push."""

    records: int
    pushed: int
    pending: int


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a sync did.

    `pushed` is how many edits the server answered, `received` how many records it told, `requests` how many it took.
    `restored` and `resynced` say that it had to offer everything, or to fetch everything.
    """

    pushed: int
    received: int
    refused: Sequence[Report]
    conflicts: Sequence[Report]
    restored: bool
    resynced: bool
    requests: int


@dataclass(frozen=True, slots=True)
class Status:
    """How a replica stands.

    `pending` is how many edits the server has not answered yet, `clock` the base: every change before it is here.
    `last_sync` is the UTC time in ms of the last sync that came to its end, `last_error` what the last one that did
    not failed of, if none succeeded since. `background` is the state of the background mode, None if it was not
    started. The reports are the newest, oldest first, that were not dismissed.
    """

    pending: int
    clock: int
    last_sync: int | None
    last_error: str | None
    mode: Mode
    background: str | None
    refused: Sequence[Report]
    conflicts: Sequence[Report]
    notices: Sequence[Report]
