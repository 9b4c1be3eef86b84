"""Whatever an application writes through SQLAlchemy leaves marks, in the very transaction of the write."""

from __future__ import annotations

import gc
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from mobync_sql.binding import Binding, resolve
from mobync_sql.capture import CannotCapture, capture
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    Sequence,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from tests.own_tables.shelf import ANN, AUTHORS, BOOKS, NOTES, SEATS, Author, Book, Note, Seat, Shelf, fill
from tests.own_tables.writes import ONLY, WRITES, Write, unique_on

TOO_MANY = {"insert_or_leave", "insert_ignoring", "update_with_many_parameters", "update_returning"} | {
    name for name in WRITES if name.startswith("update_and_delete_synchronized")
}
"""The writes after which there are marks of rows that are in the end as they were."""


@pytest.fixture
def shelf(engine: Engine) -> Shelf:
    return Shelf(engine)


@pytest.fixture
def captured(shelf: Shelf) -> Iterator[Shelf]:
    """A shelf with rows, all writes to which are captured."""
    filled(shelf)
    stop = shelf.capture()
    yield shelf
    stop()


def filled(shelf: Shelf) -> None:
    shelf.clear()
    with Session(shelf.engine) as session:
        fill(session)
        session.commit()
    shelf.changes()


def dialect_of(engine: Engine) -> str:
    return "mariadb" if engine.dialect.name == "mysql" else engine.dialect.name


def done(shelf: Shelf, write: Write) -> Any:
    with Session(shelf.engine) as session:
        result = write(session)
        session.commit()
    return result


def test_every_way_to_write_is_marked_and_gives_what_it_gave(shelf: Shelf, subtests: pytest.Subtests) -> None:
    for name, write in WRITES.items():
        if dialect_of(shelf.engine) not in ONLY.get(name, (dialect_of(shelf.engine),)):
            continue
        with subtests.test(name):
            filled(shelf)
            alone = done(shelf, write)
            assert not shelf.marks()
            wanted = len(shelf.changes())
            filled(shelf)
            stop = shelf.capture()
            try:
                assert done(shelf, write) == alone
            finally:
                stop()
            changes, marks = shelf.changes(), shelf.marks().keys()
            assert len(changes) == wanted > 0
            assert changes <= marks
            assert name in TOO_MANY or changes == marks


