"""Writes by the unit of work of a session, and by its bulk methods."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tests.own_tables.shelf import (
    ANN,
    BOB,
    EVE,
    Author,
    Book,
    Label,
    Note,
    Novel,
    Seat,
)
from tests.own_tables.writes.registry import write


@write()
def flush_one_new(session: Session) -> None:
    session.add(Book(reader="ann", title="new"))


@write()
def flush_many_new(session: Session) -> None:
    session.add_all(Book(reader=reader, title="new") for reader in ("ann", "bob", None, "ann"))
    session.add_all(Note(owner=owner, name="new") for owner in (ANN, BOB, None))
    session.add_all(Label(owner=owner, name="new") for owner in ("ann", "bob", None))
    session.add_all(Seat(row=2, place=place, owner=place) for place in (1, 2, 3))


@write()
def flush_one_with_its_id(session: Session) -> None:
    session.add(Book(id=50, reader="ann", title="new"))
    session.add(Label(id="given", owner="ann", name="new"))
    session.add(Seat(row=3, place=1, code="given", owner=7))


@write()
def flush_some_with_ids(session: Session) -> None:
    session.add_all(
        [Book(id=50, reader="ann", title="a"), Book(reader="bob", title="b"), Book(reader="eve", title="c")]
    )


@write()
def flush_with_an_sql_expression(session: Session) -> None:
    session.add(Book(reader=select(Label.owner).where(Label.id == "label 2").scalar_subquery(), title=func.upper("x")))


@write()
def flush_one_dirty(session: Session) -> None:
    session.get_one(Book, 1).title = "changed"


@write()
def flush_many_dirty(session: Session) -> None:
    for book in session.scalars(select(Book)):
        book.title += " changed"
    for note in session.scalars(select(Note)):
        note.body = "changed"


@write()
def flush_dirty_of_several_kinds(session: Session) -> None:
    session.get_one(Book, 1).title = "changed"
    session.get_one(Book, 2).pages = Book.pages + 1
    session.get_one(Book, 3).author = None
    session.get_one(Seat, (1, 1)).owner = None


@write()
def flush_another_owner(session: Session) -> None:
    session.get_one(Book, 1).reader = "bob"
    session.get_one(Note, UUID(int=101)).owner = EVE


@write()
def flush_other_owners(session: Session) -> None:
    for book, reader in zip(
        session.scalars(select(Book).order_by(Book.id)), ["x", "x", None, "y", "z", "x"], strict=True
    ):
        book.reader = reader
    for seat in session.scalars(select(Seat)):
        seat.owner = 9


@write()
def flush_another_id(session: Session) -> None:
    session.get_one(Book, 1).id = 60
    session.get_one(Seat, (1, 1)).code = "another"


@write()
def flush_other_ids_and_owners(session: Session) -> None:
    for book in session.scalars(select(Book).order_by(Book.id)):
        book.id += 70
        book.reader = f"reader {book.id}"


@write()
def flush_one_deleted(session: Session) -> None:
    session.delete(session.get_one(Book, 1))


@write()
def flush_many_deleted(session: Session) -> None:
    for of in (Book, Note, Label, Seat):
        for found in session.scalars(select(of)):
            session.delete(found)


@write()
def flush_everything_at_once(session: Session) -> None:
    session.add(Book(reader="ann", title="new"))
    session.get_one(Book, 1).title = "changed"
    session.delete(session.get_one(Book, 2))


@write()
def orphans_are_deleted(session: Session) -> None:
    author = session.get_one(Author, 1)
    author.books.pop()


@write()
def deleted_by_the_cascade_of_a_relationship(session: Session) -> None:
    session.delete(session.get_one(Author, 1))


@write()
def merged(session: Session) -> None:
    session.merge(Novel(id=1, reader="bob", title="merged"))
    session.merge(Book(id=80, reader="bob", title="merged"))


@write()
def undone_by_a_savepoint(session: Session) -> None:
    session.get_one(Book, 1).title = "changed"
    inner = session.begin_nested()
    session.get_one(Book, 2).title = "changed"
    session.flush()
    inner.rollback()
    with session.begin_nested():
        session.get_one(Book, 3).title = "changed"


@write()
def bulk_save(session: Session) -> None:
    session.bulk_save_objects([Book(id=51, reader="ann", title="new"), Note(owner=ANN, name="new")])
    session.bulk_save_objects([Book(reader="ann", title="a"), Book(reader="bob", title="b")])
    book = session.get_one(Book, 1)
    book.title = "changed"
    session.bulk_save_objects([book])


@write()
def bulk_save_with_ids(session: Session) -> None:
    books = [Book(reader="ann", title="a"), Book(reader="bob", title="b")]
    session.bulk_save_objects(books, return_defaults=True)
    assert all(book.id for book in books)


@write()
def bulk_insert(session: Session) -> None:
    session.bulk_insert_mappings(Book.__mapper__, [{"reader": reader, "title": "new"} for reader in ("ann", "bob")])
    session.bulk_insert_mappings(
        Note.__mapper__, [{"owner": owner, "name": "new", "version": 1} for owner in (ANN, BOB)]
    )


@write()
def bulk_update(session: Session) -> None:
    session.bulk_update_mappings(
        Book.__mapper__, [{"id": 1, "title": "a"}, {"id": 3, "reader": "ann"}, {"id": 5, "reader": None}]
    )
