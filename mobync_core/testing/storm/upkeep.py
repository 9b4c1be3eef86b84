"""What the operator of the server does: backups, their restoration, purges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mobync_core.storage import Snapshot
from mobync_core.testing.storm.history import KEPT
from mobync_core.testing.storm.installation import Installation
from mobync_core.testing.storm.ledger import Ledger
from mobync_core.testing.storm.network import Network
from mobync_core.testing.storm.server import Server
from mobync_core.testing.storm.timeline import Timeline


class Upkeep:
    """The operator of a server, whose last backup he has at hand."""

    def __init__(
        self, server: Server, network: Network, ledger: Ledger, befallen: Counter[str], timeline: Timeline
    ) -> None:
        self._server = server
        self._network = network
        self._ledger = ledger
        self._befallen = befallen
        self._timeline = timeline
        self._backup: tuple[Snapshot, int] | None = None

    def purge(self, now: int) -> None:
        """Remove the tombstones that were to be kept until `now`, in ms."""
        before = self._network.held
        self._server.purge(now - KEPT)
        self._network.held = after = self._server.held()
        if before is None or after is None:
            return
        gone = before.records.keys() - after.records.keys()
        self._ledger.purged(gone)
        self._befallen["away"] += bool(gone)
        self._timeline.say(f"the server purges {', '.join(sorted(gone)) or 'nothing'}")

    def backup(self) -> None:
        """Make a backup."""
        backup = self._server.backup()
        self._backup = None if backup is None else (backup, self._network.moment)
        self._timeline.say("a backup is made")

    def restore(self, devices: Sequence[Installation], *, renewed: bool, orderly: bool) -> None:
        """Put the last backup in the place of what there is, if there is one."""
        if self._backup is None:
            return
        backup, moment = self._backup
        self._befallen["restored-backup"] += 1
        self._befallen["unnoticed-restore"] += not renewed
        self._timeline.say(f"the backup is restored{'' if renewed else ', and nobody renews the epochs'}")
        self._server.restore(backup, renewed=renewed)
        self._network.held = self._server.held()
        self._network.generation += 1
        replicas = [device for device in devices if device.spec.kind == "replica"]
        self._ledger.restored(
            moment,
            self._network.moment,
            {device.number: device.known for device in devices},
            {device.number: device.rows() for device in replicas},
            {device.number: device.complete_since for device in replicas},
        )
        for device in devices:
            if device.spec.kind == "dart" or not renewed:
                device.is_stranded |= device.base > backup.clock or device.is_partial or not device.would_ask
        if orderly:  # what is under way may take for seen what the server has lost
            flights = self._network.flights
            self._network.flights = [one for one in flights if renewed and one.device.spec.kind == "replica"]
