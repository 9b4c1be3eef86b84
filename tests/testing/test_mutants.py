"""The suite must find every storage that is broken on purpose: else what it says of others proves nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import closing

import pytest

from mobync_core import open_storage
from mobync_core.testing import calls
from mobync_core.testing.promises import histories
from mobync_core.testing.promises.histories import run_histories
from mobync_core.testing.steps import HistoryFailed
from mobync_core.testing.syncs import Syncs
from mobync_core.testing.verify import Promise, sentence, verify
from tests.testing.mutants import MUTANTS

Place = Callable[[str], str]

BROKEN = [name for name, mutant in MUTANTS.items() if mutant.breaks and not mutant.at_first]
RANDOM = "random syncs end as they do on a model of a storage"


def put_to_the_test(url: str, test: str) -> Promise:
    """What becomes of one promise."""
    report = verify(url, only=sentence(test))
    (promise,) = (one for one in report.promises if one.text == sentence(test))
    return promise


def test_there_are_mutants_enough() -> None:
    assert len(BROKEN) >= 35


@pytest.mark.parametrize("name", BROKEN)
def test_a_mutant_breaks_the_promise_that_names_its_fault(
    name: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = MUTANTS[name]
    monkeypatch.setattr(calls, "PATIENCE", 3)
    promise = put_to_the_test(place(name), mutant.breaks)

    assert promise.outcome == "broken"
    told = promise.why[mutant.case] if mutant.case else "\n".join(promise.why.values())
    assert re.search(mutant.tells, told), told
    assert "hunter2" not in str(promise.why)
    if mutant.keeps:
        assert put_to_the_test(place(name), mutant.keeps).outcome == "kept"


@pytest.mark.parametrize("name", ["faultless", "faultless-on-disk"])
def test_without_a_fault_the_same_wrapper_keeps_every_promise(name: str, place: Place) -> None:
    report = verify(place(name))

    assert {promise.text: promise.why for promise in report.promises if promise.outcome == "broken"} == {}
    assert report.count("kept") > 70


@pytest.mark.parametrize("test", [MUTANTS[name].breaks for name in BROKEN if MUTANTS[name].on == "redis"])
def test_without_a_fault_the_same_wrapper_keeps_what_others_break_on_a_server(test: str, place: Place) -> None:
    assert put_to_the_test(place("faultless-on-a-server"), test).outcome == "kept"


@pytest.mark.parametrize("name", [name for name, mutant in MUTANTS.items() if mutant.in_histories])
def test_random_histories_find_it_too_and_tell_a_small_one(name: str, place: Place) -> None:
    with closing(open_storage(place(name))) as storage:
        storage.setup()
        machine = type("These", (Syncs,), {"storage": storage, "prefix": "~"})
        with pytest.raises(HistoryFailed) as failed:
            run_histories(machine, 500)
    assert 1 <= len(failed.value.steps) <= 8, failed.value


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("loses-the-last", r"is missing|its clock is"),
        ("drops-tombstones", r"the tombstone task .* is missing"),
        ("erases-no-notes", r"the (history|parked) note '[aA]' should not be there"),
        ("makes-whom-it-loads", r"clock is 1, not 0"),
    ],
)
def test_what_is_told_is_what_went_wrong_and_the_history(
    name: str, told: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "EXAMPLES", 500)
    promise = put_to_the_test(place(name), f"test_{RANDOM.replace(' ', '_')}")

    assert promise.outcome == "broken"
    what, _, history = promise.why[""].partition("\nafter this history:\n")
    assert re.search(told, what), what
    assert 1 <= len(history.splitlines()) <= 8, history
