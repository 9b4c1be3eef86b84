"""Whole numbers, binary floating point, and exact decimals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from mobync_sql.codecs.base import Codec, wrong

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_DIGITS = 1000
"""The most digits before or after the point of a decimal, so that no "1e999999999" fills the memory."""

_EXACT = Context(prec=200_000, rounding=ROUND_HALF_UP)
"""More digits than any database has: nothing is rounded but what is said to be."""


@dataclass(frozen=True)
class IntegerCodec(Codec):
    """How great a number the column takes, the database says."""

    kind: ClassVar[str] = "integer"

    def to_json(self, value: Any) -> int:
        return self.to_column(value)

    def to_column(self, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a whole number") if isinstance(value, float) else wrong("a whole number", value)
        if not INT_MIN <= value <= INT_MAX:
            raise ValueError("is an integer beyond 64 bit")
        return value

    def column_type(self) -> TypeEngine[int]:
        return sa.BigInteger()


@dataclass(frozen=True)
class NumberCodec(Codec):
    """Binary floating point."""

    kind: ClassVar[str] = "number"

    def to_json(self, value: Any) -> float:
        return self.to_column(value)

    def to_column(self, value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise wrong("a number", value)
        if not math.isfinite(value):
            raise ValueError("is not a finite number")
        return float(value) + 0.0  # no database must keep the sign of -0.0

    def column_type(self) -> TypeEngine[float]:
        return sa.Double()


@dataclass(frozen=True)
class DecimalCodec(Codec):
    """Exact numbers, which are JSON texts: many a device reads a JSON number into a binary one.

    With a `scale` there are as many digits after the point, and a device's number is rounded to them, as the databases
    do. Without, zeros at the end are left out.
    """

    kind: ClassVar[str] = "decimal"
    precision: int | None = None
    scale: int | None = None

    def to_json(self, value: Any) -> str:
        if not isinstance(value, Decimal):
            raise wrong("a decimal", value)
        if not value.is_finite():
            raise ValueError("is not a finite number")
        number = value.normalize(_EXACT)
        if self.scale is not None and -_exponent(number) <= self.scale:  # else SQLite has more of them than it says
            number = self._scaled(number, self.scale)
        return format(number if number else number.copy_abs(), "f")

    def to_column(self, value: Any) -> Decimal:
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            raise wrong(_DECIMAL, value)
        try:
            number = Decimal(str(value))
        except ArithmeticError:
            raise ValueError(f"must be {_DECIMAL}") from None
        if not number.is_finite():
            raise ValueError("is not a finite number")
        if max(number.adjusted() + 1, -_exponent(number)) > _DIGITS:
            raise ValueError(f"has more than {_DIGITS} digits before or after the point")
        number = self._scaled(number, self.scale) if self.scale is not None else number.normalize(_EXACT)
        if not number:
            return number.copy_abs()
        if self.precision is not None and number.adjusted() + 1 > (most := self.precision - (self.scale or 0)):
            raise ValueError(f"has {number.adjusted() + 1} digits before the point, more than {most}")
        return number

    def _scaled(self, number: Decimal, scale: int) -> Decimal:
        return number.quantize(Decimal(1).scaleb(-scale), context=_EXACT)

    def column_type(self) -> TypeEngine[Decimal]:
        return sa.Numeric(self.precision, self.scale)


_DECIMAL = 'a number, or a text such as "12.50"'


def _exponent(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # a text if it is not finite
    return exponent
