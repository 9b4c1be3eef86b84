"""INSERT statements."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, insert, literal, select
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import Session

from tests.own_tables.shelf import (
    ANN,
    BOB,
    BOOKS,
    EVE,
    LABELS,
    NOTES,
    SEATS,
    Book,
    Label,
    Note,
    Seat,
)
from tests.own_tables.writes.registry import counted, unique_on, write


@write()
def insert_dicts(session: Session) -> None:
    session.execute(insert(Book), [{"reader": "ann", "title": "a"}, {"reader": None, "title": "b"}])
    session.execute(
        insert(Note), [{"owner": ANN, "name": "a", "version": 1}, {"owner": BOB, "name": "b", "version": 1}]
    )
    session.execute(insert(Seat), [{"row": 4, "place": 1, "owner": 1}, {"row": 4, "place": 2, "owner": 2}])


@write()
def insert_dicts_on_a_connection(session: Session) -> Any:
    connection = session.connection()
    return [
        connection.execute(insert(BOOKS), [{"owner": "ann", "title": "a"}, {"owner": "bob", "title": "b"}]).rowcount,
        connection.execute(LABELS.insert(), [{"owner": "ann", "name": "a"}, {"owner": "bob", "name": "b"}]).rowcount,
        connection.execute(SEATS.insert(), [{"row": 5, "place": n, "owner": n} for n in (1, 2)]).rowcount,
        connection.execute(SEATS.insert(), [{"row": 6, "place": n, "code": f"c{n}"} for n in (1, 2)]).rowcount,
    ]


@write()
def insert_one_on_a_connection(session: Session) -> Any:
    connection = session.connection()
    results = [
        connection.execute(insert(BOOKS), {"owner": "ann", "title": "a"}),
        connection.execute(insert(BOOKS).values(owner=literal("ann"), title="a")),
        connection.execute(insert(BOOKS).values(owner="ann", title=func.lower("A"))),
        connection.execute(insert(BOOKS).values(id=bindparam("which"), owner="ann", title="c"), {"which": 53}),
        connection.execute(
            insert(BOOKS).values(id=select(func.max(BOOKS.c.id) + 1).scalar_subquery(), title="a", owner="q")
        ),
        connection.execute(insert(LABELS), {"owner": "ann", "name": "a"}),
        connection.execute(insert(SEATS), {"row": 7, "place": 1, "owner": 4}),
    ]
    return [(result.rowcount, result.returns_rows, len(result.inserted_primary_key or ())) for result in results]


@write("sqlite", "mariadb")
def insert_null_as_id(session: Session) -> Any:
    connection = session.connection()
    one = connection.execute(insert(BOOKS).values(id=None, owner="ann", title="a"))
    many = connection.execute(
        insert(BOOKS), [{"id": None, "owner": "ann", "title": "a"}, {"id": 54, "owner": "a", "title": "a"}]
    )
    return one.rowcount, many.rowcount


@write()
def insert_inline(session: Session) -> Any:
    return session.connection().execute(insert(BOOKS).values(owner="ann", title="a").inline()).rowcount


@write()
def insert_returning(session: Session) -> Any:
    books = session.scalars(
        insert(Book).returning(Book), [{"reader": "ann", "title": "a"}, {"reader": "bob", "title": "b"}]
    )
    found = [(book.reader, book.title) for book in books]
    rows = session.execute(insert(Book).values(reader="eve", title="c").returning(Book.title, Book.id, Book.pages))
    one = session.connection().execute(
        insert(BOOKS).values(owner="eve", title="d").returning(BOOKS.c.id.label("x"), BOOKS.c.owner)
    )
    first = one.mappings().first()
    assert first is not None
    names = session.execute(
        insert(Note).returning(Note.name), [{"owner": ANN, "name": name, "version": 1} for name in "ab"]
    )
    some = session.scalars(
        insert(Label).returning(Label), [{"owner": "ann", "name": name} for name in "xyz"]
    ).partitions(2)
    return (
        sorted(found),
        [(row.title, row.pages) for row in rows],
        (len(first), first["owner"]),
        sorted(names.scalars()),
        [len(part) for part in some],
    )


@write()
def insert_several_values(session: Session) -> Any:
    return (
        counted(
            session.execute(insert(Book).values([{"reader": "ann", "title": "a"}, {"reader": "bob", "title": "b"}]))
        ),
        counted(session.execute(insert(Book).values([{"id": n, "reader": "ann", "title": "a"} for n in (90, 91)]))),
        session.connection()
        .execute(insert(SEATS).values([{"row": 8, "place": n, "owner": n} for n in (1, 2, 3)]))
        .rowcount,
    )


@write()
def insert_from_select(session: Session) -> Any:
    source = select(Book.reader, func.upper(Book.title)).where(Book.id < 4)
    return (
        counted(session.execute(insert(Book).from_select(["owner", "title"], source))),
        session.connection()
        .execute(insert(LABELS).from_select(["owner", "name"], select(BOOKS.c.owner, BOOKS.c.kind)))
        .rowcount,
    )


@write("sqlite", "postgresql")
def insert_or_update_by_id(session: Session) -> Any:
    statement = unique_on(session)(Book)
    statement = statement.on_conflict_do_update(index_elements=["id"], set_={"title": statement.excluded.title})
    rows = [{"id": 1, "reader": "zoe", "title": "upsert"}, {"id": 92, "reader": "zoe", "title": "upsert"}]
    return counted(session.execute(statement.values(rows))), session.connection().execute(statement, rows[:1]).rowcount


@write("sqlite", "postgresql")
def insert_or_move_by_id(session: Session) -> None:
    statement = unique_on(session)(BOOKS)
    everything = {column.name: statement.excluded[column.name] for column in BOOKS.c}
    statement = statement.on_conflict_do_update(index_elements=[BOOKS.c.id], set_=everything)
    rows = [{"id": n, "owner": "zoe", "title": "upsert", "stock": 1} for n in (1, 3, 93)]
    session.connection().execute(statement, rows)


@write("sqlite", "postgresql")
def insert_or_update_by_another_key(session: Session) -> Any:
    statement = unique_on(session)(Note).on_conflict_do_update(
        index_elements=["owner", "name"], set_={"body": "upsert"}
    )
    rows = [{"owner": ANN, "name": name, "version": 1} for name in ("note 101", "new")]
    session.execute(statement, rows)
    returned = statement.returning(Note.name, Note.id)
    return [name for name, _ in session.execute(returned, {"owner": BOB, "name": "note 103", "version": 1})]


@write("sqlite", "postgresql")
def insert_or_move_by_another_key(session: Session) -> None:
    statement = unique_on(session)(NOTES).on_conflict_do_update(index_elements=["owner", "name"], set_={"owner": EVE})
    session.connection().execute(statement.values([{"owner": ANN, "name": "note 101", "version": 1, "body": ""}]))


@write("postgresql")
def insert_or_move_by_a_constraint(session: Session) -> None:
    statement = unique_on(session)(NOTES).on_conflict_do_update(constraint="one_name", set_={"owner": EVE})
    session.connection().execute(statement, {"owner": ANN, "name": "note 102", "version": 1})


@write("sqlite", "postgresql")
def insert_or_leave(session: Session) -> Any:
    statement = unique_on(session)(BOOKS).on_conflict_do_nothing()
    rows = [{"id": n, "owner": "zoe", "title": "no"} for n in (1, 94)]
    named = unique_on(session)(NOTES).on_conflict_do_nothing()
    connection = session.connection()
    return (
        connection.execute(statement, rows).rowcount,
        connection.execute(named, {"owner": ANN, "name": "note 101", "version": 1}).rowcount,
        connection.execute(unique_on(session)(SEATS).on_conflict_do_nothing(), {"row": 1, "place": 1}).rowcount,
    )


@write("sqlite", "mariadb")
def insert_ignoring(session: Session) -> Any:
    ignore = "OR IGNORE" if session.connection().dialect.name == "sqlite" else "IGNORE"
    notes = [{"owner": ANN, "name": name, "version": 1, "body": ""} for name in ("note 101", "new")]
    seats = insert(SEATS).prefix_with(ignore)
    connection = session.connection()
    return (
        connection.execute(insert(NOTES).prefix_with(ignore), notes).rowcount,
        connection.execute(insert(NOTES).prefix_with(ignore).values(notes)).rowcount,
        [connection.execute(seats, {"row": 1, "place": place, "number": place}).rowcount for place in (1, 9)],
    )


@write("mariadb")
def insert_on_duplicate_key(session: Session) -> None:
    statement = mysql.insert(BOOKS)
    statement = statement.on_duplicate_key_update(title=statement.inserted.title)
    rows = [{"id": n, "owner": "zoe", "title": "upsert"} for n in (1, 95)]
    connection = session.connection()
    named = mysql.insert(NOTES).on_duplicate_key_update(body="upsert")
    connection.execute(statement.values(rows))
    connection.execute(named, {"owner": ANN, "name": "note 101", "version": 1, "body": ""})
