"""What a codec is: the two ways between a field of a record and a column of the application's table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar

from sqlalchemy.types import TypeEngine


class Codec(ABC):
    """Turns what a column holds into JSON, and back. Neither is ever asked about null.

    Each kind is a frozen dataclass, whose compared fields are what `described` tells of it.
    """

    kind: ClassVar[str]
    null: ClassVar[Any] = None
    """What to write for null."""

    @abstractmethod
    def to_json(self, value: Any) -> Any:
        """Return the one JSON value that stands for the Python value `value`, as SQLAlchemy read it.

        Raises `ValueError`, with the end of a sentence such as "is not a finite number", if there is none.
        """

    @abstractmethod
    def to_column(self, value: Any) -> Any:
        """Return the Python value to write for the JSON value `value`.

        Raises `ValueError`, with the end of a sentence such as "must be a whole number, not a text", if there is none.
        """

    @abstractmethod
    def column_type(self) -> TypeEngine[Any]:
        """Return a type for a column of which the database alone does not tell that it is of this kind."""

    def described(self) -> dict[str, Any]:
        """Return what `mobync_sql.codecs.codec_described` makes the codec of again; JSON."""
        described = {field.name: getattr(self, field.name) for field in fields(self) if field.compare}  # type: ignore[arg-type]
        return {"kind": self.kind, **described}


def wrong(wanted: str, value: object) -> ValueError:
    """Return the error for a JSON value of another kind than is `wanted`, such as "a text"."""
    return ValueError(f"must be {wanted}, not {_KINDS.get(type(value), f'a {type(value).__name__}')}")


_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
