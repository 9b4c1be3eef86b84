"""Reads the diffs of a request into edits that the merge can judge, refusing one by one what it cannot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from inspect import iscoroutine, iscoroutinefunction
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, Struct

from mobync_core.errors import ServerBusy, StorageUnavailable
from mobync_core.limits import TIMESTAMP_MAX, FieldRules, Limits, identifier_fault, utf8_size
from mobync_core.storage import Key, OwnTables
from mobync_core.wire import Diff, DiffType

ECHO = "mobync:"
"""How every id begins that this server issues for an answered diff."""

_TYPES = ("create", "update", "delete")
_decode_json = msgspec.json.Decoder().decode


class Refusal(Struct, frozen=True):
    """Why a diff is not taken: the protocol's error code, and a sentence for people."""

    code: str
    reason: str


class Edit(Struct, frozen=True):
    """A diff as the merge sees it.

    `key` is None if the record could not be read at all, `refusal` None if nothing is wrong with it.
    `order` is the (clock, timestamp) that it was sent with: diffs of the published client that share one may
    arrive in any order. `ignored` are fields that the client may not write: they count as set by it, and set nothing.
    `life` is the one of the record that the client knew, or that its create begins; 0 if it does not say.
    """

    id: str
    type: DiffType
    key: Key | None
    timestamp: int
    fields: dict[str, Any]
    order: tuple[int, int] = (0, 0)
    refusal: Refusal | None = None
    ignored: Collection[str] = frozenset()
    life: int = 0

    @property
    def is_echo(self) -> bool:
        return self.id.startswith(ECHO)


class Rules(Protocol):
    """An application's own rules; each is called with the fields of a `Diff` as keywords.

    Answering False refuses that diff (`unauthorized`), never the batch. An exception refuses the whole request,
    which changes nothing. The names are the original library's.
    """

    def validate_create(self, owner_id: str, **diff: Any) -> bool:
        """Say whether the owner may create this record."""

    def validate_update(self, owner_id: str, **diff: Any) -> bool:
        """Say whether the owner may update this record so."""

    def validate_delete(self, owner_id: str, **diff: Any) -> bool:
        """Say whether the owner may delete this record."""


class _Unreadable(Exception):
    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.refusal = Refusal(code, reason)


