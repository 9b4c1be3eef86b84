"""Dates and times, in JSON as ISO 8601."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from mobync_sql.codecs.base import Codec, wrong

_MOMENT = 'a date and time such as "2026-01-02T03:04:05"'
_DATE = 'a date such as "2026-01-02"'
_TIME = 'a time such as "03:04:05"'


@dataclass(frozen=True)
class DateTimeCodec(Codec):
    """A date and time without a zone. What comes with one is made UTC first."""

    kind: ClassVar[str] = "datetime"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, datetime):
            raise wrong("a date and time", value)
        return _in_utc(value).replace(tzinfo=None).isoformat()

    def to_column(self, value: Any) -> datetime:
        return _moment(value).replace(tzinfo=None)

    def column_type(self) -> TypeEngine[datetime]:
        return sa.DateTime()


@dataclass(frozen=True)
class DateTimeUtcCodec(Codec):
    """A moment. What comes without a zone, as from the databases that know none, is UTC."""

    kind: ClassVar[str] = "datetime_utc"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, datetime):
            raise wrong("a date and time", value)
        return _in_utc(value).isoformat()

    def to_column(self, value: Any) -> datetime:
        return _moment(value)

    def column_type(self) -> TypeEngine[datetime]:
        return sa.DateTime(timezone=True)


def _moment(value: object) -> datetime:
    if not isinstance(value, str):
        raise wrong(_MOMENT, value)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"must be {_MOMENT}") from None
    return _in_utc(found)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("is before the year 1 or after the year 9999") from None


@dataclass(frozen=True)
class DateCodec(Codec):
    kind: ClassVar[str] = "date"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise wrong("a date", value)
        return value.isoformat()

    def to_column(self, value: Any) -> date:
        if not isinstance(value, str):
            raise wrong(_DATE, value)
        try:
            return date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"must be {_DATE}") from None

    def column_type(self) -> TypeEngine[date]:
        return sa.Date()


@dataclass(frozen=True)
class TimeCodec(Codec):
    """A time of day, without a zone."""

    kind: ClassVar[str] = "time"

    def to_json(self, value: Any) -> str:
        if not isinstance(value, time) or value.tzinfo is not None:
            raise wrong("a time without a zone", value)
        return value.isoformat()

    def to_column(self, value: Any) -> time:
        if not isinstance(value, str):
            raise wrong(_TIME, value)
        try:
            found = time.fromisoformat(value)
        except ValueError:
            raise ValueError(f"must be {_TIME}") from None
        if found.tzinfo is not None:
            raise ValueError(f"must be {_TIME}, without a zone")
        return found

    def column_type(self) -> TypeEngine[time]:
        return sa.Time()
