"""A failing history becomes as small as it can be."""

from __future__ import annotations

from mobync_core.testing.storm import History, rates_of
from mobync_core.testing.storm.generation import generate
from mobync_core.testing.storm.history import Sync, Write, all_steps
from mobync_core.testing.storm.shrinking import shrink


def loses_an_answer_after_a_refusal(history: History) -> bool:
    """Stands for a fault: some device loses an answer after some diff that is refused."""
    refused = False
    for step in all_steps(history.steps):
        refused = refused or (isinstance(step, Write) and step.refused)
        if refused and isinstance(step, Sync) and any(one.fault == "lost-answer" for one in step.requests):
            return True
    return False


def test_only_what_the_failure_needs_is_left() -> None:
    rates = rates_of({"lost-answer": 0.3, "refused": 0.3})
    failing = [
        history for history in (generate(seed, rates) for seed in range(60)) if loses_an_answer_after_a_refusal(history)
    ]
    assert len(failing) > 10

    for history in failing:
        small = shrink(history, loses_an_answer_after_a_refusal)

        assert loses_an_answer_after_a_refusal(small)
        assert {device.offset for device in small.devices} == {0}
        assert len(list(all_steps(small.steps))) <= 3
        (write,) = (step for step in all_steps(small.steps) if isinstance(step, Write))
        assert (write.refused, write.crash, write.luck, len(write.fields)) == (True, None, 0, 1)


def test_it_asks_no_more_often_than_it_must() -> None:
    asked = 0

    def fails(history: History) -> bool:
        nonlocal asked
        asked += 1
        return any(isinstance(step, Write) for step in history.steps)

    history = next(one for one in (generate(seed, rates_of()) for seed in range(100)) if len(one.steps) > 25)
    small = shrink(history, fails)

    assert [type(step) for step in small.steps] == [Write]
    assert asked < 200
