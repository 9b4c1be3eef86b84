"""Reads and writes the tables of a `Synchronizer`, and trusts what it reads no further than it must."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from mobync_core.errors import RecordRejected, SchemaError
from mobync_core.records import Entry
from mobync_core.storage import Key
from mobync_core.synchronizer.interface import FilterType, OperationType, ReadFilter, Synchronizer
from mobync_core.synchronizer.log import Log, edit_of
from mobync_core.wire import Diff, DiffType

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class _Row(Struct):
    """A row of the table of diffs: every column must be there."""

    id: str
    owner: str
    logical_clock: int
    utc_timestamp: int
    type: DiffType
    model: str
    json_data: str


_COLUMNS = "id, owner, type, model and json_data as text, logical_clock and utc_timestamp as integers"


class Tables:
    """The tables of an application, and among them `diffs_model`, its table of diffs."""

    def __init__(self, synchronizer: Synchronizer, diffs_model: str) -> None:
        self._synchronizer = synchronizer
        self._diffs_model = diffs_model

    def is_log(self, model: str) -> bool:
        """Say whether a model is the table of diffs, by a name as databases read it: in any case, after a schema's."""
        return _table(model) == _table(self._diffs_model)

    def log(self, owner: str) -> Log:
        """Read all diffs of an owner. Raises `SchemaError` if a row is not one."""
        return Log(owner, self._diffs(owner))

    def strangers(self, owner: str, since: int, ours: Collection[str] = ()) -> bool:
        """Say whether the log has diffs at or after a clock that are not `ours`: another process wrote them."""
        after = ReadFilter(Diff.LOGICAL_CLOCK, FilterType.majorOrEqual, since)
        return any(diff.logical_clock >= since and diff.id not in ours for diff in self._diffs(owner, after))

    def write(self, log: Log, diff: Diff) -> None:
        """Do to the tables what a diff says, then log it: whatever a crash leaves undone, the same push completes.

        Raises `RecordRejected` if the record's id is that of another owner's row, or if the tables raise it.
        """
        edit = edit_of(diff)
        assert edit is not None
        assert edit.key is not None
        model, record = edit.key
        log.add(diff)
        entry = log.entry(edit.key)
        if diff.type == "delete":
            if self._has_row(model, record):
                self._synchronizer.delete(model, diff.json_data)
        elif entry is not None and not entry.deleted and entry.clock == diff.logical_clock:
            whole = diff.json_data if diff.type == "create" else _row(entry)
            self._put(log.owner, edit.key, whole, diff.json_data, mine=diff.type == "update")
        try:
            self.append(diff)
        except RecordRejected as rejection:  # it names the diff as a record, of which the device knows nothing
            raise RecordRejected({edit.key: "the table of diffs does not take this diff"}) from rejection

    def append(self, diff: Diff) -> None:
        """Log a diff, and leave the tables as they are."""
        self._synchronizer.create(self._diffs_model, _encode(diff).decode())

    def restore(self, log: Log, key: Key) -> None:
        """Make of a row what the log says, if a push that was not completed left it otherwise."""
        entry = log.entry(key)
        if entry is not None and not entry.deleted:
            self._put(log.owner, key, _row(entry), _row(entry), mine=True)
        elif self._has_row(*key) and not self._is_anothers(log.owner, key):
            self._synchronizer.delete(key[0], _encode({"id": key[1]}).decode())

    def _put(self, owner: str, key: Key, whole: str, changes: str, *, mine: bool) -> None:
        if not self._has_row(*key):
            self._synchronizer.create(key[0], whole)
        elif not mine and self._is_anothers(owner, key):
            raise RecordRejected({key: "this id is taken"})
        else:  # also a row that a fault left behind before its create was logged
            self._synchronizer.update(key[0], changes)

    def _diffs(self, owner: str, *filters: ReadFilter) -> list[Diff]:
        of_owner = ReadFilter(Diff.OWNER, FilterType.equal, owner)
        rows = self._read(self._diffs_model, of_owner, *filters)
        return [diff for diff in map(self._diff, rows) if diff.owner == owner]  # some databases compare loosely

    def _diff(self, row: Mapping[str, Any]) -> Diff:
        columns = {_plain(name): _plain(value) for name, value in row.items()}
        try:
            read = msgspec.convert(columns, _Row)
        except msgspec.ValidationError as error:
            raise SchemaError(
                f"a row of {self._diffs_model!r}, the table of diffs, is no diff: {error}. It needs {_COLUMNS}"
            ) from None
        return Diff(**msgspec.structs.asdict(read))

    def _has_row(self, model: str, record: str) -> bool:
        rows = self._read(model, ReadFilter(Diff.ID, FilterType.equal, record))
        return any(str(row.get("id", record)) == record for row in rows)

    def _is_anothers(self, owner: str, key: Key) -> bool:
        """Say whether the log knows a row that is there as another owner's."""
        creates = self._read(
            self._diffs_model,
            ReadFilter(Diff.MODEL, FilterType.equal, key[0]),
            ReadFilter(Diff.TYPE, FilterType.equal, OperationType.create.name),
        )
        owners = set()
        for diff in map(self._diff, creates):
            edit = edit_of(diff)
            if diff.owner != owner and edit is not None and edit.key == key:
                owners.add(diff.owner)
        entries = [self.log(other).entry(key) for other in owners]
        return any(entry is not None and not entry.deleted for entry in entries)

    def _read(self, where: str, *filters: ReadFilter) -> list[Mapping[str, Any]]:
        answer = self._synchronizer.read(where, list(filters))
        what = f"{type(self._synchronizer).__name__}.read({where!r})"
        rows: Any = answer
        if isinstance(answer, str | bytes):
            try:
                rows = _decode(answer)
            except (msgspec.DecodeError, UnicodeError, ValueError) as error:
                raise SchemaError(f"{what} returned no JSON that can be read: {error}") from None
        if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
            raise TypeError(f"{what} must return rows: a list of dicts, or that as JSON, not a {type(rows).__name__}")
        found = list(rows)
        for row in found:
            if not isinstance(row, Mapping):
                raise TypeError(
                    f"{what} must return rows that are dicts, or a JSON list of such, not {type(row).__name__}"
                )
        return found


def _table(name: str) -> str:
    return name.rpartition(".")[2].casefold()


def _plain(value: Any) -> Any:
    """Return a str for what only derives from it, as some drivers' do, and the name of an `OperationType`."""
    if isinstance(value, OperationType):
        return value.name
    return str.__str__(value) if isinstance(value, str) else value


def _row(entry: Entry) -> str:
    return _encode({"id": entry.key[1], **entry.values()}).decode()
