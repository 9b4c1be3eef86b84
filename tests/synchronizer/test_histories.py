"""The random histories of `tests/merge`, on an application's own tables."""

from __future__ import annotations

import itertools
import os

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from mobync_core import Storage
from tests.merge.test_histories import AnyHistory, Histories, SeenHistory, devices, run
from tests.merge.world import DAY

from .world import TableWorld

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "500")) // 2

_owners = itertools.count()


def begin(machine: Histories, seed: int, kinds: list[str], offsets: list[int]) -> None:
    machine.world = TableWorld(
        machine.storage, f"owner {next(_owners)}", seed, refusing=machine.refusing, orderly=machine.orderly
    )
    machine.offsets = offsets
    for kind, offset in zip(kinds, offsets, strict=False):
        if kind == "dart":
            machine.world.add(machine.world.dart(offset))
        else:
            machine.world.add(machine.world.atomic(offset, page=1 if kind == "pages" else None))


seeds = st.integers(0, 2**32)
kinds_of_devices = st.lists(st.sampled_from(["dart", "dart", "dart", "atomic", "pages"]), min_size=2, max_size=5)
clocks = st.lists(st.sampled_from([0, 1, 5000, 2 * DAY, -2 * DAY]), min_size=5, max_size=5)


class AnyHistoryOnTables(AnyHistory):
    """And with a server that dies at any of its writes."""

    world: TableWorld

    @initialize(seed=seeds, kinds=kinds_of_devices, offsets=clocks)
    def begin(self, seed: int, kinds: list[str], offsets: list[int]) -> None:
        begin(self, seed, kinds, offsets)

    @rule(device=devices, write=st.integers(0, 5), done=st.booleans())
    def server_dies(self, device: int, write: int, done: bool) -> None:
        self.world.crash(self.world.devices[self._index(device)].request(), write, done=done)


class SeenHistoryOnTables(SeenHistory):
    """Without duplicates that come late: the log knows them, and a storage may take one again."""

    @initialize(seed=seeds, kinds=kinds_of_devices, offsets=clocks)
    def begin(self, seed: int, kinds: list[str], offsets: list[int]) -> None:
        begin(self, seed, kinds, offsets)

    @precondition(lambda _: False)
    @rule(which=st.integers(0, 1000))
    def duplicate_comes_late(self, which: int) -> None:
        raise NotImplementedError


def test_all_devices_end_equal_to_the_server(memory: Storage) -> None:
    run(AnyHistoryOnTables, memory, EXAMPLES)


def test_no_edit_is_undone_and_the_log_says_what_a_storage_keeps(memory: Storage) -> None:
    run(SeenHistoryOnTables, memory, EXAMPLES)
