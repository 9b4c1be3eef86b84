"""UPDATE and DELETE statements."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData, bindparam, column, delete, insert, lambda_stmt, select, table, update
from sqlalchemy.orm import Session, with_loader_criteria

from tests.own_tables.shelf import (
    ANN,
    AUTHORS,
    BOOKS,
    LABELS,
    Author,
    Book,
    Label,
    Note,
    Novel,
    Seat,
)
from tests.own_tables.writes.registry import WRITES, Write, counted, write


@write()
def update_by_criteria(session: Session) -> Any:
    return counted(session.execute(update(Book).where(Book.reader == "ann").values(title="changed")))


def _synchronized(how: Any) -> Write:
    def update_and_delete(session: Session) -> Any:
        books = session.scalars(select(Book).order_by(Book.id)).all()
        options = {"synchronize_session": how}
        results = [
            session.execute(
                update(Book).where(Book.reader == "ann").values(title="changed"), execution_options=options
            ),
            session.execute(update(Book).where(Book.reader == "ann").values(reader="bob"), execution_options=options),
            session.execute(update(Book).where(Book.id == 5).values({Book.id: 96}), execution_options=options),
            session.execute(delete(Book).where(Book.reader == "bob", Book.pages > 0), execution_options=options),
        ]
        return [counted(result) for result in results], [book in session for book in books]

    return update_and_delete


for _how in ("auto", "evaluate", "fetch", False):
    WRITES[f"update_and_delete_synchronized_by_{_how}"] = _synchronized(_how)


@write()
def update_by_the_rows_of_another_table(session: Session) -> Any:
    statement = update(Book).where(Book.author_id == Author.id, Author.name == "Ursula", Book.reader == "ann")
    return (
        counted(session.execute(statement.values(title=Author.name), execution_options={"synchronize_session": False})),
        counted(session.execute(update(Book).where(Book.author.has(Author.name == "Ursula")).values(reader="joined"))),
    )


@write()
def update_by_subqueries(session: Session) -> Any:
    authors = select(Author.id).where(Author.name.in_(["Ursula", "Nobody"]))
    options = {"synchronize_session": False}
    return (
        counted(session.execute(update(Book).where(Book.author_id.in_(authors)).values(pages=Book.pages + 1))),
        counted(
            session.execute(
                update(Book)
                .where(select(Author).where(Author.id == Book.author_id, Author.id == 2).exists())
                .values(title="y"),
                execution_options=options,
            )
        ),
    )


@write("sqlite", "postgresql")
def update_by_a_cte(session: Session) -> Any:
    few = select(Author.id).where(Author.name == "Ursula").cte("few")
    statement = update(Book).where(Book.author_id.in_(select(few.c.id))).values(title="x")
    return counted(session.execute(statement, execution_options={"synchronize_session": False}))


@write("sqlite", "postgresql")
def update_an_alias(session: Session) -> Any:
    books: Any = BOOKS.alias("b")
    return session.connection().execute(update(books).where(books.c.owner == "ann").values(title="changed")).rowcount


@write()
def update_another_object_of_the_table(session: Session) -> Any:
    books = table("books", column("id"), column("owner"), column("title"))
    connection = session.connection()
    return (
        connection.execute(update(books).where(books.c.owner == "ann").values(title="changed")).rowcount,
        connection.execute(update(books).where(books.c.owner == "bob").values(owner="ann")).rowcount,
        connection.execute(delete(books).where(books.c.id == 1)).rowcount,
        connection.execute(insert(LABELS.to_metadata(MetaData())), [{"owner": "ann", "name": "x"}] * 2).rowcount,
    )


@write()
def update_with_loader_criteria(session: Session) -> Any:
    statement = update(Book).values(title="changed").options(with_loader_criteria(Book, Book.pages > 0))
    return counted(session.execute(statement, execution_options={"synchronize_session": False}))


@write()
def update_and_delete_a_subclass(session: Session) -> Any:
    return (
        counted(session.execute(update(Novel).values(title="a novel"))),
        counted(session.execute(delete(Novel).where(Novel.reader == "ann"))),
    )


@write()
def update_by_primary_keys(session: Session) -> None:
    session.execute(update(Book), [{"id": 1, "title": "a"}, {"id": 2, "title": "b"}, {"id": 3, "reader": "eve"}])


@write()
def update_with_many_parameters(session: Session) -> Any:
    connection = session.connection()
    by_owner = update(BOOKS).where(BOOKS.c.owner == bindparam("which"))
    by_id = update(BOOKS).where(BOOKS.c.id == bindparam("id_"))
    return (
        connection.execute(by_owner, [{"which": "ann", "title": "a"}, {"which": "bob", "title": "b"}]).rowcount,
        connection.execute(by_id, [{"id_": 1, "owner": "x"}, {"id_": 3, "owner": None}]).rowcount,
        connection.execute(
            by_id.values(owner=bindparam("to")), [{"id_": 1, "to": "y"}, {"id_": 2, "to": "z"}]
        ).rowcount,
        connection.execute(by_owner.values(owner="w"), {"which": "z"}).rowcount,
        connection.execute(by_id, [{"id_": 1, "id": 71}, {"id_": 3, "id": 73}]).rowcount,
        connection.execute(delete(BOOKS).where(BOOKS.c.id == bindparam("id")), [{"id": 71}, {"id": 73}]).rowcount,
    )


@write()
def update_ordered(session: Session) -> Any:
    values = [(BOOKS.c.title, "x"), (BOOKS.c.owner, "ordered")]
    return session.connection().execute(update(BOOKS).where(BOOKS.c.id < 3).ordered_values(*values)).rowcount


@write("sqlite", "postgresql")
def update_returning(session: Session) -> Any:
    statement = update(Book).where(Book.reader == "ann").values(reader="bob").returning(Book.id, Book.title)
    rows = sorted(tuple(row) for row in session.execute(statement))
    return rows, sorted(session.scalars(delete(Book).where(Book.reader == "bob").returning(Book.title)))


@write("mariadb")
def update_two_tables(session: Session) -> Any:
    statement = update(AUTHORS).where(AUTHORS.c.id == BOOKS.c.author_id, BOOKS.c.id == 1)
    return session.connection().execute(statement.values({AUTHORS.c.name: "x", BOOKS.c.title: "y"})).rowcount


@write()
def update_and_delete_by_lambdas(session: Session) -> Any:
    reader = "ann"
    connection = session.connection()
    return (
        connection.execute(
            lambda_stmt(lambda: update(BOOKS).where(BOOKS.c.owner == reader).values(title="lambda"))
        ).rowcount,
        connection.execute(lambda_stmt(lambda: delete(BOOKS).where(BOOKS.c.owner == reader))).rowcount,
    )


@write()
def delete_by_criteria(session: Session) -> Any:
    return (
        counted(session.execute(delete(Book).where(Book.reader == "ann"))),
        counted(session.execute(delete(Note).where(Note.owner == ANN))),
        counted(session.execute(delete(Book).where(Book.author_id.in_(select(Author.id).where(Author.id == 2))))),
    )


@write("postgresql", "mariadb")
def delete_by_the_rows_of_another_table(session: Session) -> Any:
    statement = delete(Book).where(Book.author_id == Author.id, Author.name == "Ursula")
    return counted(session.execute(statement, execution_options={"synchronize_session": False}))


@write()
def delete_everything(session: Session) -> Any:
    return [counted(session.execute(delete(of))) for of in (Book, Note, Label, Seat)]


@write()
def delete_twice_in_one_transaction(session: Session) -> Any:
    counts = []
    for _ in range(2):
        session.execute(insert(Book), [{"id": 99, "reader": "ann", "title": "x"}])
        counts.append(counted(session.execute(delete(Book).where(Book.id == 99))))
    session.execute(insert(Book), [{"id": 99, "reader": "ann", "title": "x"}])
    return counts
