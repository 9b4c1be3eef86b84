"""A process that kills itself in the middle of a sync: `python -m tests.own_collections.dying URL`.

It syncs a device of one owner after the other, each time in a child that dies by SIGKILL before its n-th command, until
one comes to its end; and prints the owners. What each device does is `edit`.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from typing import Any

from pymongo import MongoClient

from mobync_core import Mobync
from tests.own_collections.documents import Commands, storage_of
from tests.own_tables.devices import Device


def prepared(mobync: Mobync, owner: str) -> Device:
    """A device that has synced what `edit` is about."""
    device = Device(mobync, owner)
    for id in ("changed", "gone", "reborn"):
        device.create("todo", f"{owner} {id}", {"text": "before", "kept": 1})
    device.sync()
    return device


def edit(device: Device) -> None:
    owner = device.owner
    device.update("todo", f"{owner} changed", {"text": "after"})
    device.delete("todo", f"{owner} gone")
    device.delete("todo", f"{owner} reborn")
    device.create("todo", f"{owner} reborn", {"text": "after"})
    device.create("todo", f"{owner} new", {"text": "after", "due": "2026-12-24T00:00:00.000001"})
    device.create("projects", f"{owner} project", {"name": "after"})


def main(url: str) -> None:
    for number in itertools.count(1):
        owner = f"owner{number}"
        child = os.fork()
        if child == 0:
            device = prepared(Mobync(storage_of(MongoClient(url))), owner)
            commands = Commands()
            client: MongoClient[Any] = MongoClient(url, event_listeners=[commands])
            device.mobync = Mobync(storage_of(client))
            edit(device)
            commands.before(number, lambda: os.kill(os.getpid(), signal.SIGKILL))
            device.sync()
            os._exit(0)
        print(owner, flush=True)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        if status != -signal.SIGKILL:
            sys.exit(f"the child of {owner} ended with {status}")


if __name__ == "__main__":
    main(*sys.argv[1:])
