"""What a published Dart client does when the server lost data: it can offer nothing, and is refused for a while."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from mobync_core import InvalidClock, Storage
from mobync_core.testing.dart import DartDevice
from tests.replica.devices import Server


@pytest.fixture
def server(memory: Storage) -> Server:
    return Server(memory)


def device(server: Server) -> DartDevice:
    return DartDevice("ann", now=lambda: server.time, random=Random(1))


def sync(server: Server, dart: DartDevice) -> None:
    request: dict[str, Any] = dart.request()
    dart.receive(server.mobync.apply(request["logical_clock"], request["diffs"], "ann"))


def test_it_is_refused_while_it_is_ahead_and_then_lacks_something_for_good(server: Server) -> None:
    dart, replica = device(server), server.device()
    replica.create("todo", {"id": "old"})
    replica.synchronize()
    backup = server.copy()
    for record in ("of dart", "and another"):
        dart.create("todo", record, {})
    sync(server, dart)
    server.restore(backup)

    dart.create("todo", "never sent", {})
    with pytest.raises(InvalidClock):
        sync(server, dart)

    for record in ("new", "newer"):
        replica.create("todo", {"id": record})
        replica.synchronize()
    sync(server, dart)
    assert "of dart" in {record for _, record in dart.rows}
    assert "new" not in {record for _, record in dart.rows}
    assert sorted(server.rows()) == ["never sent", "new", "newer", "old"]


def test_with_its_store_cleared_it_gets_all_that_is_there(server: Server) -> None:
    dart, replica = device(server), server.device()
    dart.create("todo", "of dart", {})
    sync(server, dart)
    backup = server.copy()
    replica.synchronize()
    replica.create("todo", {"id": "of the replica"})
    replica.synchronize()
    sync(server, dart)
    server.restore(backup)
    replica.synchronize()

    cleared = device(server)
    sync(server, cleared)
    assert sorted(record for _, record in cleared.rows) == sorted(server.rows()) == ["of dart", "of the replica"]


def test_one_that_had_seen_no_more_than_the_backup_has_goes_on(server: Server) -> None:
    dart, replica = device(server), server.device()
    dart.create("todo", "of dart", {})
    sync(server, dart)
    backup = server.copy()
    replica.synchronize()
    replica.create("todo", {"id": "of the replica"})
    replica.synchronize()
    server.restore(backup)
    replica.synchronize()

    sync(server, dart)
    assert sorted(record for _, record in dart.rows) == sorted(server.rows()) == ["of dart", "of the replica"]
