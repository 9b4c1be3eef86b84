"""Histories up to a sync of one device, to be cut off at every moment of it."""

from __future__ import annotations

from mobync_core import Limits
from tests.replica.devices import Device, Fragile, Server


def of_all_kinds(server: Server, connection: Fragile) -> Device:
    """Edits of all kinds here, some of them on what another device has changed since."""
    device, other = server.device(connection=connection), server.device(skew=50)
    for record in "abcd":
        device.create("todo", {"id": record, "x": 0, "y": 0})
    device.synchronize()
    other.synchronize()
    other.update("todo", "a", {"x": "other"})
    other.delete("todo", "b")
    other.create("todo", {"id": "f", "x": "other"})
    other.synchronize()
    server.time += 10
    device.update("todo", "a", {"y": "device"})
    device.update("todo", "c", {"x": "device"})
    device.delete("todo", "d")
    device.create("todo", {"id": "e", "x": 1})
    device.update("todo", "e", {"x": 2})
    device.delete("todo", "c")
    device.create("todo", {"id": "c", "x": "again"})
    return device


def meanwhile(server: Server, connection: Fragile) -> Device:
    """Edits while the sync is under way, on what it pushes and on what it is told."""
    device = of_all_kinds(server, connection)

    def edit() -> None:
        connection.at, alive = None, connection.at  # only the sync is to be killed
        moments = connection.moments
        device.update("todo", "e", {"x": 3})
        device.update("todo", "a", {"x": "meanwhile"})
        device.delete("todo", "c")
        device.create("todo", {"id": "g"})
        connection.at, connection.moments = alive, moments

    device.line.during = edit
    return device


def refused(server: Server, connection: Fragile) -> Device:
    """Edits that the server does not take."""
    device = server.device(connection=connection)
    device.create("todo", {"id": "a", "x": 0})
    device.synchronize()
    device.create("todo", {"id": "long", "x": "x" * 2000})
    device.update("todo", "a", {"x": "x" * 2000})
    device.update("todo", "a", {"y": 1})
    server.serve(server.storage, limits=Limits(diff_bytes=1000))
    return device


def in_pages(server: Server, connection: Fragile) -> Device:
    """A list that comes in pages, over some records that are here, with edits to push."""
    device, other = server.device(connection=connection, page=3), server.device()
    for record in "abcdefghij":
        other.create("todo", {"id": record, "x": 0})
    other.synchronize()
    device.synchronize()
    for record in "abcdefghi":
        other.update("todo", record, {"x": "other"})
    other.delete("todo", "j")
    for record in "klm":
        other.create("todo", {"id": record})
    other.synchronize()
    device.update("todo", "a", {"y": "device"})
    device.delete("todo", "b")
    device.create("todo", {"id": "n"})
    return device


def restored(server: Server, connection: Fragile) -> Device:
    """A server that lost what this device has, with edits to push."""
    device = server.device(connection=connection, page=3, batch=4)
    for record in "abcdef":
        device.create("todo", {"id": record, "x": 0})
    device.synchronize()
    backup = server.copy()
    server.time += 10
    device.update("todo", "a", {"y": "lost"})
    device.delete("todo", "b")
    device.create("todo", {"id": "g", "x": "lost"})
    device.delete("todo", "c")
    device.synchronize()
    device.create("todo", {"id": "c", "x": "again"})
    device.synchronize()
    server.restore(backup)
    device.update("todo", "a", {"x": "pending"})
    device.delete("todo", "d")
    device.create("todo", {"id": "b", "x": "again"})
    device.create("todo", {"id": "h", "x": "pending"})
    return device


def away_for_too_long(server: Server, connection: Fragile) -> Device:
    """A device that missed deletes which the server has forgotten, with edits to push."""
    device, other = server.device(connection=connection, page=3), server.device()
    for record in "abcdef":
        device.create("todo", {"id": record, "x": 0})
    device.synchronize()
    other.synchronize()
    for record in "abc":
        other.delete("todo", record)
    other.update("todo", "e", {"x": "other"})
    other.synchronize()
    server.time += 10
    server.mobync.purge(server.time)
    device.update("todo", "a", {"x": "of a deleted record"})
    device.update("todo", "e", {"y": "device"})
    device.delete("todo", "f")
    device.create("todo", {"id": "g"})
    return device
