"""``mobync demo``: the story, and the check at its end."""

from __future__ import annotations

import io
import time
from collections.abc import Collection
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from mobync_core import Snapshot, Storage
from mobync_core.cli.app import mobync as command
from mobync_core.demo import run
from mobync_core.demo.check import compare
from tests.cli.commands import mobync
from tests.http.storages import Behind, OutOfReach


def told(storage: Storage, width: int = 80) -> tuple[bool, str]:
    out = io.StringIO()
    equal = run(storage, Console(file=out, width=width, highlight=False))
    return equal, out.getvalue()


def test_it_ends_well_and_soon() -> None:
    begun = time.monotonic()
    ended = mobync("demo")
    assert time.monotonic() - begun < 10
    assert (ended.status, ended.err) == (0, "")
    assert "sqlite:///" in ended.out
    assert "All are equal" in ended.out
    assert "\x1b" not in ended.out


def test_it_can_be_read_where_no_arrow_can_be_written() -> None:
    ended = mobync("demo", PYTHONIOENCODING="ascii")
    assert (ended.status, ended.err) == (0, "")


@pytest.mark.parametrize("width", [80, 120])
def test_it_says_who_won_and_why(memory: Storage, width: int) -> None:
    equal, text = told(memory, width)
    assert equal
    assert max(len(line) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    for sentence in (
        "Both count: the tablet set the title “Fresh milk”, the phone the qty 2.",
        "“Soy milk” (laptop, 11:20) wins over “Oat milk” (phone, 11:00). Neither had seen the other, so the later edit",
        "“tent” stays deleted (tablet, 12:00). The phone edited it without knowing (phone, 12:10)",
        "nothing is done twice",
        "“Dark rye bread” (phone, 14:10) wins over “White bread” (laptop, Wed 14:00). The phone had seen what it",
        "the tablet notices, and offers the server the 5 things that it knows",
        "The jam is back, and the milk stays deleted.",
    ):
        assert sentence in words
    assert "refused" not in words


class Forgetting(Behind):
    """A storage that tells devices of all records, and the application of all but one."""

    def load(
        self, owner: str, *, since: int, keys: Collection[tuple[str, str]] = (), limit: int | None = None
    ) -> Snapshot:
        snapshot = self._storage.load(owner, since=since, keys=keys, limit=limit)
        if limit != 1000:  # which is how the application reads; a device asks for one more than its page
            return snapshot
        kept = [record for record in snapshot.changed if record.id != "bread"]
        return Snapshot(snapshot.clock, snapshot.epoch, snapshot.purged, kept, snapshot.named)


def test_it_fails_if_not_all_are_equal(memory: Storage) -> None:
    equal, text = told(Forgetting(memory))
    assert not equal
    assert "differs: has bread, which the server has not" in " ".join(text.split())
    assert "Not all are equal" in text


def test_its_exit_status_is_1_if_not_all_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_url: str, _console: Console) -> bool:
        return False

    monkeypatch.setattr("mobync_core.demo.run", broken)
    assert CliRunner().invoke(command, ["demo"]).exit_code == 1


def test_a_server_that_fails_ends_it_with_one_line(monkeypatch: pytest.MonkeyPatch, memory: Storage) -> None:
    monkeypatch.setattr("mobync_core.demo.run", lambda _url, console: run(OutOfReach(memory), console))
    ended = CliRunner().invoke(command, ["demo"])
    assert ended.exit_code == 1
    assert "Error: the phone cannot sync: the server refused (503 server_busy)" in ended.output


def test_the_check_finds_every_difference() -> None:
    server: dict[str, dict[str, Any]] = {"a": {"title": "x", "qty": 1}, "b": {}}
    same, other = compare(
        server, {"same": {"b": {}, "a": {"qty": 1, "title": "x"}}, "other": {"a": {"qty": 2}, "c": {}}}
    )[1:]
    assert not same.differences
    assert other.differences == [
        "lacks b",
        "has c, which the server has not",
        "has 2 as qty of a, the server 1",
        "has None as title of a, the server 'x'",
    ]
    assert same.fingerprint != other.fingerprint
