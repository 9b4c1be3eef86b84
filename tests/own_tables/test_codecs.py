"""What devices send comes through columns of real databases, and back, in one form."""

from __future__ import annotations

import base64
import enum
import json
import os
import time as clock
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mobync_sql.codecs import Codec, codec_described, codec_for
from sqlalchemy import Column, Connection, MetaData, Table
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from tests.storage.conftest import Place
from tests.storage.engines import engine_at

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "500")) // 5

pytestmark = pytest.mark.filterwarnings("ignore:Dialect sqlite.* does .not. support Decimal")


class Status(enum.Enum):
    OPEN = "open"
    DONE = "done"


class Level(enum.StrEnum):
    """Whose members are texts themselves, and others than their names."""

    high = "3"
    low = "1"


class Shouting(TypeDecorator[str]):
    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return value and value.upper()


class Plain(TypeDecorator[str]):
    """Says something of the column, and nothing of its values."""

    impl = sa.String
    cache_ok = True


def values_of(status: type[enum.Enum]) -> list[str]:
    return [member.value for member in status]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50)
integers = st.integers(-(2**63), 2**63 - 1)
finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
moments = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30)).map(datetime.isoformat)
zones = st.sampled_from(["", "Z", "+00:00", "-11:00", "+05:45"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
decimals = st.decimals(1 - 10**8, 10**8 - 1, places=4).map(str)
small_decimals = st.decimals(-(10**4), 10**4, places=4).map(str)  # SQLite has none, but numbers of 15 digits
uuids = st.uuids(version=4)  # MariaDB refuses UUIDs of a version that there is not


def precise(type: type[TypeEngine[Any]], **kw: Any) -> TypeEngine[Any]:
    """Of MariaDB the type with microseconds: its own default leaves them off."""
    on_mariadb: TypeEngine[Any] = mysql.TIME(fsp=6) if type is sa.Time else mysql.DATETIME(fsp=6)
    return type(**kw).with_variant(on_mariadb, "mysql", "mariadb")


KINDS: dict[str, tuple[str, TypeEngine[Any], st.SearchStrategy[Any]]] = {
    "text": ("text", sa.Text(), texts),
    "varchar": ("text", sa.String(50), texts),
    "decorated": ("text", Plain(50), texts),
    "char": ("text", sa.CHAR(50), texts),
    "integer": ("integer", sa.BigInteger(), integers),
    "double": ("number", sa.Double(), finite | integers),
    "no_decimal": ("number", sa.Numeric(12, 4, asdecimal=False), st.integers(-(10**8) + 1, 10**8 - 1)),
    "decimal": ("decimal", sa.Numeric(12, 4), decimals | st.integers(-1000, 1000)),
    "exact": ("decimal", sa.Numeric().with_variant(mysql.NUMERIC(20, 6), "mysql", "mariadb"), small_decimals),
    "boolean": ("boolean", sa.Boolean(), st.booleans()),
    "datetime": ("datetime", precise(sa.DateTime), st.builds(str.__add__, moments, zones)),
    "utc": ("datetime_utc", precise(sa.DateTime, timezone=True), st.builds(str.__add__, moments, zones)),
    "date": ("date", sa.Date(), st.dates(date(1000, 1, 1)).map(date.isoformat)),
    "time": ("time", precise(sa.Time), st.times().map(time.isoformat)),
    "uuid": ("uuid", sa.Uuid(), uuids.map(str) | uuids.map(lambda found: found.hex.upper())),
    "uuid_text": ("uuid", sa.Uuid(as_uuid=False), uuids.map(str)),
    "uuid_char": ("uuid", sa.Uuid(native_uuid=False), uuids.map(str)),
    "json": ("json", sa.JSON(), json_values),
    "jsonb": ("json", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), json_values),
    "bytes": ("bytes", sa.LargeBinary(), st.binary().map(lambda found: base64.b64encode(found).decode())),
    "names": ("enum", sa.Enum("a", "b c", "é", name="names"), st.sampled_from(["a", "b c", "é"])),
    "status": ("enum", sa.Enum(Status, native_enum=False), st.sampled_from(["OPEN", "DONE"])),
    "value": ("enum", sa.Enum(Status, values_callable=values_of, name="value"), st.sampled_from(["open", "done"])),
    "level": ("enum", sa.Enum(Level, name="level", validate_strings=True), st.sampled_from(["high", "low"])),
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with engine_at(Place(database_url)) as engine, engine.connect() as connection:
        yield connection


@pytest.fixture
def columns(connection: Connection) -> Table:
    table = Table(
        "kinds",
        MetaData(),
        *(Column(name, type) for name, (_, type, _) in KINDS.items()),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )
    table.create(connection)
    connection.commit()
    return table


def known(type: TypeEngine[Any]) -> Codec:
    codec = codec_for(type)
    assert codec is not None
    return codec


def exactly(value: Any) -> str:
    """As text, by which True is not 1."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.parametrize("name", KINDS)
class TestRoundTrips:
    def test_what_is_written_is_read(self, connection: Connection, columns: Table, name: str) -> None:
        kind, type, values = KINDS[name]
        codec = known(type)
        assert codec.kind == kind

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(sent=values.filter(lambda value: value is not None))
        def round_trip(sent: Any) -> None:
            written = codec.to_column(sent)
            canonical = codec.to_json(written)
            assert codec.to_json(codec.to_column(canonical)) == canonical
            connection.execute(columns.insert().values({name: written}))
            found = connection.execute(sa.select(columns.c[name])).scalar_one()
            connection.rollback()
            assert codec.to_json(found) == canonical
            if kind != "json":  # in which SQLite and JSONB write 1e15 as a whole number
                assert exactly(codec.to_json(found)) == exactly(canonical)

        round_trip()

    def test_its_description_is_itself(self, name: str) -> None:
        codec = known(KINDS[name][1])
        again = codec_described(json.loads(json.dumps(codec.described())))
        assert again == codec
        assert known(again.column_type()) == codec

    def test_null_is_null(self, connection: Connection, columns: Table, name: str) -> None:
        codec = known(KINDS[name][1])
        connection.execute(columns.insert(), [{name: codec.null}, {name: codec.null}])
        assert connection.execute(sa.select(sa.func.count(columns.c[name]), sa.func.count())).one() == (0, 2)


class TestDatabases:
    def test_a_domain(self, connection: Connection) -> None:
        if connection.dialect.name != "postgresql":
            pytest.skip("only PostgreSQL has domains")
        domains: dict[str, tuple[TypeEngine[Any], Any]] = {
            "text": (postgresql.DOMAIN("short", sa.String(20)), "words"),
            "integer": (postgresql.DOMAIN("small", sa.Integer()), 7),
            "decimal": (postgresql.DOMAIN("exact", sa.Numeric(10, 2)), "7.50"),
            "boolean": (postgresql.DOMAIN("whether", sa.Boolean()), True),
            "date": (postgresql.DOMAIN("day", sa.Date()), "2026-01-02"),
            "datetime": (postgresql.DOMAIN("moment", sa.DateTime()), "2026-01-02T03:04:05"),
            "datetime_utc": (
                postgresql.DOMAIN("instant", sa.DateTime(timezone=True)),
                "2026-01-02T03:04:05+00:00",
            ),
            "number": (postgresql.DOMAIN("inexact", sa.Double()), 1.5),
            "bytes": (postgresql.DOMAIN("octets", sa.LargeBinary()), "AAE="),
        }
        table = Table("domains", MetaData(), *(Column(kind, type) for kind, (type, _) in domains.items()))
        table.create(connection)
        codecs = {kind: known(type) for kind, (type, _) in domains.items()}
        assert {kind: codec.kind for kind, codec in codecs.items()} == {kind: kind for kind in domains}
        connection.execute(
            table.insert(), [{kind: codecs[kind].to_column(value) for kind, (_, value) in domains.items()}]
        )
        found = connection.execute(table.select()).mappings().one()
        assert {kind: codecs[kind].to_json(found[kind]) for kind in domains} == {
            kind: value for kind, (_, value) in domains.items()
        }
        assert codec_for(postgresql.DOMAIN("any", sa.JSON())) is None

    def test_what_json_cannot_say(self, connection: Connection) -> None:
        """Rows that the application, or another program, has written."""
        if connection.dialect.name != "postgresql":
            pytest.skip("only PostgreSQL stores NaN and infinity")
        types: list[TypeEngine[Any]] = [sa.Double(), sa.Numeric()]
        for type in types:
            for number in ("NaN", "Infinity"):
                found = connection.execute(sa.select(sa.cast(number, type))).scalar_one()
                with pytest.raises(ValueError, match="is not a finite number"):
                    known(type).to_json(found)

    def test_the_session_s_zone_says_nothing(self, connection: Connection, columns: Table) -> None:
        if connection.dialect.name == "sqlite":
            pytest.skip("SQLite has no session's zone")
        zone = "SET TIME ZONE '+07:00'" if connection.dialect.name == "postgresql" else "SET time_zone = '+07:00'"
        connection.exec_driver_sql(zone)
        codec = known(columns.c.utc.type)
        connection.execute(columns.insert().values(utc=codec.to_column("2026-01-02T03:04:05+02:00")))
        assert codec.to_json(connection.execute(sa.select(columns.c.utc)).scalar_one()) == "2026-01-02T01:04:05+00:00"

    def test_whole_numbers_in_json_that_are_too_great(self, connection: Connection, columns: Table) -> None:
        codec = known(columns.c.jsonb.type)
        connection.execute(columns.insert().values(jsonb=codec.to_column([1e300])))  # JSONB writes all 301 digits
        assert exactly(codec.to_json(connection.execute(sa.select(columns.c.jsonb)).scalar_one())) == "[1e+300]"

    def test_more_digits_than_the_column_says(self, connection: Connection) -> None:
        """SQLite keeps what another program wrote; it is shown as it is."""
        codec = known(sa.Numeric(10, 2))
        assert codec.to_json(Decimal("1.005")) == "1.005"
        assert codec.to_json(Decimal("1.5")) == "1.50"


REFUSED: list[tuple[TypeEngine[Any], Any, str]] = [
    (sa.Text(), 7, "must be a text, not a number"),
    (sa.Text(), ["a"], "must be a text, not a list"),
    (sa.Text(), "a\0", "holds a NUL character"),
    (sa.String(3), "abcd", "has 4 characters, more than 3"),
    (sa.CHAR(3), "abcd", "has 4 characters, more than 3"),
    (sa.Integer(), "7", "must be a whole number, not a text"),
    (sa.Integer(), True, "must be a whole number, not true or false"),
    (sa.Integer(), 1.0, "must be a whole number"),
    (sa.Integer(), 2**63, "is an integer beyond 64 bit"),
    (sa.Double(), "1", "must be a number, not a text"),
    (sa.Double(), False, "must be a number, not true or false"),
    (sa.Double(), float("inf"), "is not a finite number"),
    (sa.Numeric(6, 2), True, 'must be a number, or a text such as "12.50", not true or false'),
    (sa.Numeric(6, 2), "12,50", 'must be a number, or a text such as "12.50"'),
    (sa.Numeric(6, 2), "NaN", "is not a finite number"),
    (sa.Numeric(6, 2), "10000", "has 5 digits before the point, more than 4"),
    (sa.Numeric(6, 2), "9999.995", "has 5 digits before the point, more than 4"),
    (sa.Numeric(), "1e999999999", "has more than 1000 digits before or after the point"),
    (sa.Numeric(), "1e-999999999", "has more than 1000 digits before or after the point"),
    (sa.Boolean(), 1, "must be true or false, not a number"),
    (sa.DateTime(), "soon", 'must be a date and time such as "2026-01-02T03:04:05"'),
    (sa.DateTime(), 1767323045, 'must be a date and time such as "2026-01-02T03:04:05", not a number'),
    (sa.DateTime(), "0001-01-01T00:00:00+01:00", "is before the year 1 or after the year 9999"),
    (sa.Date(), "2026-02-30", 'must be a date such as "2026-01-02"'),
    (sa.Date(), {}, 'must be a date such as "2026-01-02", not an object'),
    (sa.Time(), "25:00", 'must be a time such as "03:04:05"'),
    (sa.Time(), "03:04:05+01:00", 'must be a time such as "03:04:05", without a zone'),
    (sa.Uuid(), "7", 'must be a UUID such as "6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c"'),
    (sa.Uuid(), 7, "must be the text of a UUID, not a number"),
    (sa.JSON(), {"a": ["b\0"]}, "holds a NUL character"),
    (sa.LargeBinary(), "not base64!", "must be a text in base64"),
    (sa.LargeBinary(), "é", "must be a text in base64"),
    (sa.LargeBinary(2), "AAAA", "has 3 bytes, more than 2"),
    (sa.Enum(Status), "open", 'must be one of "OPEN", "DONE"'),
    (sa.Enum("a", "b"), 1, "must be a text, not a number"),
]


class TestDevices:
    @pytest.mark.parametrize(("type", "value", "reason"), REFUSED, ids=lambda part: str(part)[:30])
    def test_what_is_refused(self, type: TypeEngine[Any], value: Any, reason: str) -> None:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared whole
            known(type).to_column(value)
        assert str(caught.value) == reason

    @pytest.mark.parametrize(
        ("type", "sent", "canonical"),
        [
            (sa.Numeric(10, 2), "1.005", "1.01"),
            (sa.Numeric(10, 2), "-1.005", "-1.01"),
            (sa.Numeric(10, 2), 7, "7.00"),
            (sa.Numeric(10, 2), "-0.001", "0.00"),
            (sa.Numeric(10), "2.5", "3"),
            (sa.Numeric(), 0.1, "0.1"),
            (sa.Numeric(), "1E+3", "1000"),
            (sa.Numeric(), "1.500", "1.5"),
            (sa.CHAR(5), "ab  ", "ab"),
            (sa.Double(), 3, 3.0),
            (sa.DateTime(), "2026-01-02T03:04:05.000Z", "2026-01-02T03:04:05"),
            (sa.DateTime(), "2026-01-02T03:04:05.5+02:00", "2026-01-02T01:04:05.500000"),
            (sa.DateTime(timezone=True), "2026-01-02T03:04:05", "2026-01-02T03:04:05+00:00"),
            (sa.DateTime(timezone=True), "2026-01-02T03:04:05-01:30", "2026-01-02T04:34:05+00:00"),
            (sa.Uuid(), "{6A0F8E1C3F5D4B1E9C592D8E7F0A1B2C}", "6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c"),
        ],
        ids=str,
    )
    def test_what_is_made_canonical(self, type: TypeEngine[Any], sent: Any, canonical: Any) -> None:
        codec = known(type)
        assert exactly(codec.to_json(codec.to_column(sent))) == exactly(canonical)

    def test_python_s_values_are_those_of_the_application(self) -> None:
        found = uuid.uuid4()
        assert known(sa.Uuid()).to_column(str(found)) == found
        assert known(sa.Uuid(as_uuid=False)).to_column(found.hex) == str(found)
        assert known(sa.Enum(Status)).to_column("DONE") is Status.DONE
        assert known(sa.Enum(Status, values_callable=values_of)).to_column("done") is Status.DONE
        assert known(sa.Enum(Level)).to_json(Level.low) == "low"
        assert known(sa.DateTime(timezone=True)).to_column("2026-01-02T03:04:05Z").utcoffset() == timedelta(0)
        assert known(sa.DateTime()).to_column("2026-01-02T03:04:05Z").tzinfo is None

    @pytest.mark.parametrize(
        ("type", "value"),
        [
            (sa.Text(), 7),
            (sa.Integer(), "7"),
            (sa.Boolean(), 7),
            (sa.Numeric(), 7.5),
            (sa.Date(), datetime(2026, 1, 2, tzinfo=UTC)),
            (sa.JSON(), {1}),
            (sa.JSON(), float("nan")),
            (sa.Enum("a", "b"), "c"),
            (sa.Enum(Status), None),
        ],
        ids=str,
    )
    def test_a_row_that_holds_something_else(self, type: TypeEngine[Any], value: Any) -> None:
        """SQLite stores anything anywhere."""
        with pytest.raises(ValueError, match=r"^(must|holds)"):
            known(type).to_json(value)

    @pytest.mark.skipif(not hasattr(clock, "tzset"), reason="this system cannot change the zone of a process")
    def test_the_machine_s_zone_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        codec = known(sa.DateTime(timezone=True))
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "EST5")
            clock.tzset()
            try:
                assert codec.to_column("2026-01-02T03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
                assert codec.to_json(datetime(2026, 1, 2, 3, 4, 5)) == "2026-01-02T03:04:05+00:00"
            finally:
                elsewhere.undo()
                clock.tzset()


class TestTypes:
    @pytest.mark.parametrize(
        "type",
        [
            sa.Interval(),
            sa.PickleType(),
            sa.Time(timezone=True),
            sa.types.NullType(),
            postgresql.ARRAY(sa.Text()),
            postgresql.INET(),
            postgresql.TSVECTOR(),
            mysql.SET("a", "b"),
            mysql.YEAR(),
            Shouting(),
            sa.Text().with_variant(sa.Integer(), "sqlite"),
            sa.Text().with_variant(Shouting(), "postgresql"),
        ],
        ids=str,
    )
    def test_types_of_which_nothing_is_known(self, type: TypeEngine[Any]) -> None:
        assert codec_for(type) is None

    @pytest.mark.parametrize(
        ("type", "kind"),
        [
            (sa.SmallInteger(), "integer"),
            (sa.BigInteger().with_variant(sa.Integer(), "sqlite"), "integer"),
            (sa.REAL(), "number"),
            (sa.DOUBLE_PRECISION(53), "number"),
            (sa.DateTime().with_variant(postgresql.TIMESTAMP(timezone=True), "postgresql"), "datetime_utc"),
            (mysql.DOUBLE(), "decimal"),  # whose Python values are decimals, unless it is told otherwise
            (mysql.LONGTEXT(), "text"),
            (mysql.MEDIUMBLOB(), "bytes"),
            (mysql.TINYINT(1), "integer"),
            (mysql.ENUM("a", "b"), "enum"),
            (postgresql.CITEXT(), "text"),
            (postgresql.JSONB(), "json"),
            (postgresql.UUID(), "uuid"),
            (sa.BINARY(16), "bytes"),
            (sa.Unicode(9), "text"),
            (sa.TIMESTAMP(timezone=True), "datetime_utc"),
        ],
        ids=str,
    )
    def test_types_of_databases(self, type: TypeEngine[Any], kind: str) -> None:
        assert known(type).kind == kind
