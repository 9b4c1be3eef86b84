"""Every small history is tried, and a rule that is broken is found by one of them."""

from __future__ import annotations

import pytest

from mobync_core import attempts
from mobync_core.testing.storm import exhaust
from tests.cli.commands import mobync
from tests.merge.test_mutations import MUTATIONS, broken_module


def test_all_are_tried_and_counted() -> None:
    """With one operation each, in either order: both write, sync or lose, and nobody has what he could delete."""
    result = exhaust(1, pairs=[("dart", "dart")], offsets=[0])

    assert result.is_clean
    assert result.interleavings == 2 * 3 * 3
    assert exhaust(2).is_clean


def test_a_broken_rule_is_found_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (mutation,) = (one for one in MUTATIONS if one.name == "stamps do not grow")
    monkeypatch.setattr(attempts, "merge", broken_module(mutation).merge)

    result = exhaust(3)

    assert not result.is_clean
    assert "though an edit was taken that had seen it" in result.why
    assert result.history[0].startswith("dart and ")
    assert len(result.history) == 7


def test_the_command_says_how_many() -> None:
    ended = mobync("storm", "--all", "--operations", "2", COLUMNS="200")

    assert (ended.status, ended.err) == (0, "")
    assert "all interleavings of 2 operations of each of two devices: 5,436 tried" in ended.out
