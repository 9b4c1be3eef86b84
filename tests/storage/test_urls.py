"""URLs are opened as they are meant, refused with a reason, and never show a password."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from contextlib import closing
from types import SimpleNamespace

import pytest
from mobync_sql import SQLStorage, open_sql
from sqlalchemy import create_engine, make_url

from mobync_core import Abilities, InvalidURL, MobyncError, StorageUnavailable, open_storage
from mobync_core.plugins import discover
from tests.servers.processes import free_port

SECRET = "s3cr3t-p4ssw0rd"


class TestURLs:
    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
    def test_postgresql_has_three_names(self, postgresql_url: str, scheme: str) -> None:
        with closing(open_storage(postgresql_url.replace("postgresql", scheme, 1))) as storage:
            storage.setup()
            assert storage.load("ada", since=0).clock == 0

    def test_options_reach_the_driver(self, postgresql_url: str) -> None:
        options = "?application_name=named-by-url&options=-c%20statement_timeout%3D4321"
        with closing(open_sql(postgresql_url + options)) as storage, storage.engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW application_name").scalar() == "named-by-url"
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "4321ms"

    @pytest.mark.parametrize(
        "url",
        [
            "memory://name",
            "memory://?a=b",
            "sqlite://host/path.db",
            "sqlite:///a.db?no_such_option=1",
            "sqlite:///a.db?timeout=soon",
            "sqlite+aiosqlite:///a.db",
            "sqlite+nothing:///a.db",
            "postgresql://u:p@host:port/name",
            "postgresql+nothing://u:p@host/name",
        ],
    )
    def test_what_cannot_be_meant_is_refused_when_it_is_opened(self, url: str) -> None:
        with pytest.raises(MobyncError):
            open_storage(url).setup()
        with pytest.raises(MobyncError) as caught:
            open_storage(url)
        assert url.partition("?")[0].partition("@")[2] in str(caught.value)

    def test_a_server_that_refuses_is_unavailable_soon(self) -> None:
        port = free_port()
        with closing(open_storage(f"postgresql://u:{SECRET}@127.0.0.1:{port}/name")) as storage:
            with pytest.raises(StorageUnavailable, match=str(port)):
                storage.setup()
            with pytest.raises(StorageUnavailable, match="refused"):
                storage.load("ada", since=0)

    @pytest.mark.parametrize(
        "url", ["SQLITE://", "PostgreSQL://u@h/d", "MariaDB://u@h/d", "MONGODB://h/d", "REDIS://h"]
    )
    def test_a_scheme_may_be_written_in_capitals(self, url: str) -> None:
        open_storage(url).close()

    def test_other_engines_are_refused_by_name(self) -> None:
        driver = SimpleNamespace(paramstyle="qmark", version="5.0", Cursor=object)
        with pytest.raises(ValueError, match=r"mssql\+pyodbc is not .* mobync-sql knows"):
            SQLStorage(create_engine("mssql+pyodbc://", module=driver))


def open_and_show(url: str) -> None:
    with closing(open_storage(url)) as storage:
        assert SECRET not in f"{storage} {storage!r}"
        storage.setup()


class TestSecrets:
    def test_no_password_shows(self, postgresql_server_url: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        wrong = make_url(postgresql_server_url).set(password=SECRET, username="nobody")
        urls = [
            wrong.render_as_string(hide_password=False),
            f"postgresql://u:{SECRET}@127.0.0.1:{free_port()}/name",
            f"postgresql://u@127.0.0.1:{free_port()}/name?password={SECRET}&sslpassword={SECRET}",
            f"postgresql://u:{SECRET}@127.0.0.1/name?no_such_option=1",
            f"postgresql://u:{SECRET}@127.0.0.1:port/name",
            f"postgresql://u:x:{SECRET}/@y@127.0.0.1:5432/name",
            f"postgresql+nothing://u:{SECRET}@127.0.0.1/name",
            f"mysql://u:x@{SECRET}@127.0.0.1/name",
            f"sqlite://u:{SECRET}@host/name",
        ]
        for url in urls:
            with pytest.raises(MobyncError) as caught:
                open_and_show(url)
            shown = "".join(traceback.format_exception(caught.value))
            assert SECRET not in shown, shown
        assert SECRET not in caplog.text


class TestDiscovery:
    def test_the_adapters_say_what_they_are(self) -> None:
        found = {installed.adapter.name: installed.adapter for installed in discover().installed}
        assert found["memory"].schemes == ("memory",)
        assert found["memory"].abilities_at("memory://") == Abilities(persistent=False, shared=False)
        assert found["sqlite"].abilities_at("sqlite://") == Abilities(persistent=False, shared=False)
        assert found["sqlite"].abilities_at("sqlite:///a.db") == Abilities()
        assert found["sqlite"].schemes == ("sqlite",)
        assert found["postgresql"].schemes == ("postgresql", "postgres")

    def test_to_look_for_adapters_imports_no_driver(self) -> None:
        script = (
            "import sys; from mobync_core.plugins import discover; assert not discover().broken; "
            "print([name for name in ('sqlalchemy', 'psycopg', 'sqlite3', 'sortedcontainers') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == "[]"

    def test_the_package_says_what_it_has(self) -> None:
        with pytest.raises(InvalidURL):
            open_sql("postgresql://u:p@host:port/name")
