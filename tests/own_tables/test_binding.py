"""What a binding names is looked up, or said to be wrong; another process makes the same of its description."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from mobync_sql import Binding
from mobync_sql.binding import BoundTable, described, resolve
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Connection,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mobync_core import SchemaError
from tests.storage.conftest import Place
from tests.storage.engines import engine_at


class Status(enum.Enum):
    OPEN = "open"
    DONE = "done"


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class Task(Base):
    __tablename__ = "tasks"
    identity: Mapped[str] = mapped_column("id", String(36), primary_key=True)
    owner: Mapped[UUID | None] = mapped_column("user_id", ForeignKey("users.id"))
    text: Mapped[str] = mapped_column("title", String(50))
    note: Mapped[str | None] = mapped_column(Text)
    approved: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str] = mapped_column(String(10), default="task")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "task"}  # noqa: RUF012 - SQLAlchemy's own way


class Chore(Task):
    """In the same table."""

    __mapper_args__ = {"polymorphic_identity": "chore"}  # noqa: RUF012


class Trip(Task):
    """In two tables."""

    __tablename__ = "trips"
    trip_id: Mapped[str] = mapped_column("id", ForeignKey("tasks.id"), primary_key=True)
    __mapper_args__ = {"polymorphic_identity": "trip"}  # noqa: RUF012


def table(*columns: Column[Any], extra: tuple[Any, ...] = (), id: bool = True, owner: bool = True) -> Table:
    own = [Column("id", String(36), primary_key=True)] if id else []
    own += [Column("owner", String(36))] if owner else []
    return Table("things", MetaData(), *own, *columns, *extra)


class TestResolve:
    def test_a_mapped_class(self) -> None:
        bound = resolve(
            Binding(Task, owner="user_id", fields={"text": "title"}, hidden=["note", "kind"], read_only=["approved"])
        )
        assert (bound.model, bound.table, bound.triggers) == ("tasks", Task.__table__, False)
        assert (bound.owner.name, bound.owner_codec.kind) == ("user_id", "uuid")
        assert (bound.id.name, bound.id_codec.kind) == ("id", "text")
        assert {
            name: (bound_column.field, bound_column.column.name, bound_column.codec.kind, bound_column.read_only)
            for name, bound_column in bound.columns.items()
        } == {"text": ("text", "title", "text", False), "approved": ("approved", "approved", "boolean", True)}

    def test_a_table(self) -> None:
        found = table(Column("name", Text))
        bound = resolve(Binding(found, owner="owner", model="gadgets", triggers=True))
        assert (bound.model, bound.table, bound.triggers) == ("gadgets", found, True)
        assert list(bound.columns) == ["name"]

    def test_columns_are_named_as_in_the_database(self) -> None:
        found = table(Column("title", Text, key="text"), Column("note", Text, key="title"))
        bound = resolve(Binding(found, owner="owner", hidden=["note"]))
        assert bound.columns["title"].column is found.c.text

    def test_classes_in_one_table(self) -> None:
        assert resolve(Binding(Chore, owner="user_id")).table is Task.__table__

    def test_a_class_in_two_tables_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match=r"class Trip are spread over several tables .* bind the tables themselves"
        ):
            resolve(Binding(Trip, owner="user_id"))
        assert resolve(Binding(Task, owner="user_id")).table is Task.__table__

    def test_a_class_mapped_to_a_query_is_refused(self) -> None:
        class Named(Base):
            __table__ = sa.select(User.__table__).subquery()

        with pytest.raises(TypeError, match="class Named is mapped to no Table: bind the Table that its rows are in"):
            resolve(Binding(Named, owner="id"))

    @pytest.mark.parametrize("wrong", [str, "tasks", None, sa.select(User)])
    def test_what_is_no_table(self, wrong: Any) -> None:
        with pytest.raises(TypeError, match="give a SQLAlchemy Table or a mapped class"):
            resolve(Binding(wrong, owner="user_id"))

    def test_a_row_that_owns_itself(self) -> None:
        bound = resolve(Binding(User, owner="id"))
        assert bound.owner is bound.id
        assert list(bound.columns) == ["name"]

    def test_what_the_database_alone_writes_is_read_only(self) -> None:
        found = table(
            Column("price", Integer),
            Column("twice", Integer, Computed("price * 2")),
            Column("number", Integer, Identity(always=True)),
            Column("other", Integer, Identity()),
        )
        bound = resolve(Binding(found, owner="owner"))
        assert {name for name, column in bound.columns.items() if column.read_only} == {"twice", "number"}

    @pytest.mark.parametrize(
        "unique",
        [
            lambda: table(Column("key", Text, unique=True, nullable=False)),
            lambda: table(Column("key", Text, nullable=False), extra=(UniqueConstraint("key"),)),
            lambda: table(Column("key", Text, nullable=False), extra=(Index("by_key", "key", unique=True),)),
        ],
    )
    def test_an_id_that_is_unique(self, unique: Callable[[], Table]) -> None:
        bound = resolve(Binding(unique(), owner="owner", id="key", fields={"number": "id"}))
        assert bound.id.name == "key"
        assert bound.columns["number"].column.name == "id"


WRONG: list[tuple[str, Callable[[], Table], dict[str, Any], str]] = [
    (
        "owner",
        table,
        {"owner": "ownr"},
        "'ownr' in owner=, but the table has no such column, did you mean 'owner'",
    ),
    (
        "far",
        table,
        {"owner": "zzz"},
        "'zzz' in owner=, but the table has no such column; it has 'id', 'owner'",
    ),
    ("id", table, {"id": "idd"}, "'idd' in id=, but the table has no such column, did you mean 'id'"),
    ("hidden", lambda: table(Column("note", Text)), {"hidden": ["nte"]}, "'nte' in hidden=.* did you mean 'note'"),
    (
        "read_only",
        lambda: table(Column("note", Text)),
        {"read_only": ["Note"]},
        "'Note' in read_only=.* did you mean 'note'",
    ),
    (
        "fields",
        lambda: table(Column("note", Text)),
        {"fields": {"note": "nota"}},
        "'nota' in fields=.* did you mean 'note'",
    ),
    ("no key", lambda: table(id=False), {}, "the table has no primary key: name the column of a record's id by id="),
    (
        "two keys",
        lambda: table(Column("part", Integer, primary_key=True)),
        {},
        "has a primary key of 'id', 'part': name the column",
    ),
    (
        "half a key",
        lambda: table(Column("part", Integer, primary_key=True)),
        {"id": "id"},
        "two rows may have the same 'id', .* unique constraint of its own",
    ),
    ("not unique", lambda: table(Column("key", Text)), {"id": "key"}, "two rows may have the same 'key'"),
    (
        "unique in part",
        lambda: table(
            Column("key", Text, nullable=False),
            extra=(Index("some", "key", unique=True, postgresql_where=sa.text("key > 'a'")),),
        ),
        {"id": "key"},
        "two rows may have the same 'key'",
    ),
    (
        "id of NULL",
        lambda: table(Column("key", Text, unique=True)),
        {"id": "key"},
        "'key', .* may be NULL: make it NOT NULL",
    ),
    (
        "owner of a float",
        lambda: table(Column("rate", sa.Float)),
        {"owner": "rate"},
        "'rate' is the owner, but of the type Float, and neither text, integer nor UUID",
    ),
    (
        "id of a time",
        lambda: table(Column("at", sa.DateTime, primary_key=True), id=False),
        {},
        "'at' is the id, but of the type DateTime",
    ),
    (
        "generated id",
        lambda: table(Column("number", Integer, Identity(always=True), primary_key=True), id=False),
        {},
        "'number' is the id, but only the database writes it",
    ),
    (
        "no codec",
        lambda: table(Column("span", sa.Interval)),
        {},
        r"'span' has the type Interval, of which Mobync makes no JSON: hide it by hidden=\['span'\]",
    ),
    (
        "a field id",
        lambda: table(Column("key", Text, unique=True, nullable=False)),
        {"id": "key"},
        r"name 'id' of the column 'id' is that of a record's own id: rename it by fields=\{'another_name': 'id'\}",
    ),
    (
        "one field twice",
        lambda: table(Column("note", Text), Column("text", Text)),
        {"fields": {"note": "text"}},
        "'note' and 'text' are both the field 'note': rename one by fields=, or hide it",
    ),
    (
        "a column twice",
        lambda: table(Column("note", Text)),
        {"fields": {"a": "note", "b": "note"}},
        "the column 'note' has two names in fields=",
    ),
    (
        "odd name",
        lambda: table(Column("due date", Text)),
        {},
        "name 'due date' .* does not match .*: rename it by fields=",
    ),
    (
        "odd model",
        table,
        {"model": "my things"},
        "the model's name does not match .*: give another one by model=",
    ),
    (
        "owner hidden",
        table,
        {"hidden": ["owner"]},
        "'owner' in hidden=, but it is the owner, .* leave it out",
    ),
    ("id renamed", table, {"fields": {"key": "id"}}, "'id' in fields=, but it is the id, .* leave it out"),
    (
        "hidden and read",
        lambda: table(Column("note", Text)),
        {"hidden": ["note"], "read_only": ["note"]},
        "'note' is hidden, and in fields= or read_only=, too: choose one",
    ),
]


@pytest.mark.parametrize(("make", "said", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_wrong_is_named(make: Callable[[], Table], said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        resolve(Binding(make(), **{"owner": "owner", **said}))
    assert "'things'" in str(caught.value)


@pytest.mark.parametrize("said", [{"hidden": "note"}, {"read_only": "note"}, {"owner": None}, {"hidden": [7]}], ids=str)
def test_what_is_no_name(said: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="give"):
        resolve(Binding(table(Column("note", Text)), **{"owner": "owner", **said}))


def things() -> Table:
    """A table of whose columns no database tells all."""
    return Table(
        'Odd "things"',
        MetaData(),
        Column("id", sa.Uuid(), primary_key=True),
        Column("Owner", sa.Uuid(native_uuid=False), nullable=False),
        Column("title", String(20), nullable=False),
        Column("count", sa.BigInteger(), server_default="3"),
        Column("rate", sa.Double()),
        Column("price", sa.Numeric(10, 2)),
        Column("done", sa.Boolean()),
        Column("made_at", sa.DateTime()),
        Column("seen_at", sa.DateTime(timezone=True)),
        Column("due", sa.Date()),
        Column("at", sa.Time()),
        Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
        Column("blob", sa.LargeBinary()),
        Column("status", sa.Enum(Status, native_enum=False)),
        Column("native", sa.Enum(Status, name="native_status")),
        Column("parent", sa.Uuid()),
        Column("secret", Text),
        Column("generated", Integer, Computed("count * 2")),
        UniqueConstraint("Owner", "title", name="one_title"),
        CheckConstraint("count < 10", name="few"),
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )


SENT = {
    "title": "Größe",
    "count": 7,
    "rate": 0.5,
    "cost": "12.50",
    "done": True,
    "made_at": "2026-01-02T03:04:05",
    "seen_at": "2026-01-02T03:04:05+00:00",
    "due": "2026-01-02",
    "at": "03:04:05",
    "data": {"a": [1, None, True]},
    "blob": "AAE=",
    "status": "DONE",
    "native": "OPEN",
    "parent": "6a0f8e1c-3f5d-4b1e-9c59-2d8e7f0a1b2c",
}
ID, OWNER = "11111111-3f5d-4b1e-9c59-2d8e7f0a1b2c", "22222222-3f5d-4b1e-9c59-2d8e7f0a1b2c"


@pytest.mark.filterwarnings("ignore:Dialect sqlite.* does .not. support Decimal")
class TestDescriptions:
    @pytest.fixture
    def connection(self, database_url: str) -> Iterator[Connection]:
        with engine_at(Place(database_url)) as engine, engine.connect() as connection:
            yield connection

    @pytest.fixture
    def declared(self, connection: Connection) -> BoundTable:
        found = things()
        found.create(connection)
        return resolve(Binding(found, owner="Owner", model="things", fields={"cost": "price"}, hidden=["secret"]))

    def test_another_process_knows_the_same(self, connection: Connection, declared: BoundTable) -> None:
        text = declared.description()
        other = described(connection, text)
        assert other.table is not declared.table
        assert (other.model, other.triggers) == ("things", False)
        assert (other.owner.name, other.owner_codec.kind) == ("Owner", "uuid")
        assert (other.id.name, other.id_codec.kind) == ("id", "uuid")
        assert {
            name: (column.column.name, column.codec.kind, column.read_only) for name, column in other.columns.items()
        } == {
            name: (column.column.name, column.codec.kind, column.read_only) for name, column in declared.columns.items()
        }
        assert not other.table.c.title.nullable
        constraints = {one for one in other.table.constraints if isinstance(one, UniqueConstraint)}
        unique = constraints | {one for one in other.table.indexes if one.unique}  # on MariaDB one is the other
        assert ("one_title", ["Owner", "title"]) in [(one.name, one.columns.keys()) for one in unique]

    def test_what_one_writes_the_other_reads(self, connection: Connection, declared: BoundTable) -> None:
        other = described(connection, declared.description())
        for writer, reader in ((declared, other), (other, declared)):
            row = {
                writer.columns[name].column.key: writer.columns[name].codec.to_column(value)
                for name, value in SENT.items()
            }
            row |= {"id": writer.id_codec.to_column(ID), "Owner": writer.owner_codec.to_column(OWNER)}
            connection.execute(writer.table.insert(), [row])
            found = connection.execute(sa.select(reader.table)).mappings().one()
            assert {
                name: reader.columns[name].codec.to_json(found[reader.columns[name].column.key]) for name in SENT
            } == SENT
            texts = sa.select(reader.id_codec.sql(reader.id), reader.owner_codec.sql(reader.owner))
            assert connection.execute(texts).one() == (ID, OWNER)
            assert reader.columns["generated"].codec.to_json(found["generated"]) == 14
            connection.execute(writer.table.delete().where(writer.id == writer.id_codec.to_column(ID)))

    def test_equal_bindings_have_equal_descriptions(self, declared: BoundTable) -> None:
        again = resolve(Binding(things(), owner="Owner", model="things", fields={"cost": "price"}, hidden=("secret",)))
        assert again.description() == declared.description()
        own: dict[str, Any] = {"model": "things", "fields": {"cost": "price"}, "hidden": ["secret"]}
        others: list[dict[str, Any]] = [
            {"hidden": []},
            {"read_only": ["title"]},
            {"triggers": True},
            {"model": "stuff"},
        ]
        for said in [*others, {"fields": {}}]:
            other = own | said
            assert resolve(Binding(things(), owner="Owner", **other)).description() != declared.description()

    def test_it_is_short_json(self, declared: BoundTable) -> None:
        assert json.loads(declared.description())["fields"]["cost"] == {
            "column": "price",
            "read_only": False,
            "codec": {"kind": "decimal", "precision": 10, "scale": 2},
        }

    def test_columns_that_came_later_are_not_seen(self, connection: Connection, declared: BoundTable) -> None:
        preparer = connection.dialect.identifier_preparer
        connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(declared.table)} ADD COLUMN later INTEGER")
        assert "later" not in described(connection, declared.description()).columns

    def test_a_column_that_is_longer_now(self, connection: Connection) -> None:
        """What the database tells is newer than the description."""
        before = Table("things", MetaData(), Column("id", String(36), primary_key=True), Column("name", String(5)))
        after = Table("things", MetaData(), Column("id", String(36), primary_key=True), Column("name", String(9)))
        after.create(connection)
        found = described(connection, resolve(Binding(before, owner="id")).description())
        assert found.columns["name"].codec.to_column("12345678") == "12345678"

    def test_a_column_that_is_gone(self, connection: Connection) -> None:
        bound = resolve(Binding(table(Column("note", Text)), owner="owner"))
        table().create(connection)
        with pytest.raises(SchemaError, match="table 'things' of the model 'things' has no column 'note' any more"):
            described(connection, bound.description())

    def test_a_table_that_is_gone(self, connection: Connection) -> None:
        bound = resolve(Binding(table(), owner="owner"))
        with pytest.raises(SchemaError, match="the table 'things' of the model 'things' is gone"):
            described(connection, bound.description())

    def test_references_and_constraints_are_known(self, connection: Connection) -> None:
        Base.metadata.create_all(connection)
        bound = described(connection, resolve(Binding(Task, owner="user_id")).description())
        keys = {key.target_fullname for key in bound.table.c.user_id.foreign_keys}
        assert keys == {"users.id"}


class TestSchemas:
    def test_a_table_of_another_schema(self, postgresql_url: str) -> None:
        with engine_at(Place(postgresql_url)) as engine, engine.connect() as connection:
            connection.exec_driver_sql('CREATE SCHEMA "My App"')
            found = Table("tasks", MetaData(schema="My App"), Column("id", String(36), primary_key=True))
            found.create(connection)
            bound = described(connection, resolve(Binding(found, owner="id")).description())
            assert (bound.table.schema, bound.table.name) == ("My App", "tasks")
            found.drop(connection)
            with pytest.raises(SchemaError, match=r"'My App\.tasks' of the model 'tasks' is gone"):
                described(connection, resolve(Binding(found, owner="id")).description())
