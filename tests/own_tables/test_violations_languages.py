"""Violations are recognised in whatever language the server tells them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mobync_sql.violations import Violation
from sqlalchemy import Engine, Table, delete, insert, text
from sqlalchemy.exc import DBAPIError

from tests.own_tables.refusals import FIRST, engine_of, error_of, parents, reflected, things, told

ROW = {"id": 2, "name": "x"}

REFUSED: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"name": None}, "'name' must have a value", ("name",)),
    ({"id": 4711}, "another record has the same 'id'", ("id",)),
    ({"Odd 'Name": FIRST["Odd 'Name"]}, "another record has the same 'Odd 'Name'", ("Odd 'Name",)),
    ({"a": 1234, "b": 2345}, "another record has the same 'a' and 'b'", ("a", "b")),
    ({"priority": 9}, "'priority' must not have this value", ("priority",)),
    ({"rank": -1}, "'rank' must not have this value", ("rank",)),
    ({"self_id": 3}, "'self_id' refers to a record that is not there", ("self_id",)),
    ({"parent_id": "nobody"}, "'parent_id' refers to a record that is not there", ("parent_id",)),
    ({"price": 90210}, "'price' is out of range", ("price",)),
    ({"name": "much too long"}, "'name' is too long", ("name",)),
]


@pytest.fixture(params=["declared", "reflected"])
def table_of(request: pytest.FixtureRequest) -> Callable[[Engine], Table]:
    return (lambda _: things) if request.param == "declared" else (lambda engine: reflected(engine, things.name))


def languages(engine: Engine, locales: list[str]) -> Iterator[str]:
    """Set one after the other, for all connections to come, the languages in which the server has messages."""
    in_english = str(error_of(engine, insert(things), {"id": 1}))
    for locale in locales:
        setting = f"SET lc_messages = '{locale}'"
        try:
            with engine.connect() as connection:
                connection.execute(text(setting))
        except DBAPIError:
            continue  # the server knows no such language; the test says if it knew none at all
        if str(error_of(engine, insert(things), {"id": 1, "name": None}, setting)) != in_english:
            yield setting


MARIADB = (
    "bg_BG cs_CZ da_DK de_DE el_GR es_ES et_EE fr_FR hi_IN hu_HU it_IT ja_JP ka_GE ko_KR nb_NO nl_NL pl_PL pt_PT "
    "ro_RO ru_RU sk_SK sr_RS sv_SE uk_UA zh_CN"
)


def test_mariadb(mariadb_url: str, table_of: Callable[[Engine], Table]) -> None:
    with engine_of(mariadb_url) as engine:
        table, tried = table_of(engine), 0
        for setting in languages(engine, MARIADB.split()):
            for values, reason, columns in REFUSED:
                found = told(engine, table, insert(things), ROW | values, setting)
                assert found == Violation(reason, columns), setting
            found = told(engine, table, "UPDATE `Our Things` SET a = 'secret'", None, setting)
            assert found == Violation("'a' has the wrong form", ("a",)), setting
            found = told(engine, table, "UPDATE `Our Things` SET folded = 'secret'", None, setting)
            assert found.columns == ("folded",), setting
            found = told(engine, parents, delete(parents), None, setting)
            assert found == Violation("another record still refers to it by 'id'", ("id",)), setting
            tried += 1
        if not tried:
            pytest.skip("this MariaDB has messages in no language but English: install the whole of its server")


POSTGRESQL = "de_DE es_ES fr_FR it_IT ja_JP ka_GE ko_KR ru_RU sv_SE uk_UA zh_CN"


def test_postgresql(postgresql_url: str, table_of: Callable[[Engine], Table]) -> None:
    with engine_of(postgresql_url) as engine:
        table, tried = table_of(engine), 0
        for setting in languages(engine, [f"{locale}.UTF-8" for locale in POSTGRESQL.split()]):
            for values, reason, columns in REFUSED:
                found = told(engine, table, insert(things), ROW | values, setting)
                assert found == Violation(reason, columns), setting
            found = told(engine, table, insert(things), ROW | {"tag": FIRST["tag"]}, setting)
            assert found == Violation("another record has the same 'tag'", ("tag",)), setting
            found = told(engine, table, insert(things), ROW | {"small": 90210}, setting)
            assert re.search("is out of range$", found.reason), setting
            assert "small" in found.columns, setting
            found = told(engine, parents, delete(parents), None, setting)
            assert found == Violation("another record still refers to it by 'id'", ("id",)), setting
            tried += 1
        if not tried:
            pytest.skip(
                "this PostgreSQL has messages in no language but English: to try others, name in "
                "MOBYNC_TEST_POSTGRESQL_URL a server on a machine with a locale such as de_DE.UTF-8"
            )
