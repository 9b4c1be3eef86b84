"""What a request and its values may be, in one place, with safe defaults."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

IDENTIFIER_BYTES = 255
"""The most bytes of UTF-8 in an owner, a model, a record's id or a diff's id: what every storage can index."""

TIMESTAMP_MAX = 2**53 - 1
"""The greatest timestamp, and clock, that a client whose numbers are doubles can read."""

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the engine takes. Sizes are in bytes of UTF-8.

    A request over `request_bytes` or `diffs` is refused as a whole, and a client of the published kind sends
    such a queue for ever: keep both far above what a device gathers in its longest time offline. All else
    concerns one diff and refuses only that: `diff_bytes` its `json_data`, `record_bytes` what the server would
    keep of its record, `nesting` how deep lists and objects lie within a value (1: a list of plain values).

    `names` is what a model's or a field's name must match whole. The published client writes such names into
    SQL unquoted: a wider pattern lets one device attack another, unless yours quotes them.

    `null_in_updates` lets an update set a field to null; the original's paper refuses it as `malformed_update`.
    """

    request_bytes: int = 32 * 1024 * 1024
    diffs: int = 100_000
    diff_bytes: int = 1024 * 1024
    record_bytes: int = 1024 * 1024
    nesting: int = 32
    page: int = 10_000
    names: str = r"[A-Za-z0-9_.-]+"
    null_in_updates: bool = False


def identifier_fault(text: object) -> str | None:
    """Say what keeps `text` from being an owner, a model, a record's id or a diff's id; None if nothing does."""
    if not isinstance(text, str):
        return "is not a string"
    if not text:
        return "is empty"
    size = utf8_size(text)
    if size is None:
        return "holds a lone surrogate"
    if size > IDENTIFIER_BYTES:
        return f"has {size} bytes of UTF-8, more than {IDENTIFIER_BYTES}"
    if "\0" in text:
        return "holds a NUL character"
    return None


class FieldRules:
    """Judges the fields of a record by `Limits`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._matches = re.compile(limits.names).fullmatch
        self._known: set[str] = set()  # names that passed: an application has few, and each comes many times

    def name_fault(self, name: str) -> str | None:
        """Say what keeps `name` from being a model's or a field's name; None if nothing does."""
        if name in self._known:
            return None
        if fault := identifier_fault(name):
            return fault
        if not self._matches(name):
            return f"does not match {self._limits.names}"
        if len(self._known) < 10_000:
            self._known.add(name)
        return None

    def value_fault(self, value: Any, depth: int = 0) -> str | None:  # noqa: PLR0911 - one return for each kind of value
        """Say what keeps `value` from being told to every device; None if nothing does."""
        kind = type(value)
        if kind is str:
            return None if utf8_size(value) is not None else "holds a lone surrogate"
        if kind is int:
            return None if _INT_MIN <= value <= _INT_MAX else "is an integer beyond 64 bit"
        if value is None or kind is bool:
            return None
        if kind is float:
            return None if value - value == 0 else "is not a finite number"
        if kind is not list and kind is not dict:
            return f"is a {kind.__name__}, which JSON does not have"
        if depth >= self._limits.nesting:
            return f"is nested deeper than {self._limits.nesting}"
        if kind is dict:
            for name in value:
                if type(name) is not str:
                    return f"has a key that is a {type(name).__name__}"
                if utf8_size(name) is None:
                    return "holds a lone surrogate"
            value = value.values()
        for item in value:
            if fault := self.value_fault(item, depth + 1):
                return fault
        return None


def utf8_size(text: str) -> int | None:
    """Return how many bytes of UTF-8 `text` takes; None if it cannot be written so, as it holds a lone surrogate."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return None
