"""A process that is killed at any moment of a sync: whoever comes after it loses nothing and doubles nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from mobync_core import open_storage
from mobync_core.replica import Status
from tests.replica.devices import Device, Fragile, Killed, Server, fragile
from tests.replica.histories import away_for_too_long, in_pages, meanwhile, of_all_kinds, refused, restored

History: TypeAlias = Callable[[Server, Fragile], Device]

HISTORIES = [of_all_kinds, meanwhile, refused, in_pages, restored, away_for_too_long]


class Run:
    """A history of a device, killed at a moment of its sync or not at all, and what it comes to after another sync."""

    def __init__(self, history: History, at: int | None) -> None:
        storage = open_storage("memory://")
        server = Server(storage)
        connection = fragile()
        device = history(server, connection)
        begun = connection.moments
        connection.at = at
        self.killed = False
        try:
            device.synchronize()
        except Killed:
            self.killed = True
        connection.at = None
        self.moments = connection.moments - begun
        if self.killed:
            meanwhile = device.line.during
            device = server.device(connection=connection, **device.options)
            device.line.during = meanwhile
            device.synchronize()
        device.synchronize()
        fresh = server.device()
        fresh.synchronize()
        self.rows = device.rows()
        self.status = device.status()
        assert self.rows == server.rows() == fresh.rows()
        assert self.status.pending == 0
        assert (self.status.mode, self.status.last_error) == ("normal", None)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
def test_whenever_it_is_killed_all_comes_to_the_same(history: History) -> None:
    whole = Run(history, None)
    assert not whole.killed
    assert whole.moments > 30
    for at in range(whole.moments):
        run = Run(history, at)
        assert run.killed
        assert run.rows == whole.rows, f"killed at moment {at}"
        assert _told(run.status) == _told(whole.status), f"killed at moment {at}"


def _told(status: Status) -> list[tuple[str, str, str]]:
    """What the user is told, which a lost answer must not keep from him, nor tell him twice."""
    reports = [*status.refused, *status.conflicts, *status.notices]
    return [(report.kind, report.record, report.reason) for report in reports]
