"""Texts, and what is neither a number nor a time."""

from __future__ import annotations

import base64
import binascii
import math
import uuid
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.types import TypeEngine

from mobync_sql.codecs.base import Codec, wrong
from mobync_sql.codecs.numbers import INT_MAX, INT_MIN


@dataclass(frozen=True)
class TextCodec(Codec):
    """`length` is the most characters, if there is one; `padded` that blanks at the end mean nothing, as in CHAR."""

    kind: ClassVar[str] = "text"
    length: int | None = None
    padded: bool = False

    def to_json(self, value: Any) -> str:
        if not isinstance(value, str):
            raise wrong("a text", value)
        return value.rstrip(" ") if self.padded else value

    def to_column(self, value: Any) -> str:
        text = self.to_json(value)
        if "\0" in text:
            raise ValueError("holds a NUL character")
        if self.length is not None and len(text) > self.length:
            raise ValueError(f"has {len(text)} characters, more than {self.length}")
        return text

    def column_type(self) -> TypeEngine[str]:
        return sa.CHAR(self.length) if self.padded else sa.String(self.length)


@dataclass(frozen=True)
class BooleanCodec(Codec):
    kind: ClassVar[str] = "boolean"

    def to_json(self, value: Any) -> bool:
        return self.to_column(value)

    def to_column(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong("true or false", value)
        return value

    def column_type(self) -> TypeEngine[bool]:
        return sa.Boolean()


@dataclass(frozen=True)
class UuidCodec(Codec):
    """`native` says that a database which knows UUIDs holds one; `as_text` that SQLAlchemy gives and takes texts."""

    kind: ClassVar[str] = "uuid"
    native: bool = True
    as_text: bool = field(default=False, compare=False)

    def to_json(self, value: Any) -> str:
        return str(value) if isinstance(value, uuid.UUID) else str(self._uuid(value))

    def to_column(self, value: Any) -> uuid.UUID | str:
        found = self._uuid(value)
        return str(found) if self.as_text else found

    def _uuid(self, value: Any) -> uuid.UUID:
        if not isinstance(value, str):
            raise wrong("the text of a UUID", value)
        try:
            return uuid.UUID(value)
        except ValueError:
            raise ValueError('must be a UUID such as "6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c"') from None

    def column_type(self) -> TypeEngine[Any]:
        return sa.Uuid(native_uuid=self.native)


@dataclass(frozen=True)
class JsonCodec(Codec):
    """Any JSON. Its null at the top is the column's NULL."""

    kind: ClassVar[str] = "json"
    null: ClassVar[Any] = sa.null()  # None would be the JSON text "null"

    def to_json(self, value: Any) -> Any:
        return _json(value)

    def to_column(self, value: Any) -> Any:
        return _json(value, nul=False)

    def column_type(self) -> TypeEngine[Any]:
        return sa.JSON(none_as_null=True)


def _json(value: Any, *, nul: bool = True) -> Any:
    if isinstance(value, dict):
        return {_json(name, nul=nul): _json(item, nul=nul) for name, item in value.items()}
    if isinstance(value, list):
        return [_json(item, nul=nul) for item in value]
    if isinstance(value, str) and not nul and "\0" in value:
        raise ValueError("holds a NUL character")  # PostgreSQL's JSONB takes none
    if isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        try:
            return float(value)  # as which it came: JSONB writes 1e300 with all its digits
        except OverflowError:
            raise ValueError("holds a number that is too great") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("holds a number that is not finite")
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"holds a {type(value).__name__}, which JSON does not have")
    return value


@dataclass(frozen=True)
class BytesCodec(Codec):
    """Bytes are base64 in JSON. `length` is the most of them, if there is one."""

    kind: ClassVar[str] = "bytes"
    length: int | None = None

    def to_json(self, value: Any) -> str:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise wrong("bytes", value)
        return base64.b64encode(value).decode()

    def to_column(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise wrong("a text in base64", value)
        try:
            found = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("must be a text in base64") from None
        if self.length is not None and len(found) > self.length:
            raise ValueError(f"has {len(found)} bytes, more than {self.length}")
        return found

    def column_type(self) -> TypeEngine[bytes]:
        return sa.LargeBinary(self.length)


@dataclass(frozen=True)
class EnumCodec(Codec):
    """`names` are the texts that the database holds; with a `type`, Python may have members of an enum."""

    kind: ClassVar[str] = "enum"
    names: tuple[str, ...]
    type: sa.Enum | None = field(default=None, compare=False, repr=False)

    @cached_property
    def _values(self) -> dict[str, Any]:
        """What SQLAlchemy gives for each name."""
        if self.type is None:
            return {name: name for name in self.names}
        to_python = self.type.result_processor(DefaultDialect(), None)  # type: ignore[no-untyped-call]
        return {name: to_python(name) for name in self.names}

    @cached_property
    def _names(self) -> dict[Any, str]:
        """The name of each value: the first, if it has several."""
        return {self._values[name]: name for name in reversed(self.names)}

    def to_json(self, value: Any) -> str:
        if not isinstance(value, str | Enum):
            raise wrong("a text", value)
        return str(self._known(self._names, value))

    def to_column(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise wrong("a text", value)
        return self._known(self._values, value)

    def _known(self, among: dict[Any, Any], value: Any) -> Any:
        if value not in among:
            raise ValueError("must be one of " + ", ".join(f'"{name}"' for name in self.names))
        return among[value]

    def column_type(self) -> TypeEngine[Any]:
        return sa.Enum(*self.names, native_enum=False)
