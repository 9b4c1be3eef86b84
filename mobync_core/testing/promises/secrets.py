"""No password is in a repr, a message or a log."""

from __future__ import annotations

import logging
import traceback
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest

from mobync_core.errors import MobyncError
from mobync_core.plugins import open_storage
from mobync_core.storage import Storage
from mobync_core.testing.examples import changed, put, record
from mobync_core.testing.not_run import not_run
from mobync_core.testing.promises.failures import calls
from mobync_core.testing.proxy import NoWay, proxied

SECRET = "s3cr3t/P4ss@w0rd"


class Secrets:
    """Passwords stay secret."""

    def test_the_password_of_the_url_is_never_shown(
        self, url: str, owner: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        password = urlsplit(url).password
        if not password:
            not_run(request, "the URL has no password")
        caplog.set_level(logging.DEBUG)
        with closing(open_storage(url)) as storage:
            storage.setup()
            put(storage, owner, record("a", 0))
            assert changed(storage, owner)
            shown = f"{storage} {storage!r}" + "".join(_failures(storage, f"{owner}\udc80"))
        assert password not in shown
        assert password not in caplog.text

    def test_a_wrong_password_is_never_shown(
        self, url: str, owner: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        parts = urlsplit(url)
        if not parts.netloc:
            not_run(request, "the URL names no server")
        caplog.set_level(logging.DEBUG)
        place = parts.netloc.rpartition("@")[2]
        for login in (f"{parts.username or 'nobody'}:{quote(SECRET, safe='')}", f"nobody:{SECRET}"):
            shown = _shown(parts._replace(netloc=f"{login}@{place}").geturl(), owner)
            for secret in (SECRET, quote(SECRET, safe=""), "P4ss@w0rd", "s3cr3t"):
                assert secret not in shown
                assert secret not in caplog.text

    def test_the_password_is_not_shown_when_the_server_is_gone(
        self, url: str, owner: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        password = urlsplit(url).password
        if not password:
            not_run(request, "the URL has no password")
        caplog.set_level(logging.DEBUG)
        try:
            with proxied(url) as (through, proxy):
                proxy.refuse()
                shown = _shown(through, owner)
        except NoWay as reason:
            not_run(request, str(reason))
        assert password not in shown
        assert password not in caplog.text


def _shown(url: str, owner: str) -> str:
    """All that is said when the storage at `url` is opened and every method called."""
    try:
        with closing(open_storage(url)) as storage:
            return f"{storage} {storage!r}" + "".join(_failures(storage, owner))
    except MobyncError as error:
        return "".join(traceback.format_exception(error))


def _failures(storage: Storage, owner: str) -> list[str]:
    """What every method that fails says, with all its causes."""
    said = []
    for call in calls(storage, owner).values():
        try:
            call()
        except MobyncError as error:
            said += traceback.format_exception(error)
    return said