class DiffReader:
    """Reads diffs by the limits, the rules and the tables of one application."""

    def __init__(self, limits: Limits, rules: Rules | None = None, tables: OwnTables | None = None) -> None:
        self._limits = limits
        self._field_rules = FieldRules(limits)
        self._tables = tables
        self._allowed = {kind: _rule(rules, kind) for kind in _TYPES} if rules is not None else None

    def read(self, owner: str, diffs: Sequence[Any]) -> list[Edit]:
        """Read what a device sent. Raises what a rule raises."""
        edits = []
        ids: set[str] = set()
        for sent in diffs:
            edit = self._edit(sent)
            if edit.refusal is None and not edit.is_echo:
                if edit.id in ids:
                    edit = _refused(edit, "invalid_data", f"the id {edit.id!r} is used twice in this request")
                else:
                    if self._tables is not None and edit.type != "delete":
                        edit = self._fitted(owner, edit, self._tables)
                    if self._allowed is not None and edit.refusal is None:
                        edit = self._judged(owner, sent, edit)
                ids.add(edit.id)
            edits.append(edit)
        return edits

    def key_fault(self, model: str, record: str) -> str | None:
        """Say what keeps a record from being named so; None if nothing does."""
        if fault := self._field_rules.name_fault(model):
            return f"the model {fault}"
        if fault := identifier_fault(record):
            return f"the record's id {fault}"
        return None

    def fields_fault(self, fields: Mapping[str, Any]) -> str | None:
        """Say what keeps a record from having these fields; None if nothing does."""
        for name, value in fields.items():
            if fault := self._field_rules.name_fault(name):
                return f"the field's name {str(name)[:64]!r} {fault}"
            if fault := self._field_rules.value_fault(value):
                return f"the field {name!r} {fault}"
        return None

    def row_fault(self, owner: str, model: str, fields: Mapping[str, Any]) -> str | None:
        """Say what keeps a row of the application's table from having these fields; None if nothing does.

        Raises `ServerBusy` if the storage has yet to ask its store, which is out of reach.
        """
        if self._tables is None:
            return None
        try:
            return self._tables.row_fault(owner, model, fields)
        except StorageUnavailable as error:
            raise ServerBusy(f"the storage is out of reach: {error}") from error

    def _fitted(self, owner: str, edit: Edit, tables: OwnTables) -> Edit:
        """Hold an edit to what the application's table takes."""
        assert edit.key is not None
        model = edit.key[0]
        if fault := self.row_fault(owner, model, edit.fields):
            return _refused(edit, "invalid_data", fault)
        ignored = frozenset(tables.read_only(model)) & edit.fields.keys()
        return msgspec.structs.replace(edit, ignored=ignored) if ignored else edit

    def _edit(self, sent: Any) -> Edit:
        if type(sent) is not Diff:
            if not isinstance(sent, Mapping):
                return Edit("", "update", None, 0, {}, refusal=Refusal("invalid_data", "a diff must be an object"))
            return self._odd(sent)
        if sent.id.startswith(ECHO):
            return Edit(sent.id, sent.type, None, 0, {})
        key = None
        fields: dict[str, Any] = {}
        refusal = None
        try:
            record, fields = self._data(sent.type, sent.json_data)
            key = _tellable(sent.model, record)
            self._check(sent, record, fields)
        except _Unreadable as unreadable:
            refusal = unreadable.refusal
        order = (sent.logical_clock, sent.utc_timestamp)
        life = 0 if sent.life is UNSET else sent.life
        return Edit(sent.id, sent.type, key, sent.utc_timestamp, fields, order, refusal, life=life)

    def _data(self, kind: DiffType, json_data: str) -> tuple[str, dict[str, Any]]:
        """Return the record's id and its fields."""
        try:
            data = _decode_json(json_data)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
            raise _Unreadable("invalid_data", f"json_data is not JSON that can be read: {error}") from None
        if type(data) is not dict:
            raise _Unreadable("invalid_data", "json_data must hold a JSON object")
        record = data.pop("id", None)
        if type(record) is not str or not record:
            code = "malformed_update_uuid" if kind == "update" else "invalid_data"
            raise _Unreadable(code, "json_data must name the record by its id, a string")
        return record, data

    def _check(self, sent: Diff, record: str, fields: dict[str, Any]) -> None:
        if fault := identifier_fault(sent.id):
            raise _Unreadable("invalid_data", f"the diff's id {fault}")
        if fault := self.key_fault(sent.model, record):
            raise _Unreadable("invalid_data", fault)
        if not 0 <= sent.utc_timestamp <= TIMESTAMP_MAX:
            raise _Unreadable("invalid_data", f"utc_timestamp must be at least 0 and at most {TIMESTAMP_MAX}")
        if sent.type == "delete":
            return
        if len(sent.json_data) * 4 > self._limits.diff_bytes:
            size = len(sent.json_data.encode())
            if size > self._limits.diff_bytes:
                raise _Unreadable("too_large", f"json_data has {size} bytes, more than {self._limits.diff_bytes}")
        if fault := self.fields_fault(fields):
            raise _Unreadable("invalid_data", fault)
        if sent.type == "update":
            if not fields:
                raise _Unreadable("malformed_update", "an update must set a field")
            if not self._limits.null_in_updates and None in fields.values():
                name = next(name for name, value in fields.items() if value is None)
                raise _Unreadable("malformed_update", f"an update may not set {name!r} to null here")

    def _odd(self, sent: Mapping[str, Any]) -> Edit:
        """Read a diff of which some part is not of its type, to know at least which record to put right."""
        try:
            return self._edit(msgspec.convert(sent, Diff))
        except (msgspec.ValidationError, RecursionError) as error:
            refusal = Refusal("invalid_data", f"the diff could not be read: {error}")
        name, model, json_data = sent.get("id"), sent.get("model"), sent.get("json_data")
        key = None
        if isinstance(model, str) and isinstance(json_data, str):
            with suppress(_Unreadable):
                key = _tellable(model, self._data("update", json_data)[0])
        return Edit(name if isinstance(name, str) else "", "update", key, 0, {}, refusal=refusal)

    def _judged(self, owner: str, sent: Any, edit: Edit) -> Edit:
        diff = msgspec.structs.asdict(sent if isinstance(sent, Diff) else msgspec.convert(sent, Diff))
        diff["owner"] = owner
        del diff["life"], diff["stamps"]  # between the client and the merge
        assert self._allowed is not None
        answer = self._allowed[edit.type](owner, **diff)
        if answer is True:
            return edit
        if answer is not False:  # a coroutine, or a sentence that says no, would count as a yes
            if iscoroutine(answer):
                answer.close()
            raise TypeError(f"validate_{edit.type} must return True or False, not a {type(answer).__name__}")
        return _refused(edit, "unauthorized", f"the application does not allow this {edit.type}")


def _rule(rules: Rules, kind: str) -> Callable[..., object]:
    rule: Callable[..., object] | None = getattr(rules, f"validate_{kind}", None)
    if isinstance(rules, type) or not callable(rule):
        what = f"the class {rules.__name__}" if isinstance(rules, type) else f"a {type(rules).__name__}"
        raise TypeError(
            f"rules must be an object with validate_create, validate_update and validate_delete, not {what}"
        )
    if iscoroutinefunction(rule):
        raise TypeError(f"validate_{kind} must not be async: the engine runs in a thread and does not await")
    return rule


def _tellable(model: str, record: str) -> Key | None:
    """Return the key of a record that an answer can speak of: the published client takes no empty model."""
    return (model, record) if model and utf8_size(model + record) is not None else None


def _refused(edit: Edit, code: str, reason: str) -> Edit:
    return msgspec.structs.replace(edit, refusal=Refusal(code, reason))
