"""No password is in a repr, a message or a log."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Collection
from contextlib import closing
from urllib.parse import quote, urlsplit

import pytest

from mobync_core.errors import MobyncError
from mobync_core.plugins import open_storage
from mobync_core.storage import Storage
from mobync_core.testing.calls import outcomes
from mobync_core.testing.examples import changed, put, record
from mobync_core.testing.not_run import not_run
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
            shown = _shown_by(storage, f"{owner}\udc80")
        stay_secret([password], shown, caplog)

    def test_a_wrong_password_is_never_shown(
        self, url: str, owner: str, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
    ) -> None:
        parts = urlsplit(url)
        if not parts.netloc:
            not_run(request, "the URL names no server")
        caplog.set_level(logging.DEBUG)
        place = parts.netloc.rpartition("@")[2]
        right = f"{parts.username or 'nobody'}:{quote(SECRET, safe='')}"
        for login in (right, f"nobody:{SECRET}", f"nobody:1/{SECRET}", f"nobody:?{SECRET}"):  # as people write them
            shown = _shown_at(parts._replace(netloc=f"{login}@{place}").geturl(), owner)
            stay_secret((SECRET, quote(SECRET, safe=""), "P4ss@w0rd", "s3cr3t"), shown, caplog)

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
                shown = _shown_at(through, owner)
        except NoWay as reason:
            not_run(request, str(reason))
        stay_secret([password], shown, caplog)


def stay_secret(secrets: Collection[str], shown: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Check that no secret is in what was shown or logged; the message tells where it is, and not which."""
    for logged in caplog.records:
        shown[f"the log of {logged.name!r} at the level {logged.levelname}"] = logged.getMessage()
    for where, text in shown.items():
        if any(secret in text for secret in secrets):
            pytest.fail(f"the password of the URL is in {where}", pytrace=False)


def _shown_at(url: str, owner: str) -> dict[str, str]:
    """All that is said when the storage at `url` is opened and every method called."""
    try:
        with closing(open_storage(url)) as storage:
            return _shown_by(storage, owner)
    except MobyncError as error:
        return {"the error of opening it": _told(error)}


def _shown_by(storage: Storage, owner: str) -> dict[str, str]:
    """What a storage says of itself, and what every method that fails says, by what it is."""
    failed = {name: error for name, error in outcomes(storage, owner).items() if error is not None}
    return {
        "the repr of the storage": f"{storage!r} {storage}",
        **{f"the error of {name} or one of its causes": _told(error) for name, error in failed.items()},
    }


def _told(error: BaseException) -> str:
    """What an error and all its causes say, without the lines of code on which they were raised."""
    told = []
    seen: BaseException | None = error
    while seen is not None:
        told += traceback.format_exception_only(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "".join(told)
