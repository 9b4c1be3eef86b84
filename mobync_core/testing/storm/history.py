"""A history as plain data: devices, and steps of which any may be left out.

It can be written as JSON and read again. A step means something after whatever steps came before it: so every
sublist of a history's steps is a history, which is what lets a failing one be shrunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

Kind: TypeAlias = Literal["replica", "dart"]

DAY = 86_400_000  # ms
KEPT = 7 * DAY
"""How long tombstones are kept before a purge takes them."""


class Device(Struct, frozen=True, omit_defaults=True):
    """One device. `offset` says how many ms its clock is ahead of the server's.

    Of a replica, `page` and `batch` are the most records that it asks for and diffs that it sends at once; and
    `processes` work on its store.
    """

    kind: Kind
    offset: int = 0
    page: int = 1000
    batch: int = 5000
    processes: int = 1


class Request(Struct, frozen=True, omit_defaults=True):
    """What befalls one request. `late` is how many steps later it arrives, or arrives again.

    `during` are steps done while it is under way: before the server answers it, or `after` that.
    """

    fault: Literal["", "lost-request", "lost-answer", "duplicate", "delay", "server-killed"] = ""
    late: int = 0
    during: Sequence[AnyStep] = ()
    after: bool = False


class Step(Struct, frozen=True, omit_defaults=True, tag_field="do", tag=str.lower):
    """Something done. Before it `wait` ms pass."""

    wait: int = 0


class Act(Step, frozen=True):
    """What a device does, in one of its processes, which is killed before its n-th write if `crash` is that n.

    `luck` is a seed for what the device leaves to chance.
    """

    device: int = 0
    process: int = 0
    crash: int | None = None
    luck: int = 0


class Write(Act, frozen=True):
    """Sets fields of a record, which is created if the device does not have it."""

    record: str = "a"
    fields: Sequence[str] = ("x",)
    refused: bool = False


class Delete(Act, frozen=True):
    """Deletes a record: if the device does not have it, its first one, or, if `absent`, nothing, as the Dart client."""

    record: str = "a"
    refused: bool = False
    absent: bool = False


class Update(Act, frozen=True):
    """Updates a record that the device may not have, which only the published client allows."""

    record: str = "a"
    fields: Sequence[str] = ("x",)


class Fill(Act, frozen=True):
    """Creates so many new records, one ms apart."""

    records: int = 100


class Sync(Act, frozen=True):
    """A sync; `requests` says what befalls its first requests. All others pass."""

    requests: Sequence[Request] = ()


class Jump(Step, frozen=True):
    """A device's clock jumps by so many ms."""

    device: int = 0
    by: int = 0


class Wait(Step, frozen=True):
    """Time passes."""


class Purge(Step, frozen=True):
    """The operator removes the tombstones older than `KEPT`."""


class Backup(Step, frozen=True):
    """The operator makes a backup."""


class Restore(Step, frozen=True):
    """The operator puts the last backup in the place of what the server has, and renews the epoch or forgets to."""

    renewed: bool = True


AnyStep: TypeAlias = Write | Delete | Update | Fill | Sync | Jump | Wait | Purge | Backup | Restore


class History(Struct, frozen=True, omit_defaults=True):
    """All that happens, before everything heals.

    `orderly` says that it stays within what the protocol promises of the order of edits: then no edit may be lost. If
    not `used_again`, an id that was deleted is not created again.
    """

    devices: Sequence[Device]
    steps: Sequence[AnyStep]
    seed: int = 0
    orderly: bool = True
    used_again: bool = True


def as_data(history: History) -> dict[str, Any]:
    """Return the history as dicts and lists, as JSON has them."""
    data: dict[str, Any] = msgspec.to_builtins(history)
    return data


def from_data(data: Any) -> History:
    """Read what `as_data` returned. Raises `msgspec.ValidationError`."""
    return msgspec.convert(data, History)


def all_steps(steps: Sequence[AnyStep]) -> Iterator[AnyStep]:
    """Every step, those done during others too."""
    for step in steps:
        yield step
        if isinstance(step, Sync):
            for request in step.requests:
                yield from all_steps(request.during)
