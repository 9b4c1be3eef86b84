"""Every small history is tried, and a rule that is broken is found by one of them."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from mobync_core import attempts, engine
from mobync_core.testing.storm import exhaust
from mobync_core.testing.storm.exhaustive import OFFSETS, PAIRS
from mobync_core.testing.storm.pair import OPERATIONS, Pair
from tests.cli.commands import mobync
from tests.merge.test_mutations import MUTATIONS, Mutation, broken_module

SMALL = [one for one in MUTATIONS if not one.name.startswith("a page ")]
"""One record needs no pages."""


def test_all_are_tried_and_counted() -> None:
    """With one operation each, in either order: both write, sync or lose, and nobody has what he could delete."""
    result = exhaust(1)

    assert result.is_clean
    assert result.interleavings == len(PAIRS) * len(OFFSETS) * 2 * 3 * 3


def test_equal_states_are_joined_and_their_ways_added_up() -> None:
    """Every sequence is done from the beginning here, and none is joined with another."""
    ends = []
    for order in set(permutations([0, 0, 1, 1])):
        for whats in product(OPERATIONS, repeat=4):
            pair = Pair(("dart", "dart"), 0)
            done = [0, 0]
            for number, what in zip(order, whats, strict=True):
                done[number] += 1
                if not pair.do(number, done[number], what):
                    break
            else:
                ends.append(pair.key())

    result = exhaust(2, pairs=[("dart", "dart")], offsets=[0])

    assert result.is_clean
    assert (result.interleavings, result.states) == (len(ends), len(set(ends)))


@pytest.mark.parametrize("mutation", SMALL, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_found_and_told(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    module = broken_module(mutation)
    if mutation.module == "merge":
        monkeypatch.setattr(attempts, "merge", module.merge)
    else:
        monkeypatch.setattr(engine, "answer", module.answer)

    result = exhaust(3, pairs=[("dart", "dart")])

    assert not result.is_clean
    kinds, *steps = result.history
    assert kinds.startswith("dart and dart, the second one's clock ")
    assert 2 <= len(steps) <= 6
    assert all(step.startswith(("device 0 (", "device 1 (")) for step in steps)


def test_the_command_says_how_many() -> None:
    ended = mobync("storm", "--all", "--operations", "2", COLUMNS="200")

    assert (ended.status, ended.err) == (0, "")
    assert "all interleavings of 2 operations of each of two devices: 5,436 tried" in ended.out
