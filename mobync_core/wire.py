"""The JSON of `POST /sync`: requests, answers, and the diffs in both (protocol, "The wire")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from mobync_core.errors import InvalidData
from mobync_core.limits import TIMESTAMP_MAX

DiffType: TypeAlias = Literal["create", "update", "delete"]
Clock: TypeAlias = Annotated[int, Meta(ge=0, le=TIMESTAMP_MAX)]
Result: TypeAlias = Literal["applied", "merged", "dropped", "refused", "repeated", "cancelled", "echo"]


class Diff(Struct, frozen=True, kw_only=True):
    """One change of one record, as it crosses the wire.

    `utc_timestamp` is the device's own clock in ms. `json_data` is a string that holds a JSON object, always
    with the record's ``id``; on delete just that. Of a diff that is sent, `owner` decides nothing.

    `life` and `stamps` are for clients that ask for `registers`. Of a diff that is sent, `life` is the one of the
    record that the client knew when it made the diff, or that its create begins. Of one that is told, it is the
    record's, unset if that is 1 and the record alive, or if it never came to be; and `stamps` are those of the fields
    whose stamp is not the diff's `utc_timestamp`.

    Its constants name the columns of a `Synchronizer`'s table of diffs.
    """

    ID: ClassVar[str] = "id"
    OWNER: ClassVar[str] = "owner"
    LOGICAL_CLOCK: ClassVar[str] = "logical_clock"
    UTC_TIMESTAMP: ClassVar[str] = "utc_timestamp"
    TYPE: ClassVar[str] = "type"
    MODEL: ClassVar[str] = "model"
    JSON_DATA: ClassVar[str] = "json_data"

    id: str
    owner: str = ""
    logical_clock: int = 0
    utc_timestamp: int
    type: DiffType
    model: str
    json_data: str
    life: Annotated[int, Meta(ge=1, le=TIMESTAMP_MAX)] | UnsetType = UNSET
    stamps: dict[str, int] | UnsetType = UNSET

    @staticmethod
    def validate(data: Any) -> bool:
        """Say whether a dict, or the JSON of one, has every field of a diff, each of its type and none empty."""
        try:
            if isinstance(data, str):
                data = msgspec.json.decode(data)
            diff = msgspec.convert(data, _Whole)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        return all((diff.id, diff.owner, diff.model, diff.json_data))


class _Whole(Struct):
    """A diff without defaults."""

    id: str
    owner: str
    logical_clock: Clock
    utc_timestamp: Clock
    type: DiffType
    model: str
    json_data: str


class Lost(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field of an edit that lost: to what.

    `written_by` is the diff whose value was `kept`, `stamp` what a concurrent edit had to reach. Both are unset
    where the field has no value: then the edit came too late for this life of the record.
    """

    field: str
    value: Any
    stamp: int
    kept: Any | UnsetType = UNSET
    written_by: str | UnsetType = UNSET


class Outcome(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one diff that was sent, for a request that asks to `explain`.

    `result` is ``applied``; ``merged`` (some fields, or all, lost: `lost`); ``dropped`` (`reason`);
    ``refused`` (`code` and `reason`); ``repeated`` (applied by an earlier delivery); ``cancelled`` (created and
    deleted offline); or ``echo`` (a diff that this server issued). `id` is "" where it could not be read.
    """

    id: str
    result: Result
    model: str = ""
    record: str = ""
    code: str = ""
    reason: str = ""
    lost: Sequence[Lost] = ()


class SyncRequest(Struct, frozen=True, kw_only=True):
    """What a client sends.

    `logical_clock` is its base: it has seen every change whose clock is smaller. `diffs` are `Diff` objects, or
    whatever else was sent in their place, which is refused one by one.

    Beyond the original: `limit` asks for pages of at most so many records, `explain` for outcomes, `registers` for the
    stamps and lives of what is told. `atomic` says that the client applies an answer in one transaction, sends its
    queue in the order it was made, and gives each diff the base that it had then as its `logical_clock`. `epoch` and
    `owner` are those that the client knows, or None to be told them. `page` says that it knows how pages go on: None
    with the first request of a reading, then what the answers give. `resync` says that it knows its base to lie below
    what was purged, and will fetch the whole list after.
    """

    logical_clock: Clock
    diffs: Sequence[Any] = ()
    auth_token: str | None = None
    limit: Annotated[int, Meta(ge=1)] | None = None
    explain: bool = False
    atomic: bool = False
    registers: bool = False
    resync: bool = False
    epoch: str | UnsetType | None = UNSET
    owner: str | UnsetType | None = UNSET
    page: Annotated[str, Meta(pattern="^-?[0-9]{1,16}$")] | UnsetType | None = UNSET


class SyncResponse(Struct, frozen=True, kw_only=True):
    """What the client is told: `diffs` to apply, and `logical_clock`, its next base.

    Further keys are there only if the request asked. `epoch` is None for an owner that has never changed anything;
    `page` goes with the request for the next page.
    """

    success: bool = True
    message: str = ""
    logical_clock: int
    diffs: Sequence[Diff]
    has_more: bool | UnsetType = UNSET
    outcomes: Sequence[Outcome] | UnsetType = UNSET
    epoch: str | UnsetType | None = UNSET
    owner: str | UnsetType = UNSET
    page: str | UnsetType = UNSET


class _Request(SyncRequest, frozen=True, kw_only=True):
    diffs: list[Diff] = []  # a mutable default is copied by msgspec


_decode = msgspec.json.Decoder(_Request).decode
_decode_any = msgspec.json.Decoder(SyncRequest).decode
_encode = msgspec.json.Encoder().encode


def decode_request(body: bytes) -> SyncRequest:
    """Read the body of a request.

    Raises `InvalidData` if it is not understood as a whole. A diff that is not understood stays in `diffs` as
    what the JSON says, for the engine to refuse alone.
    """
    try:
        return _decode(body)
    except msgspec.ValidationError:
        pass  # perhaps only some diffs are wrong
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise InvalidData(f"the body is not JSON that can be read: {error}") from None
    try:
        return _decode_any(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError) as error:
        raise InvalidData(f"the request is not one of a sync: {error}") from None


def check_request(request: SyncRequest) -> None:
    """Check what a decoded request is known to fulfil, for one that was made otherwise. Raises `InvalidData`."""
    asked = {name: value for name, value in msgspec.structs.asdict(request).items() if value is not UNSET}
    try:
        msgspec.convert({**asked, "diffs": ()}, SyncRequest)
    except msgspec.ValidationError as error:
        raise InvalidData(f"the request is not one of a sync: {error}") from None


def read_diffs(diffs: Sequence[Any]) -> Sequence[Any]:
    """Turn dicts into `Diff` objects, if every one of them can be."""
    try:
        return msgspec.convert(diffs, list[Diff])
    except (msgspec.ValidationError, RecursionError):
        return diffs


def encode_response(response: SyncResponse) -> bytes:
    """Write the body of an answer."""
    return _encode(response)


def as_dict(response: SyncResponse) -> dict[str, Any]:
    """Return the answer as JSON-able dicts and lists."""
    answer: dict[str, Any] = msgspec.to_builtins(response)
    return answer