class TestTransactions:
    def test_marks_are_rolled_back_with_the_write(self, captured: Shelf) -> None:
        with Session(captured.engine) as session:
            for write in (
                WRITES["flush_everything_at_once"],
                WRITES["update_by_criteria"],
                WRITES["insert_from_select"],
            ):
                write(session)
                session.flush()
            session.rollback()
        assert not captured.changes()
        assert not captured.marks()

    def test_marks_are_rolled_back_with_a_savepoint(self, captured: Shelf) -> None:
        with Session(captured.engine) as session:
            session.execute(update(Book).where(Book.id == 1).values(title="kept"))
            inner = session.begin_nested()
            session.execute(update(Book).where(Book.id == 2).values(title="undone"))
            session.execute(insert(Book), [{"reader": "ann", "title": "undone"}])
            inner.rollback()
            session.commit()
        assert set(captured.marks()) == captured.changes() == {("ann", "books", "1")}

    def test_a_write_that_fails_is_not_hidden(self, captured: Shelf) -> None:
        with Session(captured.engine) as session:
            session.add(Book(id=1, reader="ann", title="there is one already"))
            with pytest.raises(DBAPIError):
                session.flush()
            session.rollback()
        assert not captured.marks()

    def test_nobody_gets_between_the_marks_and_the_write(self, captured: Shelf) -> None:
        """Another transaction tries to bring in a row that the write would hit, once its rows are marked."""
        connections: list[Connection] = []

        def intrude(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            if "SET title" in statement and not connections:
                connections.append(connection)
                intruding.start()
                intruding.join(2)

        def intrusion() -> None:
            with captured.engine.connect() as other:
                other.execution_options(mobync=True)  # whose mark would be looked at before this write is committed
                short = {"postgresql": "SET lock_timeout = 500", "mariadb": "SET innodb_lock_wait_timeout = 1"}
                other.execute(text(short.get(dialect_of(captured.engine), "PRAGMA busy_timeout = 500")))
                try:
                    other.execute(insert(BOOKS), {"id": 400, "owner": "bob", "title": "intruder", "author_id": 1})
                    other.commit()
                except DBAPIError:
                    other.rollback()

        intruding = threading.Thread(target=intrusion)
        event.listen(captured.engine, "before_cursor_execute", intrude)
        with Session(captured.engine) as session:
            session.execute(update(Book).where(Book.pages == 1).values(title="changed"))
            session.commit()
        intruding.join()
        assert connections
        event.remove(captured.engine, "before_cursor_execute", intrude)
        marks = set(captured.marks())
        changed = {key for key in captured.changes() if key[2] != "400"}
        assert changed <= marks
        with captured.engine.connect() as connection:
            titles = set(connection.scalars(select(BOOKS.c.title).where(BOOKS.c.id == 400)))
        assert titles <= {"intruder"} or ("bob", "books", "400") in marks

    @pytest.mark.parametrize("database_url", ["postgresql", "mariadb"], indirect=True)
    def test_the_owner_at_the_moment_of_the_write_is_marked(self, captured: Shelf) -> None:
        """Another transaction moves a row, and commits while this one waits for the row's lock."""
        engine = captured.engine
        with engine.execution_options(mobync=True).connect() as mover:  # whose own marks are of no help
            mover.execute(update(BOOKS).where(BOOKS.c.id == 1).values(owner="zoe"))

            def write() -> None:
                with Session(engine) as session:
                    session.execute(update(Book).where(Book.author_id == 1).values(title="changed"))
                    session.commit()

            writing = threading.Thread(target=write)
            writing.start()
            writing.join(0.5)
            assert writing.is_alive()
            mover.commit()
            writing.join()
        assert ("zoe", "books", "1") in captured.marks()


class TestWhatIsLeftAlone:
    def test_tables_with_triggers(self, shelf: Shelf) -> None:
        filled(shelf)
        bound = resolve(Binding(Book, owner="owner", triggers=True))
        stop = capture(shelf.engine, lambda: [bound])
        done(shelf, WRITES["flush_everything_at_once"])
        stop()
        assert not shelf.marks()

    def test_mobyncs_own_statements(self, captured: Shelf) -> None:
        own = captured.engine.execution_options(mobync=True)
        with own.begin() as connection:
            connection.execute(update(BOOKS).values(title="own"))
            connection.execute(insert(BOOKS), [{"owner": "ann", "title": "own"}])
            connection.execute(delete(NOTES))
        assert captured.changes()
        assert not captured.marks()

    def test_tables_that_are_not_bound(self, captured: Shelf) -> None:
        with Session(captured.engine) as session:
            session.add(Author(id=9, name="new"))
            session.flush()
            session.execute(update(Author).values(name="changed"))
            session.commit()
        assert not captured.marks()

    def test_statements_that_are_no_writes(self, captured: Shelf) -> None:
        other = Table("others", MetaData(), Column("id", Integer, primary_key=True))
        with captured.engine.begin() as connection:
            other.create(connection)
            other.drop(connection)
            assert connection.scalar(select(func.count()).select_from(BOOKS)) == 6
            if captured.engine.dialect.name == "postgresql":
                assert connection.scalar(Sequence("books_id_seq")) >= 1000
        assert not captured.marks()

    def test_text(self, captured: Shelf) -> None:
        with captured.engine.begin() as connection:
            connection.execute(text("UPDATE books SET title = 'text'"))
        assert captured.changes()
        assert not captured.marks()


def test_rows_that_own_themselves(shelf: Shelf) -> None:
    filled(shelf)
    bound = resolve(Binding(Author, owner="id", model="author"))
    stop = capture(shelf.engine, lambda: [bound])
    with Session(shelf.engine) as session:
        session.add(Author(id=5, name="new"))
        session.get_one(Author, 1).name = "changed"
        session.flush()
        session.execute(
            update(Author).where(Author.id == 5).values(id=6), execution_options={"synchronize_session": False}
        )
        session.execute(delete(Author).where(Author.id == 6), execution_options={"synchronize_session": False})
        session.commit()
    stop()
    assert {(owner, id) for owner, _, id in shelf.marks()} == {("5", "5"), ("1", "1"), ("6", "6")}


def test_statements_are_not_kept(captured: Shelf) -> None:
    kept = []
    for id in range(3):
        statement = update(BOOKS).where(BOOKS.c.id == id).values(title="changed")
        kept.append(weakref.ref(statement))
        with captured.engine.begin() as connection:
            connection.execute(statement)
        del statement
    gc.collect()
    assert [reference() for reference in kept[1:]] == [None, None]  # the first is in SQLAlchemy's own cache


class TestSeveralCaptures:
    def test_one_may_stop(self, captured: Shelf) -> None:
        stop = captured.capture()
        done(captured, WRITES["update_by_criteria"])
        assert set(captured.marks().values()) == {2}
        stop()
        done(captured, WRITES["update_by_criteria"])
        assert set(captured.marks().values()) == {1}

    def test_a_table_may_be_two_models(self, shelf: Shelf) -> None:
        filled(shelf)
        bound = [
            resolve(Binding(SEATS, owner="owner", model="seat", id="code")),
            resolve(Binding(SEATS, owner="owner", model="number", id="number")),
        ]
        stop = capture(shelf.engine, lambda: bound)
        with Session(shelf.engine) as session:
            session.add_all(Seat(row=20, place=place, number=place, owner=1) for place in range(3))
            session.flush()
            session.execute(
                insert(SEATS).values([{"row": 21, "place": n, "number": 10 + n, "owner": 2} for n in range(3)])
            )
            source = select(SEATS.c.row + 1, SEATS.c.place, SEATS.c.number + 10, SEATS.c.owner).where(SEATS.c.row == 21)
            session.execute(insert(SEATS).from_select(["row", "place", "number", "owner"], source))
            session.execute(update(SEATS).where(SEATS.c.row == 20).values(owner=3))
            session.execute(delete(SEATS).where(SEATS.c.row == 22))
            session.commit()
        stop()
        marks = shelf.marks()
        of = {
            model: Counter(owner for owner, marked, _ in marks.elements() if marked == model)
            for model in ("seat", "number")
        }
        assert of["seat"] == of["number"] == {"1": 6, "2": 9, "3": 3}
        assert {id for _, model, id in marks if model == "number"} == {
            str(n) for n in (0, 1, 2, 10, 11, 12, 20, 21, 22)
        }


REFUSED: dict[str, tuple[Callable[[Session], Any], str]] = {
    "an expression as the owner": (
        lambda session: session.execute(
            update(Book).values(reader=Book.title), execution_options={"synchronize_session": False}
        ),
        "sets 'owner' to what only the database knows",
    ),
    "an expression as the id": (
        lambda session: session.connection().execute(update(BOOKS).where(BOOKS.c.id == 1).values(id=BOOKS.c.id + 500)),
        "sets 'id' to what only the database knows",
    ),
    "a RETURNING without the id": (
        lambda session: session.scalars(insert(Book).values(reader="ann", title="x").returning(Book.title)),
        "neither its values nor its RETURNING tell 'id'",
    ),
    "REPLACE": (
        lambda session: session.connection().execute(insert(BOOKS).prefix_with("OR REPLACE"), {"id": 1, "title": "x"}),
        "may replace rows",
    ),
    "a part of another statement": (
        lambda session: session.execute(
            select(Note).from_statement(update(Note).values(body="x").returning(Note)),
            execution_options={"synchronize_session": False},
        ),
        "a part of another statement",
    ),
    "AUTOCOMMIT": (
        lambda session: session.connection(execution_options={"isolation_level": "AUTOCOMMIT"}).execute(
            update(BOOKS).values(title="x")
        ),
        "in AUTOCOMMIT",
    ),
    "another schema": (
        lambda session: session.connection(execution_options={"schema_translate_map": {None: "other"}}).execute(
            update(BOOKS).values(title="x")
        ),
        "schema_translate_map",
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("what", REFUSED)
    def test_what_cannot_be_noticed_is_not_done(self, captured: Shelf, what: str) -> None:
        write, why = REFUSED[what]
        with Session(captured.engine) as session:
            with pytest.raises(CannotCapture, match=why) as refusal:
                write(session)
            assert "triggers=True" in str(refusal.value)
            session.commit()
        assert not captured.changes()
        assert not captured.marks()

    @pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
    @pytest.mark.parametrize("read", [True, False])
    def test_a_write_in_a_cte(self, captured: Shelf, read: bool) -> None:
        inner = delete(BOOKS).returning(BOOKS.c.id).cte()
        statement = select(inner.c.id) if read else update(AUTHORS).values(name="x").add_cte(inner)
        with captured.engine.begin() as connection, pytest.raises(CannotCapture, match="a part of another statement"):
            connection.execute(statement)
        assert not captured.changes()

    @pytest.mark.parametrize("database_url", ["sqlite", "mariadb"], indirect=True)
    @pytest.mark.parametrize("values", [{"owner": "x"}, {"id": 3}])
    def test_many_parameters_that_may_form_a_chain(self, captured: Shelf, values: dict[str, Any]) -> None:
        column = BOOKS.c.owner if "owner" in values else BOOKS.c.id
        steps = [("eve", "x"), ("x", "y")] if "owner" in values else [(6, 700), (700, 701)]
        statement = update(BOOKS).where(column == bindparam("old"))
        with captured.engine.begin() as connection, pytest.raises(CannotCapture, match="does not name each by its id"):
            connection.execute(statement, [{"old": old, column.key: new} for old, new in steps])
        assert not captured.changes()

    def test_an_upsert_whose_rows_are_not_known(self, captured: Shelf) -> None:
        with captured.engine.begin() as connection:
            if dialect_of(captured.engine) == "mariadb":
                statement = mysql.insert(NOTES).on_duplicate_key_update(owner=UUID(int=9))
            else:
                with Session(connection) as session:
                    make = unique_on(session)
                statement = make(NOTES).on_conflict_do_update(
                    index_elements=["owner", "name"], set_={"id": UUID(int=9)}
                )
            with pytest.raises(CannotCapture):
                connection.execute(statement, {"owner": ANN, "name": "note 101", "version": 1, "body": ""})
        assert not captured.changes()

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_many_rows_whose_database_tells_no_ids(self, engine: Engine) -> None:
        without = create_engine(engine.url, use_insertmanyvalues=False)
        shelf = Shelf(without)
        stop = shelf.capture()
        with without.begin() as connection, pytest.raises(CannotCapture, match="tell 'id'"):
            connection.execute(insert(BOOKS), [{"owner": "ann", "title": "x"}, {"owner": "ann", "title": "y"}])
        with Session(without) as session:  # which inserts one by one then
            session.add_all([Book(reader="ann", title="x"), Book(reader="ann", title="y")])
            session.commit()
        stop()
        assert set(shelf.marks()) == shelf.changes() != set()
        without.dispose()
