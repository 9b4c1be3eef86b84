"""URLs of MongoDB are opened as they are meant, or refused with a reason that shows no password."""

from __future__ import annotations

import time
import traceback
from contextlib import closing

import pytest

from mobync_core import InvalidURL, StorageUnavailable, open_storage
from tests.servers.processes import free_port


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mongodb://h/shop.live", "has no dot"),  # the driver would take it for a collection of `shop`
        ("mongodb://h/shop%2Elive", "has no dot"),
        ("mongodb://h/app?tls=yes", "must be 'true' or 'false'"),  # it would warn, and connect in plain text
        ("mongodb://h/app?no_such_option=1", "no_such_option"),
        ("mongodb://h/app?tls=true&tlsCAFile=/no/such/file", "/no/such/file"),
        ("mongodb://h:port/app", "it should be as|[Pp]ort"),
    ],
)
def test_what_cannot_be_meant_is_refused(url: str, why: str) -> None:
    with pytest.raises(InvalidURL, match=why):
        open_storage(url)


@pytest.mark.parametrize(
    "login", ["user:123/hunter2", "user:hun@ter2/x", "user:hun:ter2", "user:hunter2/", "user:%hunter2"]
)
def test_a_password_that_should_be_encoded_is_refused_and_not_shown(login: str) -> None:
    with pytest.raises(InvalidURL, match="percent-encoded") as caught:
        open_storage(f"mongodb://{login}@127.0.0.1:1/app")
    assert "ter2" not in "".join(traceback.format_exception(caught.value))


def test_a_server_that_is_gone_is_given_up_as_soon_as_the_url_says() -> None:
    with closing(open_storage(f"mongodb://127.0.0.1:{free_port()}/app?serverSelectionTimeoutMS=300")) as storage:
        began = time.monotonic()
        for call in (storage.setup, lambda: storage.load("ada", since=0)):
            with pytest.raises(StorageUnavailable, match="refused"):
                call()
        assert time.monotonic() - began < 5
