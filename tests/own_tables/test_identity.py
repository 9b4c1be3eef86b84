"""Owners and ids have one text each, the same in Python and in the SQL of every database."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mobync_sql.codecs import IdentityCodec, identity_codec_for
from mobync_sql.schema import identifier
from sqlalchemy import Column, Connection, MetaData, Table, literal_column, make_url
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

from tests.storage.conftest import Place
from tests.storage.engines import engine_at

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "500")) // 10

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40)
uuids = st.uuids(version=4)

IDENTITIES: dict[str, tuple[str, TypeEngine[Any], st.SearchStrategy[Any]]] = {
    "text": ("text", sa.Text(), texts),
    "varchar": ("text", sa.String(40), texts),
    "char": ("text", sa.CHAR(40), texts.map(lambda text: text.rstrip(" ")).filter(bool)),
    "integer": ("integer", sa.Integer(), st.integers(-(2**31), 2**31 - 1)),
    "bigint": ("integer", sa.BigInteger(), st.integers(-(2**63), 2**63 - 1)),
    "uuid": ("uuid", sa.Uuid(), uuids),
    "uuid_text": ("uuid", sa.Uuid(as_uuid=False), uuids.map(str)),
    "uuid_char": ("uuid", sa.Uuid(native_uuid=False), uuids),
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with engine_at(Place(database_url)) as engine, engine.connect() as connection:
        yield connection


@pytest.fixture
def table(connection: Connection) -> Table:
    key = Column("key", sa.Integer, primary_key=True)
    columns = (Column(name, type) for name, (_, type, _) in IDENTITIES.items())
    table = Table(
        "identities",
        MetaData(),
        key,
        *columns,
        Column("stored", identifier()),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )
    table.create(connection)
    connection.commit()
    return table


def known(type: TypeEngine[Any]) -> IdentityCodec:
    codec = identity_codec_for(type)
    assert codec is not None
    return codec


def rows(connection: Connection, table: Table, name: str, values: Sequence[Any]) -> None:
    connection.execute(table.delete())
    connection.execute(table.insert(), [{name: value} for value in values])


@pytest.mark.parametrize("name", IDENTITIES)
class TestTexts:
    def test_sql_and_python_agree(self, connection: Connection, table: Table, name: str) -> None:
        kind, type, values = IDENTITIES[name]
        codec = known(type)
        assert codec.kind == kind
        column = table.c[name]
        text = codec.sql(column)

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(values=st.lists(values, min_size=1, max_size=5))
        def agree(values: list[Any]) -> None:
            rows(connection, table, name, values)
            read = connection.execute(sa.select(column, text).order_by(text)).all()
            assert [row[1] for row in read] == [codec.to_text(row[0]) for row in read]
            assert [row[1] for row in read] == sorted((codec.to_text(value) for value in values), key=str.encode)
            for value in values:
                same = sa.select(column).where(text == codec.to_text(value)).distinct()
                found = connection.execute(same).scalars().all()
                assert [codec.to_text(one) for one in found] == [codec.to_text(value)]  # PostgreSQL pads a CHAR
                assert codec.to_column(codec.to_text(value)) == value
            # As a trigger would: from a name that only the trigger knows, into a column of Mobync's own.
            inline = codec.sql(literal_column(f"identities.{name}")).compile(
                connection, compile_kwargs={"literal_binds": True}
            )
            assert not inline.params
            connection.exec_driver_sql(f"UPDATE identities SET stored = {inline}".replace("%", "%%"))
            assert connection.execute(sa.select(sa.func.count()).where(table.c.stored == text)).scalar() == len(values)
            assert set(connection.execute(sa.select(table.c.stored)).scalars()) == {codec.to_text(v) for v in values}
            connection.rollback()

        agree()

    def test_null_has_no_text(self, connection: Connection, table: Table, name: str) -> None:
        rows(connection, table, name, [None])
        assert connection.execute(sa.select(known(IDENTITIES[name][1]).sql(table.c[name]))).scalar_one() is None


@pytest.mark.parametrize(
    ("type", "text", "reason"),
    [
        (sa.String(3), "abcd", "has 4 characters, more than 3"),
        (sa.CHAR(3), "ab ", "must be written as 'ab'"),
        (sa.Integer(), "007", "must be written as '7'"),
        (sa.Integer(), "+7", "must be written as '7'"),
        (sa.Integer(), "1_000", "must be written as '1000'"),
        (sa.Integer(), "٣", "must be written as '3'"),
        (sa.Integer(), "-0", "must be written as '0'"),
        (sa.Integer(), "seven", "must be the text of a whole number"),
        (sa.Integer(), str(2**63), "is an integer beyond 64 bit"),
        (sa.Uuid(), "seven", 'must be a UUID such as "6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c"'),
        (
            sa.Uuid(),
            "6A0F8E1C-3F5D-4B1E-9C59-2D8E7F0A1B2C",
            "must be written as '6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c'",
        ),
        (
            sa.Uuid(native_uuid=False),
            "6a0f8e1c3f5d4b1e9c592d8e7f0a1b2c",
            "must be written as '6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c'",
        ),
    ],
    ids=str,
)
def test_a_text_that_is_not_the_one(type: TypeEngine[Any], text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared whole
        known(type).to_column(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize("type", [sa.Float(), sa.Numeric(), sa.DateTime(), sa.Enum("a", "b"), sa.JSON()], ids=str)
def test_types_that_name_nothing(type: TypeEngine[Any]) -> None:
    assert identity_codec_for(type) is None


class TestMariaDB:
    @pytest.fixture(params=["mariadb+pymysql", "mysql+pymysql"])
    def connection(self, mariadb_url: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
        engine = sa.create_engine(make_url(mariadb_url).set(drivername=request.param))
        with engine.connect() as connection:
            yield connection
        engine.dispose()

    def test_character_sets_and_leading_zeros(self, connection: Connection) -> None:
        table = Table(
            "old",
            MetaData(),
            Column("latin", mysql.VARCHAR(20, charset="latin1", collation="latin1_swedish_ci")),
            Column("filled", mysql.INTEGER(8, zerofill=True)),
            Column("great", mysql.BIGINT(unsigned=True)),
        )
        table.create(connection)
        connection.execute(table.insert().values(latin="Größe ", filled=42, great=2**63 - 1))
        texts = [known(column.type).sql(column) for column in table.c]
        assert connection.execute(sa.select(*texts)).one() == ("Größe ", "42", str(2**63 - 1))
        for other in ("größe ", "Größe"):
            assert connection.execute(sa.select(sa.func.count()).where(texts[0] == other)).scalar() == 0

    @pytest.mark.parametrize("type", ["UUID", "CHAR(32)", "CHAR(36)"])
    def test_uuids_whoever_made_the_table(self, connection: Connection, type: str) -> None:
        """SQLAlchemy makes a UUID if the URL says mariadb, 32 digits if it says mysql, and others write dashes."""
        found = uuid.uuid4()
        stored = found.hex if type == "CHAR(32)" else str(found)
        connection.exec_driver_sql(f"CREATE TABLE made (id {type})")
        connection.exec_driver_sql("INSERT INTO made VALUES (%s)", (stored,))
        id = Table("made", MetaData(), Column("id", sa.Uuid())).c.id
        codec = known(id.type)
        assert connection.execute(sa.select(codec.sql(id), id)).one() == (str(found), found)


class TestPostgreSQL:
    def test_a_collation_of_the_application(self, postgresql_url: str) -> None:
        """Which would conflict with that of Mobync's own columns."""
        with engine_at(Place(postgresql_url)) as engine, engine.connect() as connection:
            own = Table("own", MetaData(), Column("id", sa.String(20, collation="POSIX")))
            ours = Table("ours", own.metadata, Column("id", identifier()))
            own.metadata.create_all(connection)
            connection.execute(own.insert(), [{"id": "Ada"}])
            connection.execute(ours.insert(), [{"id": "Ada"}, {"id": "ada"}])
            text = known(own.c.id.type).sql(own.c.id)
            both = sa.select(ours.c.id).join(own, ours.c.id == text)
            assert connection.execute(both).scalars().all() == ["Ada"]

    def test_a_domain(self, postgresql_url: str) -> None:
        with engine_at(Place(postgresql_url)) as engine, engine.connect() as connection:
            domain = postgresql.DOMAIN("key", sa.CHAR(5))
            table = Table("keyed", MetaData(), Column("id", domain))
            table.create(connection)
            connection.execute(table.insert().values(id="ab"))
            codec = known(domain)
            assert connection.execute(sa.select(codec.sql(table.c.id))).scalar_one() == "ab"
            assert codec.to_text(connection.execute(sa.select(table.c.id)).scalar_one()) == "ab"
