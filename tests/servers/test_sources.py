"""A backend without a server is skipped with a way out, or fails if it is required."""

from __future__ import annotations

import psycopg
import pytest

from tests.servers.sources import Server, no_server, url_from_environment


def test_a_missing_backend_is_skipped_with_a_way_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOBYNC_REQUIRE", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"MOBYNC_TEST_POSTGRESQL_URL.*pip install"):
        no_server("postgresql", "pip install something")


def test_a_missing_backend_that_is_required_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBYNC_REQUIRE", "redis, postgresql")
    with pytest.raises(pytest.fail.Exception, match="MOBYNC_REQUIRE"):
        no_server("postgresql", "pip install something")
    with pytest.raises(pytest.skip.Exception):
        no_server("mongodb", "pip install something")


def test_a_url_of_the_environment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOBYNC_TEST_POSTGRESQL_URL", "postgresql://elsewhere/db")
    assert url_from_environment("postgresql") == "postgresql://elsewhere/db"
    monkeypatch.setenv("MOBYNC_TEST_POSTGRESQL_URL", "")
    assert url_from_environment("postgresql") is None


def test_a_server_of_our_own_may_be_killed_and_started_again(postgresql_server: Server) -> None:
    url = postgresql_server.url
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (n integer)")
        connection.execute("INSERT INTO kept VALUES (7)")
    idle = psycopg.connect(url, autocommit=True)
    idle.execute("SELECT 1")
    postgresql_server.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, connect_timeout=2)
    idle.close()
    postgresql_server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]
