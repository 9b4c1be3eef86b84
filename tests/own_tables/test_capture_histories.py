"""Whatever an application does to its rows, in whatever order: those that are other afterwards are marked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Engine, bindparam, delete, func, insert, literal, or_, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import FlushError, StaleDataError

from tests.own_tables.shelf import BOOKS, Author, Book, Novel, Seat, Shelf, fill
from tests.own_tables.writes import unique_on

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "60"))

Step = Callable[[Session], Any]

owners = st.sampled_from(["ann", "bob", "eve", None])
ids = st.integers(1, 9)
titles = st.sampled_from(["x", "y", "z"])
numbers = st.integers(1, 3)

criteria: st.SearchStrategy[ColumnElement[bool]] = st.one_of(
    owners.map(lambda owner: Book.reader == owner),
    ids.map(lambda id: Book.id == id),
    st.lists(ids, max_size=3).map(Book.id.in_),
    ids.map(lambda id: Book.id <= id),
    titles.map(lambda title: Book.title == title),
    numbers.map(lambda id: Book.author.has(Author.id == id)),
    numbers.map(lambda id: Book.author_id.in_(select(Author.id).where(Author.id <= id))),
    st.tuples(owners, titles).map(lambda pair: or_(Book.reader == pair[0], Book.title == pair[1])),
)
values = st.fixed_dictionaries({}, optional={"title": titles, "reader": owners, "author_id": numbers}).filter(bool)


def step(*arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., Any]], st.SearchStrategy[Step]]:
    """Make a strategy of a function whose further arguments are drawn."""

    def strategy(function: Callable[..., Any]) -> st.SearchStrategy[Step]:
        def bound(drawn: tuple[Any, ...]) -> Step:
            def run(session: Session) -> Any:
                return function(session, *drawn)

            run.__qualname__ = f"{function.__name__}{drawn}"
            return run

        return st.tuples(*arguments).map(bound)

    return strategy


@step(owners, titles, st.sampled_from([Book, Novel]), st.none() | ids)
def add(session: Session, owner: str | None, title: str, kind: type[Book], id: int | None) -> None:
    session.add(kind(reader=owner, title=title, author_id=1, **({} if id is None else {"id": id})))
    session.flush()


@step(st.lists(owners, min_size=2, max_size=4))
def add_many(session: Session, owners: list[str | None]) -> None:
    session.add_all(Book(reader=owner, title="x") for owner in owners)
    session.flush()


@step(st.lists(st.tuples(ids, values), min_size=1, max_size=3))
def edit(session: Session, edits: list[tuple[int, dict[str, Any]]]) -> None:
    for id, changes in edits:
        if book := session.get(Book, id):
            for name, value in changes.items():
                setattr(book, name, value)
    session.flush()


@step(ids, st.integers(1, 12))
def renumber(session: Session, id: int, to: int) -> None:
    if book := session.get(Book, id):
        book.id = to
        session.flush()


@step(st.lists(ids, min_size=1, max_size=3))
def remove(session: Session, ids: list[int]) -> None:
    for id in ids:
        if book := session.get(Book, id):
            session.delete(book)
    session.flush()


@step(numbers)
def remove_author(session: Session, id: int) -> None:
    if author := session.get(Author, id):
        session.delete(author)
        session.flush()


@step(criteria, values, st.sampled_from(["auto", "fetch", False]))
def update_some(session: Session, criterion: ColumnElement[bool], values: dict[str, Any], how: Any) -> None:
    session.execute(update(Book).where(criterion).values(values), execution_options={"synchronize_session": how})


@step(criteria, st.sampled_from([Book, Novel]))
def delete_some(session: Session, criterion: ColumnElement[bool], kind: type[Book]) -> None:
    session.execute(delete(kind).where(criterion), execution_options={"synchronize_session": "fetch"})


@step(st.lists(st.fixed_dictionaries({"id": ids, "title": titles}, optional={}), min_size=1, max_size=3))
def update_by_primary_keys(session: Session, rows: list[dict[str, Any]]) -> None:
    session.execute(update(Book), rows)


@step(st.lists(st.tuples(ids, owners), min_size=1, max_size=3))
def move_many(session: Session, moves: list[tuple[int, str | None]]) -> None:
    statement = update(BOOKS).where(BOOKS.c.id == bindparam("which"))
    session.connection().execute(statement, [{"which": id, "owner": owner} for id, owner in moves])
    session.expire_all()


@step(st.lists(st.tuples(owners, titles), min_size=1, max_size=4))
def insert_many(session: Session, rows: list[tuple[str | None, str]]) -> None:
    session.execute(insert(Book), [{"reader": owner, "title": title} for owner, title in rows])


@step(st.lists(owners, min_size=1, max_size=3))
def insert_values(session: Session, owners: list[str | None]) -> None:
    session.execute(insert(Book).values([{"reader": owner, "title": "x"} for owner in owners]))


@step(owners, criteria)
def insert_copies(session: Session, owner: str | None, criterion: ColumnElement[bool]) -> None:
    source = select(literal(owner, Book.reader.type), func.lower(Book.title)).where(criterion)
    session.execute(insert(Book).from_select(["owner", "title"], source))


@step(ids, owners, titles, st.booleans())
def upsert(session: Session, id: int, owner: str | None, title: str, moves: bool) -> None:
    if session.connection().dialect.name in ("sqlite", "postgresql"):
        statement = unique_on(session)(BOOKS)
        changes = {"title": statement.excluded.title} | ({"owner": statement.excluded.owner} if moves else {})
        statement = statement.on_conflict_do_update(index_elements=["id"], set_=changes)
        session.connection().execute(statement, {"id": id, "owner": owner, "title": title})
        session.expire_all()


@step(st.integers(1, 9), st.none() | numbers)
def seat(session: Session, place: int, owner: int | None) -> None:
    session.merge(Seat(row=1, place=place, owner=owner))
    session.flush()


writes = st.one_of(
    add,
    add_many,
    edit,
    renumber,
    remove,
    remove_author,
    update_some,
    delete_some,
    update_by_primary_keys,
    move_many,
    insert_many,
    insert_values,
    insert_copies,
    upsert,
    seat,
)
transactions = st.lists(st.tuples(st.lists(st.tuples(writes, st.booleans()), max_size=5), st.booleans()), max_size=4)


@pytest.fixture
def shelf(engine: Engine) -> Shelf:
    return Shelf(engine)


# What a session remembers after a savepoint was rolled back may be out of date.
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(transactions)
def test_rows_that_changed_are_marked(shelf: Shelf, transactions: list[tuple[list[tuple[Step, bool]], bool]]) -> None:
    shelf.clear()
    with Session(shelf.engine) as session:
        fill(session)
        session.commit()
    shelf.changes()
    stop = shelf.capture()
    try:
        for steps, commits in transactions:
            with Session(shelf.engine) as session:
                for write, stays in steps:
                    part = session.begin_nested()
                    try:
                        write(session)
                    except (DBAPIError, StaleDataError, FlushError):  # an id that is there already, or is not there
                        part.rollback()
                    else:
                        part.commit() if stays else part.rollback()
                if commits:
                    session.commit()
            changes, marks = shelf.changes(), shelf.marks()
            assert changes <= marks.keys()
            # Python's sqlite3 commits at the end of a savepoint that no other write preceded.
            assert commits or shelf.engine.dialect.name == "sqlite" or not marks
    finally:
        stop()
