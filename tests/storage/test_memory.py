"""The memory's storage is no laxer than a database, and no slower for a long history."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from mobync_core import Commit, Note, Record, Storage, StorageError
from mobync_core.storage import Key
from mobync_core.testing.examples import EPOCH, everything, put, record

UNFIT: list[tuple[str, Commit]] = [
    (
        owner,
        Commit(expected=1, clock=clock, epoch=EPOCH, put=records, remove=remove, notes=notes),
    )
    for owner, clock, records, remove, notes in (
        *(
            ("ada", 2, [new], [], [])
            for new in (
                record("", 1),
                record("a\0b", 1),
                record("a" * 256, 1),
                record("é" * 128, 1),
                record("b", 1, model=""),
                record("b", 2**63),
                record("b", 1, "\0"),
                Record("task", "b", 1, 1, 0, "{}"),  # type: ignore[arg-type]
                Record("task", "b", 1.5, False, 0, "{}"),  # type: ignore[arg-type]
                Record("task", "b", 1, False, True, "{}"),
                Record("task", "b", 1, False, 0, b"{}"),  # type: ignore[arg-type]
                Record("task", 7, 1, False, 0, "{}"),  # type: ignore[arg-type]
            )
        ),
        *(
            ("ada", 2, [], [], [note])
            for note in (
                Note("k" * 33, "1", ""),
                Note("é", "1", ""),
                Note("history", "a" * 1025, ""),
                Note("history", "1", "\0"),
            )
        ),
        ("ada", 2, [record("b", 1)], [("task", "b")], []),
        ("ada", 3, [record("b", 1), record("b", 2)], [], []),
        ("ada", 2**63, [], [], []),
        ("a" * 256, 2, [], [], []),
    )
]


@pytest.mark.parametrize(("owner", "commit"), UNFIT)
def test_what_no_database_would_hold_is_refused_and_leaves_no_trace(
    memory: Storage, owner: str, commit: Commit
) -> None:
    put(memory, "ada", record("a", 0))
    before = everything(memory, "ada")
    with pytest.raises(StorageError):
        memory.commit(owner, commit)
    assert everything(memory, "ada") == before


def seconds(work: Callable[[], Any], times: int) -> float:
    def once() -> float:
        began = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - began

    return min(once() for _ in range(15))


def test_a_load_of_nothing_new_costs_the_same_whatever_the_history(memory: Storage) -> None:
    keys: Sequence[Key] = [("task", "r1"), ("task", "r2")]
    for owner, size in (("short", 1_000), ("long", 100_000)):
        new = [record(f"r{i}", i) for i in range(size)]
        memory.commit(owner, Commit(expected=0, clock=size, epoch=EPOCH, put=new))
    short = seconds(lambda: memory.load("short", since=1_000, keys=keys), 300)
    long = seconds(lambda: memory.load("long", since=100_000, keys=keys), 300)
    assert long / short < 2  # a search, where going through all would be a hundred times as long
