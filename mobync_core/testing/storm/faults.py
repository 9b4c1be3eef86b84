"""What may go wrong in a storm, by name, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mobync_core.errors import MobyncError


class UnknownFault(MobyncError, ValueError):
    """A rate was given for a fault that a storm does not have, or is none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault: it befalls `rate` of what `of` names, unless another rate is asked for."""

    name: str
    rate: float
    of: str
    what: str


_FAULTS = (
    Fault("lost-request", 0.08, "requests", "the request never reaches the server"),
    Fault("lost-answer", 0.15, "requests", "the server does what was asked; its answer never reaches the device"),
    Fault("duplicate", 0.1, "requests", "the request reaches the server twice, at once or some steps later again"),
    Fault("delay", 0.06, "requests", "the request reaches the server some steps later, when nobody waits for it"),
    Fault("server-killed", 0.0, "requests", "the server is killed under the request, and started again"),
    Fault("client-crash", 0.12, "syncs and edits", "a device is killed before its n-th write, and started again"),
    Fault("clocks-apart", 0.5, "devices", "a device's clock is seconds or days wrong"),
    Fault("clock-jump", 0.03, "steps", "a device's clock jumps by up to two days"),
    Fault("same-millisecond", 0.3, "edits", "no time passes between an edit and what was before it"),
    Fault("away", 0.15, "histories", "a device is offline for 19 days, and tombstones are kept for 7"),
    Fault("restored-backup", 0.2, "histories", "the server's data are replaced by a backup, and its epochs renewed"),
    Fault("unnoticed-restore", 0.25, "restored backups", "nobody renews the epochs after a backup was restored"),
    Fault("refused", 0.05, "edits", "the application's rules refuse the diff"),
    Fault("same-id", 0.6, "writes", "the record has one of three ids, which all devices use"),
    Fault("used-again", 0.7, "histories", "an id that was deleted is created again"),
    Fault("huge-batch", 0.04, "histories", "a device makes some hundred records before its next sync"),
    Fault("sync-overlap", 0.15, "syncs", "while a request is under way its device edits, and others sync"),
    Fault("two-processes", 0.25, "replicas", "two processes work on one store, and sync at once"),
)

FAULTS = {fault.name: fault for fault in _FAULTS}


def rates_of(given: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the rate of every fault: the given ones, else its own. Raises `UnknownFault`."""
    for name, rate in (given or {}).items():
        if name not in FAULTS:
            raise UnknownFault(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
        if not 0 <= rate <= 1:
            raise UnknownFault(f"the rate of {name} must be from 0 to 1, not {rate}")
    return {name: fault.rate for name, fault in FAULTS.items()} | dict(given or {})
