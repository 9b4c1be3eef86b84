"""Random histories of devices that are offline, lose answers, are killed and have wrong clocks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from mobync_core import Storage, open_storage

from .world import DAY, MODEL, World

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "200"))

_owners = itertools.count()
devices = st.integers(0, 4)
records = st.sampled_from(["a", "b", "c"])
names = st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2, unique=True)


class Histories(RuleBasedStateMachine):
    """What both kinds of histories share: devices that edit, a clock, and faithful and faulty syncs."""

    storage: Storage
    refusing = True
    orderly = False

    @initialize(
        seed=st.integers(0, 2**32),
        kinds=st.lists(st.sampled_from(["dart", "dart", "atomic", "pages"]), min_size=2, max_size=5),
        offsets=st.lists(st.sampled_from([0, 1, 5000, 2 * DAY, -2 * DAY]), min_size=5, max_size=5),
    )
    def begin(self, seed: int, kinds: list[str], offsets: list[int]) -> None:
        self.world = World(self.storage, f"owner {next(_owners)}", seed, refusing=self.refusing, orderly=self.orderly)
        self.offsets = offsets
        for kind, offset in zip(kinds, offsets, strict=False):
            if kind == "dart":
                self.world.add(self.world.dart(offset))
            else:
                self.world.add(self.world.atomic(offset, page=1 if kind == "pages" else None))

    def _index(self, device: int) -> int:
        return device % len(self.world.devices)

    def _ticks(self) -> None:
        raise NotImplementedError

    @rule(device=devices, record=records, names=names)
    def edit(self, device: int, record: str, names: list[str]) -> None:
        self._ticks()
        index = self._index(device)
        one = self.world.devices[index]
        fields = self.world.fields(one, self.offsets[index], record, names)
        if (MODEL, record) in one.rows:
            one.update(MODEL, record, fields)
        else:
            assert one.create(MODEL, record, fields)

    @rule(device=devices, record=records)
    def delete(self, device: int, record: str) -> None:
        self._ticks()
        one = self.world.devices[self._index(device)]
        if (MODEL, record) in one.rows:
            one.delete(MODEL, record)

    @rule(device=devices)
    def sync(self, device: int) -> None:
        self.world.sync(self.world.devices[self._index(device)])

    @rule(device=devices)
    def lose_answer(self, device: int) -> None:
        self.world.serve(self.world.devices[self._index(device)].request())

    @precondition(lambda self: self.world.sent)
    @rule(which=st.integers(0, 1000))
    def duplicate_comes_late(self, which: int) -> None:
        self.world.serve_late(self.world.sent[which % len(self.world.sent)])

    @rule(milliseconds=st.sampled_from([1, 10, 4000, DAY]))
    def wait(self, milliseconds: int) -> None:
        self.world.time += milliseconds

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.heal()


class AnyHistory(Histories):
    """With all that can go wrong: diffs of one millisecond, kills, duplicates that come late, absent rows edited."""

    def _ticks(self) -> None:
        pass  # only `wait` lets time pass

    @rule(device=devices, steps=st.integers(0, 6))
    def be_killed_while_applying(self, device: int, steps: int) -> None:
        one = self.world.devices[self._index(device)]
        self.world.deliver(one, self.world.serve(one.request()), survive=steps)

    @rule(device=devices)
    def stop_after_a_page(self, device: int) -> None:
        one = self.world.devices[self._index(device)]
        self.world.deliver(one, self.world.serve(one.request()))

    @rule(device=devices, record=records, names=names, kind=st.sampled_from(["update", "delete"]))
    def edit_what_may_be_absent(self, device: int, record: str, names: list[str], kind: str) -> None:
        index = self._index(device)
        one = self.world.devices[index]
        if kind == "update":
            one.update(MODEL, record, self.world.fields(one, self.offsets[index], record, names))
        else:
            one.delete(MODEL, record)


class SeenHistory(Histories):
    """Within what the protocol promises of order: no kills, no two edits of a device in one millisecond."""

    refusing = False
    orderly = True

    def _ticks(self) -> None:
        self.world.time += 1


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Storage]:
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path_factory.mktemp('db')}/histories.db"
    storage = open_storage(url)
    storage.setup()
    yield storage
    storage.close()


def run(machine: type[Histories], storage: Storage, examples: int = EXAMPLES, *, shrink: bool = True) -> None:
    """Run a state machine on a storage; without `shrink`, on the same histories each time."""
    chosen = type(machine.__name__, (machine,), {"storage": storage})
    phases = [Phase.explicit, Phase.generate] + ([Phase.shrink] if shrink else [])
    run_state_machine_as_test(
        chosen,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            database=None,
            derandomize=not shrink,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=shrink,
        ),
    )


def test_all_devices_end_equal_to_the_server(storage: Storage) -> None:
    run(AnyHistory, storage)


def test_no_edit_is_undone_by_one_that_it_had_seen(storage: Storage) -> None:
    run(SeenHistory, storage)
