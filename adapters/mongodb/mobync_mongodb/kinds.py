"""Between JSON and what the fields of the application's documents hold."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, DecimalException
from typing import Any

from bson import Binary, Decimal128, ObjectId
from bson.binary import OLD_BINARY_SUBTYPE, UUID_SUBTYPE, UuidRepresentation

_MOST_DIGITS = 34  # of a Decimal128; more zeros than that behind them nobody wants to read


@dataclass(frozen=True, slots=True)
class Kind:
    """What a BSON type is in JSON. Neither way is ever asked about null.

    Both raise `ValueError` with the end of a sentence, such as "must be 24 hexadecimal digits".
    """

    to_json: Callable[[Any], Any]
    to_bson: Callable[[Any], Any]


def plain_to_json(value: Any) -> Any:
    """Return a value of a field without a kind. What JSON does not have stays: the engine says so of the record."""
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # Int64 is a class of its own
    if isinstance(value, Mapping):
        return {name: plain_to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain_to_json(item) for item in value]
    return value


def plain_to_bson(value: Any) -> Any:
    """Return `value` itself, if a document can hold it. MongoDB before 5.0 takes no name that begins with ``$``."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name.startswith("$") or "\0" in name:
                raise ValueError("holds a name that begins with $, or has a NUL")
            plain_to_bson(item)
    elif isinstance(value, list):
        for item in value:
            plain_to_bson(item)
    return value


def _moment_to_json(value: Any) -> str:
    if not isinstance(value, datetime):
        raise ValueError("is no date and time that can be told")  # of another type, or beyond the year 9999
    return _in_utc(value).isoformat()


def _moment_to_bson(value: Any) -> datetime:
    try:
        moment = _in_utc(datetime.fromisoformat(_text(value)))
    except ValueError:
        raise ValueError('must be a date and time such as "2026-01-02T03:04:05Z"') from None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=None)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999") from None


def _object_id_to_json(value: Any) -> str:
    if not isinstance(value, ObjectId):
        raise ValueError("is no ObjectId")
    return str(value)


def _object_id_to_bson(value: Any) -> ObjectId:
    text = _text(value)
    if not (ObjectId.is_valid(text) and text == text.lower()):
        raise ValueError("must be 24 hexadecimal digits, in lower case")
    return ObjectId(text)


def _decimal_to_json(value: Any) -> str:
    if not isinstance(value, Decimal128):
        raise ValueError("is no decimal")
    return _digits(value.to_decimal())


def _decimal_to_bson(value: Any) -> Decimal128:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('must be a decimal such as "12.50"')
    try:
        return Decimal128(_digits(Decimal(str(value))))
    except DecimalException:
        raise ValueError(f'must be a decimal such as "12.50", of {_MOST_DIGITS} digits at most') from None


def _digits(number: Decimal) -> str:
    if not number.is_finite() or abs(number.adjusted()) > _MOST_DIGITS:
        raise ValueError(f"must be a finite decimal of {_MOST_DIGITS} digits at most")
    return format(number, "f")


def _uuid_to_json(value: Any) -> str:
    if isinstance(value, Binary) and value.subtype == UUID_SUBTYPE:
        value = value.as_uuid(UuidRepresentation.STANDARD)
    if not isinstance(value, uuid.UUID):
        raise ValueError("is no UUID in the standard representation")
    return str(value)


def _uuid_to_bson(value: Any) -> Binary:
    try:
        return Binary.from_uuid(uuid.UUID(_text(value)), UuidRepresentation.STANDARD)
    except ValueError:
        raise ValueError('must be a UUID such as "0b4c8f6e-3c1d-4f4e-9f57-0a1b2c3d4e5f"') from None


def _binary_to_json(value: Any) -> str:
    # Python reads subtype 0 as bytes; of another, what is written back would be another value.
    if not isinstance(value, bytes) or (isinstance(value, Binary) and value.subtype == OLD_BINARY_SUBTYPE):
        raise ValueError("is no binary data")
    if isinstance(value, Binary) and value.subtype != 0:
        raise ValueError(f"is binary data of the subtype {value.subtype}")
    return base64.b64encode(value).decode()


def _binary_to_bson(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None


def _integer_to_json(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is no whole number")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    return value


PLAIN = Kind(plain_to_json, plain_to_bson)

KINDS: Mapping[str, Kind] = {
    "datetime": Kind(_moment_to_json, _moment_to_bson),
    "objectid": Kind(_object_id_to_json, _object_id_to_bson),
    "decimal": Kind(_decimal_to_json, _decimal_to_bson),
    "uuid": Kind(_uuid_to_json, _uuid_to_bson),
    "binary": Kind(_binary_to_json, _binary_to_bson),
}
"""What a binding's `types` may name, for fields."""

NAMES: Mapping[str, Kind] = {
    "text": Kind(_text, _text),
    "objectid": KINDS["objectid"],
    "uuid": KINDS["uuid"],
    "integer": Kind(_integer_to_json, int),
}
"""And for the owner and the ``_id``, which devices know by their texts."""


def kind_of(value: Any) -> str:
    """Return the name of the kind of a value, or of that name of an owner or an id; "" if it has none."""
    for name, kind in {**KINDS, **NAMES}.items():
        try:
            kind.to_json(value)
        except ValueError:
            continue
        return name
    return ""


def name_to_text(kind: str, value: Any) -> str:
    """Return the text of an owner or an id. Raises `ValueError` if it is of another kind."""
    return str(NAMES[kind].to_json(value))


def text_to_name(kind: str, text: str) -> Any:
    """Return the owner or the id whose text is `text`. Raises `ValueError` if there is none: "007" is no integer's."""
    try:
        value = NAMES[kind].to_bson(text)
    except ValueError as error:
        reason = "must be the text of a whole number" if kind == "integer" else str(error)
        raise ValueError(reason) from None
    if kind == "integer" and abs(value) >= 2**63:
        raise ValueError("must be a whole number of 64 bits")
    if (canonical := name_to_text(kind, value)) != text:
        raise ValueError(f"must be written as {canonical!r}")
    return value
