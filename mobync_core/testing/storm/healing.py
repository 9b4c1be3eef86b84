"""Lets everything heal, and looks whether all are equal then, and nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobync_core.testing.storm import checks
from mobync_core.testing.storm.checks import Violation
from mobync_core.testing.storm.history import Device, Sync
from mobync_core.testing.storm.installation import Installation

if TYPE_CHECKING:
    from mobync_core.testing.storm.world import World

_ROUNDS = 6
"""After so many syncs of each device without any fault, all must have come to rest."""


def heal(world: World) -> None:
    """Deliver everything, sync until nothing changes, and check. Raises `Violation`."""
    world.timeline.say("everything heals")
    world.network.land()
    for turn in range(1, _ROUNDS + 1):
        before, devices = world.network.held, list(world.devices)
        for number in range(len(devices)):
            world.time += 1_000
            world.sync_of(Sync(0, number))
        after = world.network.held
        # Of a server that is not seen into, enough for what each had to be pushed, and told to all.
        is_at_rest = turn > 2 if before is None or after is None else before.clock == after.clock
        if is_at_rest and devices == world.devices:  # none has begun anew, which is yet to sync
            break
    else:
        raise Violation("all devices come to rest", f"after {_ROUNDS} rounds of syncs something still changes")
    fresh = [
        world.install(Device("dart"), "a fresh dart"),
        world.install(Device("replica", page=2), "a fresh replica"),
    ]
    for device in fresh:
        world.sync(device)
    _check(world, fresh)


def _check(world: World, fresh: Sequence[Installation]) -> None:
    held = world.network.held
    wanted, whose = (fresh[0].rows(), fresh[0].name) if held is None else (held.rows(), "the server")
    if held is not None:
        checks.check_stored(held, world.ledger)
    for device in [*world.devices, *fresh]:
        checks.check_equal(device.name, device.rows(), wanted, whose)
        if device.spec.kind == "replica" and device.pending:
            raise Violation("everything is sent", f"{device.name} still has {device.pending} diffs")
    if world.history.orderly:
        checks.check_kept(wanted, world.ledger)
