"""``mobync purge`` and ``mobync restored``, as an operator says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mobync_core import Mobync
from tests.cli.commands import mobync

JAN_1 = 1_767_225_600_000  # 2026, ms
DAY = 86_400_000


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store where ann deleted one record on the first of January 2026 and one on the eleventh, and bob none."""
    url = f"sqlite:///{tmp_path / 'app.db'}"
    for day, record in ((0, "old"), (10, "new")):
        with Mobync(url, now=lambda day=day: JAN_1 + day * DAY) as engine:  # type: ignore[misc]
            engine.create("ann", "note", {"id": record, "x": 1})
            engine.delete("ann", "note", record)
    with Mobync(url) as engine:
        engine.create("bob", "note", {"id": "kept", "x": 1})
    return url


def tombstones(url: str) -> list[str]:
    with Mobync(url) as engine:
        return [record.id for record in engine.storage.load("ann", since=0).changed]


def test_it_says_what_went_and_whom_that_concerns(url: str) -> None:
    ended = mobync("purge", url, "--before", "2026-01-05")

    assert (ended.status, ended.err) == (0, "")
    assert "purged 1 tombstone of 1 owner, the newest of 2026-01-01 00:00:00 UTC" in ended.out
    assert "published Dart clients are refused" in ended.out
    assert tombstones(url) == ["new"]


def test_it_takes_an_age(url: str) -> None:
    assert "purged 2 tombstones" in mobync("purge", url, "--older-than", "7d").out
    assert "nothing was deleted before" in mobync("purge", url, "--older-than", "7d").out


def test_a_dry_run_says_the_same_and_does_nothing(url: str) -> None:
    ended = mobync("purge", url, "--older-than", "7d", "--dry-run")

    assert "would purge 2 tombstones of 1 owner" in ended.out
    assert tombstones(url) == ["old", "new"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "either --older-than 90d or --before 2026-05-01"),
        (["--older-than", "7d", "--before", "2026-01-05"], "either --older-than 90d or --before 2026-05-01"),
        (["--older-than", "a week"], "'a week' is no number of days such as 90d"),
        (["--before", "tomorrow"], "'tomorrow' does not match the format"),
        (["--older-than", "7d", "--owner", ""], "the owner is empty"),
    ],
)
def test_wrong_input_is_named(url: str, arguments: list[str], told: str) -> None:
    ended = mobync("purge", url, *arguments, COLUMNS="200")

    assert ended.status != 0
    assert told in ended.err
    assert tombstones(url) == ["old", "new"]


def test_after_a_restore_every_owner_has_another_epoch(url: str) -> None:
    def epochs() -> set[str]:
        with Mobync(url) as engine:
            return {engine.storage.load(owner, since=0).epoch for owner in ("ann", "bob")}

    before = epochs()
    ended = mobync("restored", url)

    assert (ended.status, ended.err) == (0, "")
    assert "2 owners have another epoch" in ended.out
    assert len(before | epochs()) == 4
    assert "1 owner has another epoch" in mobync("restored", url, "--owners", "b").out
    assert "no owners whose names begin with 'x'" in mobync("restored", url, "--owners", "x").out


def test_a_storage_out_of_reach_is_one_line_without_its_password() -> None:
    for command in (["restored"], ["purge", "--older-than", "7d"]):
        ended = mobync(*command, "postgresql://ann:secret@127.0.0.1:1/app")

        assert ended.status == 1
        assert ended.err.startswith("Error: ")
        assert ended.err.count("\n") == 1
        assert "secret" not in ended.err
