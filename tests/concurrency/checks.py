"""What must be so after workers were at work, whatever the order in which the storage let them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

from mobync_core import Mobync, Storage, open_storage
from mobync_core.testing.dart import DartDevice
from tests.concurrency.worker import MODEL, RACE, SHARED, Report, own_field


def check(storage: Storage, reports: Sequence[Report], syncs: int) -> None:
    """Check all that the workers did, owner by owner."""
    owners = {report.owner for report in reports}
    assert set(storage.owners()) == owners
    for owner in owners:
        crew = [report for report in reports if report.owner == owner]
        live = {record.pop("id"): record for record in Mobync(storage).records(owner, MODEL)}
        _check_stored(storage, owner, crew)
        _check_nothing_lost(live, crew)
        _check_clocks(crew, syncs)
        _check_replicas(storage, owner, live, crew)
        _check_serial(owner, live, crew)


def _check_stored(storage: Storage, owner: str, crew: Sequence[Report]) -> None:
    """One entry for each record that ever was, each with a clock of its own."""
    held = storage.load(owner, since=0)
    clocks = [record.clock for record in held.changed]
    assert len(set(clocks)) == len(clocks), "two records have one clock"
    assert max(clocks) < held.clock
    ids = [record.id for record in held.changed]
    assert sorted(ids) == sorted([SHARED, *(id for report in crew for id in report.created)])


def _check_nothing_lost(live: dict[str, dict[str, Any]], crew: Sequence[Report]) -> None:
    """What only one worker writes is as it wrote it last."""
    for report in crew:
        own = {id: fields for id, fields in live.items() if id.startswith(f"{report.number}-")}
        assert own == report.own
    shared = dict(live[SHARED])
    assert shared.pop(RACE) in {id for report in crew for id in report.created}
    assert shared == {own_field(report.number): report.last for report in crew}
    assert live.keys() == {SHARED}.union(*(report.own for report in crew))


def _check_clocks(crew: Sequence[Report], syncs: int) -> None:
    """Every sync that pushed got a clock greater than all that its worker had seen, and that no other push got."""
    pushed: list[int] = []
    for report in crew:
        first = _first_deliveries(report)
        clocks = [exchange.answer["logical_clock"] for exchange in first]
        assert len(clocks) == syncs
        assert all(earlier < later for earlier, later in pairwise(clocks))
        pushed += clocks
    assert len(set(pushed)) == len(pushed), "two pushes were answered with one clock"


def _check_replicas(storage: Storage, owner: str, live: dict[str, dict[str, Any]], crew: Sequence[Report]) -> None:
    """All devices, a fresh one among them, equal the server."""
    fresh = DartDevice("token", now=lambda: 0, random=Random(0))
    fresh.receive(Mobync(storage).apply(0, [], owner))
    assert {id: fields for (_, id), fields in fresh.rows.items()} == live
    for report in crew:
        assert report.rows == live, f"worker {report.number} holds other records than the server"


def _check_serial(owner: str, live: dict[str, dict[str, Any]], crew: Sequence[Report]) -> None:
    """The same requests, one after the other in the order of their clocks, get the same answers, to the letter.

    So no two were merged into the same state, and what raced for a field was decided by the merge's rule.
    """
    history = []
    for report in crew:
        pushes = {id(exchange) for exchange in _first_deliveries(report)}
        # Only a push changes anything. What else was answered with its clock came after it.
        history += [
            (exchange.answer["logical_clock"], id(exchange) not in pushes, exchange) for exchange in report.exchanges
        ]
    storage = open_storage("memory://")
    engine = Mobync(storage)
    for _, _, exchange in sorted(history, key=lambda one: one[:2]):
        assert engine.apply(exchange.base, exchange.diffs, owner) == exchange.answer
    assert {record.pop("id"): record for record in engine.records(owner, MODEL)} == live
    storage.close()


def _first_deliveries(report: Report) -> list[Any]:
    """The exchanges that pushed something, without those that pushed it again."""
    seen: set[str] = set()
    first = []
    for exchange in report.exchanges:
        ids = {diff["id"] for diff in exchange.diffs}
        if ids - seen:
            first.append(exchange)
        seen |= ids
    return first
