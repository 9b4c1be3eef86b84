"""A storm finds nothing where nothing is wrong, really makes its faults, and finds a rule that is broken."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from mobync_core import attempts, engine, open_storage
from mobync_core.errors import UnknownScheme
from mobync_core.replica import ServerRefused
from mobync_core.testing.storm import FAULTS, UnknownFault, Violation, as_data, replay, storm, timeline
from mobync_core.testing.storm.history import AnyStep, Delete, Device, History, Request, Sync, Write
from tests.merge.test_mutations import MUTATIONS, Mutation, broken_module
from tests.storm.mutations import MUTATIONS as MORE
from tests.storm.mutations import RATES

INSIDE = {name for name in FAULTS if name != "server-killed"}
"""The faults of a server that is in this process."""


def test_where_nothing_is_wrong_nothing_is_found_and_every_fault_befalls() -> None:
    report = storm("memory://", seed=1, histories=500)

    assert [(failure.seed, failure.promise, failure.why) for failure in report.failures] == []
    assert (report.histories, report.is_clean) == (500, True)
    assert {name for name, times in report.befallen.items() if times} == INSIDE


def test_a_fault_at_the_rate_0_never_befalls() -> None:
    report = storm("memory://", seed=1, histories=30, rates=dict.fromkeys(FAULTS, 0.0))

    assert report.is_clean
    assert +report.befallen - Counter({"same-id": 1000}) == {}  # a fresh id may be used again by its own device


def test_the_same_seed_finds_the_same(tmp_path: Path) -> None:
    first, second = (storm("memory://", seed=7, histories=60) for _ in range(2))
    on_disk = storm(f"sqlite:///{tmp_path.as_posix()}/store.db", seed=7, histories=10)

    assert (first.histories, first.befallen) == (second.histories, second.befallen)
    assert on_disk.is_clean


def test_it_ends_in_time() -> None:
    report = storm("memory://", seed=1, seconds=0.5)

    assert report.is_clean
    assert 0.4 < report.seconds < 2


OF_REPLICAS = [one for one in MUTATIONS if one.name != "a page tells no tombstone born after its base"]
"""A replica says that it knows pages, and is told every tombstone anyway."""


@pytest.mark.parametrize("mutation", [*OF_REPLICAS, *MORE], ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_found_and_the_history_that_shows_it_is_small(
    mutation: Mutation, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = broken_module(mutation)
    if mutation.module == "merge":
        monkeypatch.setattr(attempts, "merge", module.merge)
    elif mutation.module == "answer":
        monkeypatch.setattr(engine, "answer", module.answer)
    else:
        monkeypatch.setattr(engine, "_check_base", module._check_base)

    report = storm("memory://", seed=1, histories=1400, rates=RATES.get(mutation.name))

    (failure,) = report.failures
    assert not report.is_clean
    assert len(failure.history.steps) <= min(12, failure.steps)
    with pytest.raises((Violation, ServerRefused), match=re.escape(failure.why)):
        replay(as_data(failure.history))
    assert failure.timeline[-1].endswith(failure.why)


def test_it_ends_with_the_last_of_the_failures_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    (mutation,) = (one for one in MUTATIONS if one.name == "tombstones are not told")
    monkeypatch.setattr(engine, "answer", broken_module(mutation).answer)

    report = storm("memory://", seed=1, histories=2000, most_failures=2)

    assert len(report.failures) == 2
    assert report.histories < 2000


def test_a_history_is_told_step_by_step() -> None:
    devices = [Device("replica"), Device("dart")]
    steps: list[AnyStep] = [Write(1000), Sync(1000, requests=[Request("lost-answer")]), Delete(1000), Sync(1000, 1)]

    lines = timeline(History(devices, steps))

    assert lines[:8] == [
        "day 0   00:00:01.000  replica 0 creates a x=v1",
        "day 0   00:00:02.000  replica 0 syncs",
        "day 0   00:00:02.000    replica 0 at 0 sends create a x=v1; is told nothing until 1",
        "day 0   00:00:02.000    the answer is lost",
        "day 0   00:00:03.000  replica 0 deletes a ",
        "day 0   00:00:04.000  dart 1 syncs",
        "day 0   00:00:04.000    dart 1 at 0 sends nothing; is told create a x=v1 until 1",
        "day 0   00:00:04.000  everything heals",
    ]


def test_it_leaves_nothing_and_touches_nobody(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path.as_posix()}/store.db"
    storm(url, seed=1, histories=5)

    with closing(open_storage(url)) as storage:
        assert list(storage.owners()) == []


def test_what_cannot_be_run_is_an_error() -> None:
    with pytest.raises(UnknownFault, match="there is no fault 'rain'"):
        storm("memory://", seed=1, histories=1, rates={"rain": 1})
    with pytest.raises(UnknownScheme):
        storm("nobody://", seed=1, histories=1)
    with pytest.raises(TypeError, match="when it is to end"):
        storm("memory://", seed=1)
