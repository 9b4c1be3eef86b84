"""Tables whose rows get their ids in every way there is, and what tells which marks a write must leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from mobync_sql.binding import Binding, resolve
from mobync_sql.capture import capture
from mobync_sql.schema import metadata, outbox
from sqlalchemy import (
    Engine,
    ForeignKey,
    Identity,
    String,
    UniqueConstraint,
    delete,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class _FreshText(FunctionElement[str]):
    """A text that the database makes, another one each time."""

    inherit_cache = True
    type = String()


@compiles(_FreshText)
def _fresh(_element: _FreshText, compiler: SQLCompiler, **_: Any) -> str:
    made = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "CAST(gen_random_uuid() AS TEXT)"}
    return f"({made.get(compiler.dialect.name, 'uuid()')})"


_numbers = count(1000)


class Base(DeclarativeBase):
    pass


class Author(Base):
    """Not bound."""

    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    """Its id is a number that the database makes; a novel is in the same table."""

    __tablename__ = "books"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "book"}  # noqa: RUF012 - SQLAlchemy wants it so
    id: Mapped[int] = mapped_column(Identity(start=1000), primary_key=True)
    reader: Mapped[str | None] = mapped_column("owner", String(20))
    title: Mapped[str] = mapped_column(String(40))
    pages: Mapped[int] = mapped_column(default=1)
    edits: Mapped[int] = mapped_column(default=0, onupdate=lambda: 7)
    stock: Mapped[int] = mapped_column(server_default="3")
    kind: Mapped[str] = mapped_column(String(10), default="book")
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author | None] = relationship(back_populates="books")


class Novel(Book):
    __mapper_args__ = {"polymorphic_identity": "novel"}  # noqa: RUF012 - SQLAlchemy wants it so


class Note(Base):
    """Its id is a UUID that the application makes. Its version is checked by SQLAlchemy."""

    __tablename__ = "notes"
    __table_args__ = (UniqueConstraint("owner", "name", name="one_name"),)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(String(20))
    body: Mapped[str] = mapped_column(String(40), default="")
    version: Mapped[int] = mapped_column()
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy wants it so


class Label(Base):
    """Its id is a text that the database makes."""

    __tablename__ = "labels"
    id: Mapped[str] = mapped_column(String(40), primary_key=True, server_default=_FreshText())
    owner: Mapped[str | None] = mapped_column(String(20))
    name: Mapped[str] = mapped_column(String(20))


class Seat(Base):
    """Its id is no primary key, and the database makes it."""

    __tablename__ = "seats"
    row: Mapped[int] = mapped_column(primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(40), server_default=_FreshText(), unique=True)
    number: Mapped[int] = mapped_column(unique=True, default=lambda: next(_numbers))
    owner: Mapped[int | None]


BINDINGS = [
    Binding(Book, owner="owner"),
    Binding(Note, owner="owner", model="note"),
    Binding(Label, owner="owner", model="label"),
    Binding(Seat, owner="owner", model="seat", id="code"),
]


AUTHORS, BOOKS, NOTES, LABELS, SEATS = (
    Base.metadata.tables[name] for name in ("authors", "books", "notes", "labels", "seats")
)
ANN, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)


def fill(session: Session) -> None:
    """The rows that are there before each write."""
    author, other = Author(id=1, name="Ursula"), Author(id=2, name="Stanislaw")
    for number, reader in enumerate(["ann", "ann", "bob", "bob", "eve", None], 1):
        kind = Novel if number % 2 else Book
        session.add(kind(id=number, reader=reader, title=f"book {number}", author=author if number < 4 else other))
    for number, owner in enumerate([ANN, ANN, BOB, None], 101):
        session.add(Note(id=UUID(int=number), owner=owner, name=f"note {number}"))
    for number, reader in enumerate(["ann", "bob", None], 1):
        session.add(Label(id=f"label {number}", owner=reader, name=f"label {number}"))
    for number, seat in enumerate([1, 2, None], 1):
        session.add(Seat(row=1, place=number, code=f"code {number}", owner=seat))


class Shelf:
    """The tables on an engine, and their rows and marks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.bound = [resolve(binding) for binding in BINDINGS]
        Base.metadata.create_all(engine)
        metadata.create_all(engine)
        self._before = self._rows()

    def capture(self, engine: Engine | None = None) -> Callable[[], None]:
        """Capture what is written through the shelf's engine, or another one. Returns what stops it."""
        return capture(engine or self.engine, lambda: self.bound)

    def clear(self) -> None:
        """Remove all rows and marks, unnoticed."""
        with self.engine.begin() as connection:
            connection.execution_options(mobync=True)
            for table in [*reversed(Base.metadata.sorted_tables), outbox]:
                connection.execute(delete(table))
        self._before = self._rows()

    def changes(self) -> set[tuple[str, str, str]]:
        """Find the (owner, model, id) of the rows that appeared, disappeared or changed since this was last called."""
        before, after = self._before, self._rows()
        self._before = after
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        return {
            (rows[key][0], *key)
            for rows in (before, after)
            for key in changed
            if key in rows and rows[key][0] != "None"
        }

    def marks(self) -> Counter[tuple[str, str, str]]:
        """Take all marks."""
        with self.engine.begin() as connection:
            found = connection.execute(select(outbox.c.owner, outbox.c.model, outbox.c.id)).all()
            connection.execute(delete(outbox))
        return Counter((owner, model, id) for owner, model, id in found)

    def _rows(self) -> dict[tuple[str, str], tuple[str, tuple[Any, ...]]]:
        with self.engine.connect() as connection:
            return {
                (bound.model, str(row._mapping[bound.id])): (str(row._mapping[bound.owner]), tuple(row))
                for bound in self.bound
                for row in connection.execute(select(bound.table))
            }
