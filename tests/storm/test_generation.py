"""A history is plain data, and the same seed makes the same one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mobync_core.testing.storm import FAULTS, UnknownFault, as_data, from_data, rates_of
from mobync_core.testing.storm.generation import generate
from mobync_core.testing.storm.history import Fill, Jump, Restore, Sync, all_steps

NONE = dict.fromkeys(FAULTS, 0.0)

OUT = """
import json
from mobync_core.testing.storm import as_data, rates_of
from mobync_core.testing.storm.generation import generate
print(json.dumps([as_data(generate(seed, rates_of())) for seed in range(50)]))
"""


def test_the_same_seed_makes_the_same_history_in_another_process() -> None:
    ended = subprocess.run([sys.executable, "-c", OUT], capture_output=True, text=True, check=True)

    here = json.dumps([as_data(generate(seed, rates_of())) for seed in range(50)])
    assert json.loads(ended.stdout) == json.loads(here)


def test_other_seeds_make_other_histories() -> None:
    assert len({json.dumps(as_data(generate(seed, rates_of()))["steps"]) for seed in range(200)}) == 200


def test_a_history_can_be_written_as_json_and_read_again() -> None:
    for seed in range(200):
        data = json.dumps(as_data(generate(seed, rates_of())))

        assert json.dumps(as_data(from_data(json.loads(data)))) == data


def test_without_faults_there_are_only_edits_and_syncs() -> None:
    for seed in range(200):
        history = generate(seed, NONE)

        assert all(device.offset == 0 and device.processes == 1 for device in history.devices)
        for step in all_steps(history.steps):
            assert not isinstance(step, Fill | Jump | Restore)
            assert step.wait > 0
            if isinstance(step, Sync):
                assert (step.crash, list(step.requests)) == (None, [])


def test_a_fault_that_is_asked_for_always_comes() -> None:
    for seed in range(100):
        history = generate(seed, rates_of({"restored-backup": 1, "away": 0}), ["restored-backup", "away"])

        assert any(isinstance(step, Restore) for step in history.steps)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ({"lost-reply": 0.1}, "there is no fault 'lost-reply'; there are lost-request, lost-answer, "),
        ({"delay": 1.5}, "the rate of delay must be from 0 to 1, not 1.5"),
        ({"delay": float("nan")}, "the rate of delay must be from 0 to 1, not nan"),
    ],
)
def test_a_rate_that_cannot_be_is_an_error(rates: dict[str, float], message: str) -> None:
    with pytest.raises(UnknownFault, match=message.replace("?", r"\?")):
        rates_of(rates)
