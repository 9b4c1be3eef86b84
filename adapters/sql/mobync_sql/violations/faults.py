"""What may be wrong with a row, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

_LONGEST = 300
"""How many characters of an application's own words are passed on."""


class Kind(Enum):
    """What is wrong, as a sentence about some columns, and as one about none."""

    MISSING = "{} must have a value", "a value is missing"
    TAKEN = "another record has the same {}", "another record has the same values"
    CONFLICTING = "another record is in conflict with {}", "another record is in conflict with it"
    NO_PARENT = "{} refers to a record that is not there", "it refers to a record that is not there"
    REFERRED_TO = "another record still refers to it by {}", "another record still refers to it"
    REFERENCE = (
        "{} refers to a record that is not there, or another record still refers to this one",
        "it refers to a record that is not there, or another record still refers to it",
    )
    NOT_ALLOWED = "{} must not have this value", "a value is not allowed"
    NOT_TOGETHER = "{} must not have these values together", "a value is not allowed"
    TOO_LONG = "{} is too long", "a value is too long"
    OUT_OF_RANGE = "{} is out of range", "a number is out of range"
    WRONG_FORM = "{} has the wrong form", "a value has the wrong form"
    COMPUTED = "{} is made by the database and cannot be written", "a value is made by the database, not written"
    REFUSED = "the database's rules do not allow it", "the database's rules do not allow it"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row.

    `named` are the columns that the reason is about, `others` more of those that it may have come about by. `said` is
    what the application itself says of it.
    """

    kind: Kind
    named: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    said: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.named + self.others))

    def reason(self, names: Mapping[str, str] | None) -> str:
        said = " ".join(self.said.split())
        if said:
            return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
        about, about_none = self.kind.value
        called = list(self.named) if names is None else [names[name] for name in self.named if name in names]
        return about.format(_listed(called)) if called else about_none


def among(kind: Kind, suspects: Sequence[str]) -> Fault:
    """The fault of one of several columns: named only if it can be no other."""
    return Fault(kind, tuple(suspects)) if len(suspects) == 1 else Fault(kind, others=tuple(suspects))


def not_allowed(columns: Sequence[str]) -> Fault:
    """The fault of columns whose values break a rule that is about all of them."""
    return Fault(Kind.NOT_ALLOWED if len(columns) == 1 else Kind.NOT_TOGETHER, tuple(columns))


def _listed(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
