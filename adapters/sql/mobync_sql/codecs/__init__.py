"""Between JSON and what the columns of the application's tables hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from mobync_sql.codecs.base import Codec
from mobync_sql.codecs.identity import IdentityCodec
from mobync_sql.codecs.moments import DateCodec, DateTimeCodec, DateTimeUtcCodec, TimeCodec
from mobync_sql.codecs.numbers import DecimalCodec, IntegerCodec, NumberCodec
from mobync_sql.codecs.values import BooleanCodec, BytesCodec, EnumCodec, JsonCodec, TextCodec, UuidCodec

__all__ = ["Codec", "IdentityCodec", "codec_described", "codec_for", "identity_codec_for"]


_KINDS: dict[str, Callable[..., Codec]] = {
    codec.kind: codec
    for codec in (
        BooleanCodec,
        BytesCodec,
        DateCodec,
        DateTimeCodec,
        DateTimeUtcCodec,
        DecimalCodec,
        EnumCodec,
        IntegerCodec,
        JsonCodec,
        NumberCodec,
        TextCodec,
        TimeCodec,
        UuidCodec,
    )
}

_CONVERSIONS = (
    "process_bind_param",
    "process_result_value",
    "bind_processor",
    "result_processor",
    "bind_expression",
    "column_expression",
)
"""What an application's `TypeDecorator` may override to have other values in Python than the type that it decorates."""


def codec_for(type: TypeEngine[Any]) -> Codec | None:
    """Return the codec of a column of this type; None if it is unknown what Python's values of it are.

    So it is with an application's own types, and with variants of another kind.
    """
    codec = _codec(type)
    if codec is None:
        return None
    # SQLAlchemy has no public name for what `with_variant` was told.
    variants = [_codec(variant) for variant in type._variant_mapping.values()]
    kinds = {codec.kind} | {None if variant is None else variant.kind for variant in variants}
    if kinds == {DateTimeCodec.kind, DateTimeUtcCodec.kind}:
        return DateTimeUtcCodec()  # where the database knows no zones, it holds UTC
    return codec if len(kinds) == 1 else None


def _codec(type: TypeEngine[Any]) -> Codec | None:  # noqa: PLR0911, PLR0912 - one for each kind
    match type:
        case TypeDecorator():
            decorator = type.__class__
            if any(getattr(decorator, name) is not getattr(TypeDecorator, name) for name in _CONVERSIONS):
                return None
            return _codec(type.impl_instance)
        case postgresql.DOMAIN():
            codec = _codec(type.data_type)
            # SQLAlchemy passes values of a domain on as they are, which psycopg does right for all but these.
            return None if isinstance(codec, JsonCodec | EnumCodec) else codec
        case sa.Enum():
            return EnumCodec(tuple(type.enums), type)
        case mysql.SET():
            return None
        case sa.String():
            return TextCodec(type.length, isinstance(type, sa.CHAR | sa.NCHAR))
        case sa.Boolean():
            return BooleanCodec()
        case sa.Integer():
            return IntegerCodec()
        case sa.Numeric() | sa.Float() if not type.asdecimal:
            return NumberCodec()
        case sa.Float():
            return DecimalCodec()
        case sa.Numeric():
            # In SQL, NUMERIC(10) is NUMERIC(10, 0), but NUMERIC has as many digits as the database likes.
            return DecimalCodec(type.precision, 0 if type.precision and type.scale is None else type.scale)
        case sa.DateTime():
            return DateTimeUtcCodec() if type.timezone else DateTimeCodec()
        case sa.Date():
            return DateCodec()
        case sa.Time() if not type.timezone:
            return TimeCodec()
        case sa.Uuid():
            return UuidCodec(type.native_uuid, not type.as_uuid)
        case sa.JSON():
            return JsonCodec()
        case sa.LargeBinary() | sa.BINARY() | sa.VARBINARY():
            return BytesCodec(type.length)
        case mysql.TINYBLOB() | mysql.MEDIUMBLOB() | mysql.LONGBLOB():
            return BytesCodec()
    return None


def identity_codec_for(type: TypeEngine[Any]) -> IdentityCodec | None:
    """Return the codec of an owner's or an id's column; None if it is neither text, integer nor UUID."""
    codec = codec_for(type)
    return IdentityCodec(codec) if isinstance(codec, TextCodec | IntegerCodec | UuidCodec) else None


def codec_described(described: Mapping[str, Any]) -> Codec:
    """Return the codec that `Codec.described` told of."""
    options = dict(described)
    kind = options.pop("kind")
    if "names" in options:
        options["names"] = tuple(options["names"])
    return _KINDS[kind](**options)
