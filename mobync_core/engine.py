"""The engine: one read, one pure function, one write."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec import UNSET

from mobync_core import wire
from mobync_core.answer import answer
from mobync_core.attempts import NOTHING, Attempts, Written
from mobync_core.diffs import DiffReader, Edit, Rules
from mobync_core.errors import (
    InvalidClock,
    InvalidData,
    InvalidRecord,
    NoSuchObject,
    ObjectExists,
    ResyncRequired,
    TooLarge,
    WrongOwner,
)
from mobync_core.limits import Limits, identifier_fault
from mobync_core.merge import Batch, Merged
from mobync_core.plugins import open_storage
from mobync_core.records import Entry, entry_of
from mobync_core.storage import Key, OwnTables, Snapshot, Storage
from mobync_core.synchronizer.attempts import LogAttempts, Logged
from mobync_core.synchronizer.interface import Synchronizer
from mobync_core.synchronizer.rules import SynchronizerRules
from mobync_core.upkeep import Purged, Upkeep
from mobync_core.wire import Outcome, SyncRequest, SyncResponse


def utc_now() -> int:
    """Return the UTC time in ms."""
    return time.time_ns() // 1_000_000


class Mobync:
    """Synchronizes any number of devices per owner over one storage.

    `storage` is a `Storage` or a URL such as ``sqlite:///app.db``. One that was opened from a URL is closed by
    `close`; one that was handed in is not. `setup` creates what is missing in the store. `rules` are the
    application's own, `limits` what a request may be, and `now` returns the UTC time in ms.

    Or it is a `Synchronizer`, an application's own tables, which has the rules itself; `diffs_model_name` is the name
    of its table of diffs. What that is good for, and what not, is told in ``docs/original.md``.

    One instance may be shared by threads; any number of processes may work on one store, if its adapter says so.
    Raises `AdapterError` if there is no adapter for the URL, and what the storage's `setup` raises.
    """

    storage: Storage  # one of these two is set
    synchronizer: Synchronizer

    def __init__(
        self,
        storage: Storage | Synchronizer | str,
        diffs_model_name: str = "diffs",
        *,
        rules: Rules | None = None,
        limits: Limits | None = None,
        setup: bool = True,
        now: Callable[[], int] = utc_now,
    ) -> None:
        self.limits = limits if limits is not None else Limits()
        self._now = now
        self._attempts: Attempts | LogAttempts
        self._opened = isinstance(storage, str)
        if isinstance(storage, Synchronizer):
            if rules is not None:
                raise TypeError("a Synchronizer has its own rules: validate_create, validate_update, validate_delete")
            self.synchronizer = storage
            self._reader = DiffReader(self.limits, SynchronizerRules(storage))
            self._attempts = LogAttempts(storage, diffs_model_name, self.limits, now)
            return
        if not isinstance(storage, str | Storage):
            raise TypeError(
                "storage must be a URL such as sqlite:///app.db, a Storage, or an instance of a class derived from "
                f"mobync_core.Synchronizer, not {_named(storage)}"
            )
        self.storage = open_storage(storage) if isinstance(storage, str) else storage
        self._reader = DiffReader(self.limits, rules, self.storage if isinstance(self.storage, OwnTables) else None)
        self._attempts = Attempts(self.storage, self._reader, self.limits, now)
        if setup:
            try:
                self.storage.setup()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the storage, if it was opened from a URL here."""
        if self._opened:
            self.storage.close()

    def apply(
        self,
        logical_clock: int | str,
        diffs: Sequence[Mapping[str, Any]],
        owner_id: str,
        *,
        limit: int | None = None,
        explain: bool = False,
        atomic: bool = False,
        **asked: Any,
    ) -> dict[str, Any]:
        """Take what a client of `owner_id` sent, and return what to tell it, JSON-able.

        `logical_clock` is the client's base, an int or a numeric string; `diffs` are dicts as they cross the wire. The
        rest, and further keywords, are as in a `SyncRequest`. With a `Synchronizer`, and only there, the diffs that its
        log has get the `logical_clock` that they have there. Raises what `sync` raises.
        """
        if isinstance(logical_clock, str):
            if not (logical_clock.isascii() and logical_clock.isdigit()):
                raise InvalidData(f"logical_clock must be a number, not {logical_clock[:32]!r}")
            if len(logical_clock) > 20:
                raise InvalidData("logical_clock has too many digits")
            logical_clock = int(logical_clock)
        if not isinstance(diffs, list | tuple):
            raise InvalidData(f"diffs must be a list, not a {type(diffs).__name__}")
        request = SyncRequest(
            logical_clock=logical_clock,
            diffs=wire.read_diffs(diffs),
            limit=limit,
            explain=explain,
            atomic=atomic,
            **asked,
        )
        response, written = self._sync(owner_id, request)
        if isinstance(written, Logged):
            written.assign(diffs)
        return wire.as_dict(response)

    def sync(self, owner_id: str, request: SyncRequest) -> SyncResponse:
        """Take what a client of `owner_id` sent, and return what to tell it.

        All that is taken is stored, or none of it; sending the same request again is safe. Raises `InvalidData`,
        `TooLarge`, `InvalidClock`, `ResyncRequired` or `ServerBusy`, and what a rule of the application raises.
        A diff that is refused raises nothing: its outcome says why, if the request asks to `explain`.
        """
        return self._sync(owner_id, request)[0]

    def _sync(self, owner_id: str, request: SyncRequest) -> tuple[SyncResponse, Written]:
        self._check_owner(owner_id)
        wire.check_request(request)
        if len(request.diffs) > self.limits.diffs:
            raise TooLarge(f"the request holds {len(request.diffs)} diffs, more than {self.limits.diffs}")
        if isinstance(request.owner, str) and request.owner != owner_id:
            raise WrongOwner(f"the token is not one of {request.owner!r}, whose records this client says to hold")
        if request.limit is not None and request.limit > self.limits.page:
            request = msgspec.structs.replace(request, limit=self.limits.page)
        edits = self._reader.read(owner_id, request.diffs)
        batch = Batch(request.logical_clock, edits, in_order=request.atomic, dated=request.atomic)

        def batch_for(snapshot: Snapshot) -> Batch:
            _check_base(request, snapshot)
            return batch

        written = self._attempts.write(
            owner_id,
            {edit.key for edit in edits if edit.key is not None},
            batch_for,
            since=batch.base,
            limit=None if request.limit is None else request.limit + 1,
            sent=request.diffs,
        )
        told = answer(owner_id, written.snapshot, batch, written.merged, request)
        diffs = told.diffs
        if isinstance(written, Logged) and not request.atomic and request.limit is None:
            diffs = written.told(batch, told)
        page = request.page or str(written.snapshot.purged)
        response = SyncResponse(
            logical_clock=told.clock,
            diffs=diffs,
            has_more=told.has_more if request.limit is not None else UNSET,
            outcomes=_outcomes(edits, written.merged) if request.explain else UNSET,
            epoch=(written.epoch or None) if request.epoch is not UNSET else UNSET,
            owner=owner_id if request.owner is not UNSET else UNSET,
            page=page if request.page is not UNSET and told.has_more else UNSET,
        )
        return response, written

    def create(self, owner_id: str, model: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Create a record for the owner's devices to receive, and return it as `get` does.

        Without an ``id`` among the fields it gets a random one. The application writes as one more device that has
        always seen everything, and is not bound by its own rules. Raises `ObjectExists` if there is a live record of
        that id, `InvalidRecord` if a device could not take it, and `ServerBusy`.
        """
        values = _fields(fields)
        record = values.pop("id", None)
        if record is None:
            record = str(uuid.uuid4())
        entry = self._change(owner_id, "create", (model, record), values)
        return _live(entry)

    def update(self, owner_id: str, model: str, record_id: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Set fields of a live record, and return the whole as `get` does.

        Raises `NoSuchObject`, `InvalidRecord` or `ServerBusy`.
        """
        values = _fields(fields)
        if values.get("id") == record_id:  # what `get` returned may be written back
            del values["id"]
        return _live(self._change(owner_id, "update", (model, record_id), values))

    def delete(self, owner_id: str, model: str, record_id: str) -> None:
        """Delete a live record. Raises `NoSuchObject`, `InvalidRecord` or `ServerBusy`."""
        self._change(owner_id, "delete", (model, record_id), {})

    def get(self, owner_id: str, model: str, record_id: str) -> dict[str, Any] | None:
        """Return the fields of a live record, ``id`` among them, or None if there is none. Raises `ServerBusy`."""
        self._check_owner(owner_id)
        if self._reader.key_fault(model, record_id):
            return None
        snapshot = self._attempts.load(owner_id, since=NOTHING, keys=[(model, record_id)])
        for record in snapshot.named:
            if not record.deleted:
                return _live(entry_of(record))
        return None

    def records(self, owner_id: str, model: str) -> Iterator[dict[str, Any]]:
        """Read the owner's live records of a model, each once, in the order of their last change.

        They are read page by page: a record that changes meanwhile is told as it is when its page is read, and
        one that is created meanwhile may or may not be told. Raises `ServerBusy`.
        """
        self._check_owner(owner_id)
        told: set[str] = set()
        since = 0
        while True:
            page = self._attempts.load(owner_id, since=since, limit=1000).changed
            for record in page:
                if record.model == model and record.id not in told and not record.deleted:
                    told.add(record.id)
                    yield _live(entry_of(record))
            if len(page) < 1000:
                return
            since = page[-1].clock + 1

    def fold(self, owner_id: str) -> None:
        """Bring what the application wrote past Mobync, into tables that models are bound to, into the owner's records.

        Each sync begins with that; this is for tools that do it ahead. Raises `ServerBusy`.
        """
        self._check_owner(owner_id)
        while self._attempts.load(owner_id, since=NOTHING).outside:
            pass

    def purge(self, before: int | datetime, *, owner: str | None = None, dry_run: bool = False) -> Purged:
        """Remove the tombstones of all owners, or of one, that were made before a time (UTC, in ms, or aware).

        A device that has not synced since the newest of them gets `resync_required`, and must fetch the whole list: a
        `Replica` does, a published Dart client is refused until its store is cleared. A purge may be ended at any time,
        and said again. `dry_run` only counts. Raises `ServerBusy`, and `TypeError` with a `Synchronizer`, which has no
        tombstones.
        """
        if isinstance(before, datetime):
            if before.tzinfo is None:
                raise ValueError("before must be aware of its time zone: datetime.now(UTC) - timedelta(days=90)")
            before = round(before.timestamp() * 1000)
        upkeep = self._upkeep("purge")
        if owner is not None:
            self._check_owner(owner)
        purged = Purged()
        for one in upkeep.owners("") if owner is None else [owner]:
            purged = purged.plus(upkeep.purge(one, before, dry_run=dry_run))
        return purged

    def restored(self, *, prefix: str = "") -> int:
        """Tell the devices of all owners, or of those whose names start with `prefix`, that the server lost data.

        To be called whenever a store was put back to an earlier state, before devices sync again. Each owner gets
        another epoch; a `Replica` that finds it offers all that it holds. Returns how many owners there were. Raises
        `ServerBusy`, and `TypeError` with a `Synchronizer`, which has no epochs.
        """
        upkeep = self._upkeep("restored")
        count = 0
        for owner in upkeep.owners(prefix):
            upkeep.renew(owner)
            count += 1
        return count

    def _upkeep(self, asked: str) -> Upkeep:
        if not isinstance(self._attempts, Attempts):
            raise TypeError(f"{asked} is for a storage: a Synchronizer keeps a log, without tombstones and epochs")
        return Upkeep(self.storage, self._attempts)

    def _change(self, owner_id: str, kind: wire.DiffType, key: Key, fields: dict[str, Any]) -> Entry:
        self._check_owner(owner_id)
        fault = self._reader.key_fault(*key) or self._reader.fields_fault(fields)
        if not fault and kind != "delete":
            fault = self._reader.row_fault(owner_id, key[0], fields)
        if kind == "update" and not fields:
            fault = "an update must set a field"
        if "id" in fields:
            fault = "a record's id cannot be updated"
        if fault:
            raise InvalidRecord(f"{kind} of {key[0]}/{key[1]}: {fault}")
        edit = Edit(str(uuid.uuid4()), kind, key, self._now(), fields)

        def batch_for(snapshot: Snapshot) -> Batch:
            alive = any(not record.deleted for record in snapshot.named)
            if kind == "create" and alive:
                raise ObjectExists(f"{key[0]}/{key[1]} exists already")
            if kind != "create" and not alive:
                raise NoSuchObject(f"there is no {key[0]}/{key[1]} to {kind}")
            return Batch(snapshot.clock, [edit], in_order=True)

        merged = self._attempts.write(owner_id, [key], batch_for, since=NOTHING).merged
        verdict = merged.verdicts[0]
        if verdict.result == "refused":
            raise InvalidRecord(f"{kind} of {key[0]}/{key[1]}: {verdict.reason}")
        entry = merged.named[key].entry
        assert entry is not None
        return entry

    @staticmethod
    def _check_owner(owner_id: str) -> None:
        if fault := identifier_fault(owner_id):
            raise InvalidData(f"the owner {fault}")


def _check_base(request: SyncRequest, snapshot: Snapshot) -> None:
    base = request.logical_clock
    # A list that was begun at 0 after that purge holds nothing that it removed.
    begun = int(request.page) if isinstance(request.page, str) else -1
    if 0 < base <= snapshot.purged and begun < snapshot.purged and not request.resync:
        raise ResyncRequired(
            f"the base {base} is not after {snapshot.purged}, the last tombstone purged: fetch the whole list at base 0"
        )
    if isinstance(request.epoch, str) and request.epoch != snapshot.epoch and not request.resync:
        raise InvalidClock("the epoch is not this owner's: the server was restored; offer everything again at base 0")
    if base > snapshot.clock:
        raise InvalidClock(
            f"the base {base} is ahead of this server's clock {snapshot.clock}: it lost data; offer everything again "
            "at base 0"
        )


def _outcomes(edits: Sequence[Edit], merged: Merged) -> list[Outcome]:
    return [
        Outcome(
            id=edit.id,
            result=verdict.result,
            model=edit.key[0] if edit.key else "",
            record=edit.key[1] if edit.key else "",
            code=verdict.code,
            reason=verdict.reason,
            lost=verdict.lost,
        )
        for edit, verdict in zip(edits, merged.verdicts, strict=True)
    ]


def _named(other: object) -> str:
    return f"the class {other.__name__} itself" if isinstance(other, type) else f"a {type(other).__name__}"


def _fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(fields, Mapping):
        raise InvalidRecord(f"the fields of a record must be a mapping, not a {type(fields).__name__}")
    return dict(fields)


def _live(entry: Entry) -> dict[str, Any]:
    return {"id": entry.key[1], **entry.values()}
