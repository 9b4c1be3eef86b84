"""The story that ``mobync demo`` tells: one person, three devices, and all that goes wrong between them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from rich.console import Console

from mobync_core.demo.check import Rows, compare
from mobync_core.demo.devices import MODEL, OWNER, TOKEN, Device, Exchange, StoryTime
from mobync_core.demo.referee import Referee
from mobync_core.demo.screen import Screen, edit_text
from mobync_core.engine import Mobync
from mobync_core.http.asgi import asgi_app
from mobync_core.http.serving import serving
from mobync_core.http.tokens import KnownTokens
from mobync_core.storage import Commit, Storage
from mobync_core.urls import redact


def run(storage: Storage | str, console: Console) -> bool:
    """Tell the story over a fresh storage, on `console`. Return whether all held the same at its end."""
    with Mobync(storage) as mobync, serving(asgi_app(mobync, KnownTokens({TOKEN: OWNER}))) as server:
        where = redact(storage) if isinstance(storage, str) else type(storage).__name__
        story = _Story(mobync, server, where, Screen(console))
        try:
            return story.tell()
        finally:
            story.close()


class _Story:
    def __init__(self, mobync: Mobync, server: str, storage: str, screen: Screen) -> None:
        self._mobync = mobync
        self._server = server
        self._storage = storage
        self._screen = screen
        self._time = StoryTime()
        self._referee = Referee(self._time)
        self.phone = Device("phone", self._time, server)
        self.tablet = Device("tablet", self._time, server)
        self.laptop = Device("laptop", self._time, server)
        self._fresh: Device | None = None
        self._exchanges: list[Exchange] = []

    def close(self) -> None:
        for device in (*self._devices, *([self._fresh] if self._fresh else [])):
            device.close()

    @property
    def _devices(self) -> Sequence[Device]:
        return self.phone, self.tablet, self.laptop

    def tell(self) -> bool:
        begun = time.monotonic()
        self._screen.title(
            "Mobync: one shopping list, three devices, hardly any network",
            f"  server   {self._server}/sync, a real one",
            f"  storage  {self._storage}",
            "  devices  a phone, a tablet and a laptop, each a replica with a store of its own",
        )
        self._begin()
        self._different_fields()
        self._same_field()
        self._delete_against_update()
        self._lost_answer()
        self._wrong_clock()
        self._restored_backup()
        return self._end(begun)

    def _begin(self) -> None:
        self._screen.chapter("A list is begun", "Ann starts her list on the phone. The other devices fetch it.")
        self._edit("09:00", self.phone, "create", "milk", title="Milk", qty=1)
        self._edit("09:01", self.phone, "create", "tent", title="Tent pegs", qty=10)
        for device in self._devices:
            self._sync(device)
        self._screen.held({"all hold": self._cells("milk")})

    def _different_fields(self) -> None:
        self._screen.chapter(
            "Different fields of one record",
            "In the cellar, without network, Ann wants two bottles. On the train, just as cut off, she rewords it.",
        )
        self._edit("10:00", self.phone, "update", "milk", qty=2)
        self._edit("10:05", self.tablet, "update", "milk", title="Fresh milk")
        self._meet("milk", self.phone, self.tablet)

    def _same_field(self) -> None:
        self._screen.chapter(
            "The same field of one record",
            "Offline again, she changes her mind about the milk: on the phone, then on the laptop. The laptop is the "
            "first to have network.",
        )
        self._edit("11:00", self.phone, "update", "milk", title="Oat milk")
        self._edit("11:20", self.laptop, "update", "milk", title="Soy milk")
        self._meet("milk", self.laptop, self.phone)

    def _delete_against_update(self) -> None:
        self._screen.chapter(
            "A delete against an update",
            "The tent pegs are found, so the tablet deletes them. Meanwhile the phone, offline, still wants more.",
        )
        self._edit("12:00", self.tablet, "delete", "tent")
        self._edit("12:10", self.phone, "update", "tent", qty=20)
        self._meet("tent", self.tablet, self.phone)

    def _lost_answer(self) -> None:
        self._screen.chapter(
            "A lost answer",
            "The laptop adds bread. The server takes it, but its answer never arrives. So the laptop sends all again.",
        )
        self._edit("13:00", self.laptop, "create", "bread", title="Rye bread", qty=1)
        before = self._cells("bread")
        self._screen.gap()
        self._show(self.laptop.sync_in_vain())
        self._sync(self.laptop)
        self._settle("bread", before)

    def _wrong_clock(self) -> None:
        self._screen.chapter(
            "A clock two days wrong",
            "It is Monday, but the laptop thinks Wednesday. Its edit reaches the phone, where Ann corrects it. Were "
            "the last timestamp to win, whatever she writes there would be lost until Wednesday.",
        )
        self.laptop.ahead = timedelta(days=2)
        self._edit("14:00", self.laptop, "update", "bread", title="White bread")
        self._sync(self.laptop)
        self._sync(self.phone)
        self._edit("14:10", self.phone, "update", "bread", title="Dark rye bread")
        self._meet("bread", self.phone)

    def _restored_backup(self) -> None:
        self._screen.chapter(
            "A server that lost data",
            "At three the server is backed up. Then Ann adds jam on the phone, and deletes the milk on the tablet. All "
            "is synced. Then the server's disk dies, and all that is left is the backup.",
        )
        backup = self._mobync.storage.load(OWNER, since=0)
        self._edit("15:10", self.phone, "create", "jam", title="Jam", qty=1)
        self._edit("15:20", self.tablet, "delete", "milk")
        for device in self._devices:
            self._exchanges += device.sync()[1]
        before = self._cells("jam")
        self._mobync.storage.erase(OWNER)
        commit = Commit(expected=0, clock=backup.clock, epoch=backup.epoch, purged=backup.purged, put=backup.changed)
        self._mobync.storage.commit(OWNER, commit)
        self._mobync.restored()
        self._screen.gap()
        for device in self._devices:
            result, exchanges = device.sync()
            self._exchanges += exchanges
            if result.restored:
                offered = sum(len(exchange.request["diffs"]) for exchange in exchanges)
                self._screen.aside(
                    f"the {device.name} notices, and offers the server the {offered} things that it knows"
                )
        self._screen.gap()
        self._screen.decided(
            [
                "The jam is back, and the milk stays deleted. What several devices know, the server takes once. The "
                "backup lacked both, and nobody had to do anything."
            ]
        )
        for device in self._devices:
            self._exchanges += device.sync()[1]
        self._screen.held({"before": before, "jam now": self._cells("jam"), "milk now": self._cells("milk")})

    def _end(self, begun: float) -> bool:
        self._screen.chapter(
            "Are all equal?",
            "Everybody syncs once more, and a fresh device that never saw any of this fetches the list.",
        )
        self._fresh = Device("fresh device", self._time, self._server)
        everybody = (*self._devices, self._fresh)
        for device in everybody:
            self._exchanges += device.sync()[1]
        findings = compare(self._server_rows(), {device.name: device.rows() for device in everybody})
        self._screen.findings(findings)
        equal = not any(finding.differences for finding in findings)
        if equal:
            sent = sum(len(exchange.request["diffs"]) for exchange in self._exchanges)
            size = sum(exchange.bytes_up + exchange.bytes_down for exchange in self._exchanges)
            self._screen.verdict(
                equal,
                f"All are equal, after {len(self._exchanges)} requests with {sent} edits, {size:,} bytes in all, in "
                f"{time.monotonic() - begun:.1f} s.",
            )
            self._screen.title(
                "Serve your own:",
                "  mobync serve sqlite:///app.db --insecure-token-is-owner",
            )
        else:
            self._screen.verdict(equal, "Not all are equal. This must never happen: please report it.")
        return equal

    def _edit(self, at: str, device: Device, kind: str, record: str, **fields: Any) -> None:
        self._time.set(at)
        if kind == "create":
            device.create(record, **fields)
        elif kind == "update":
            device.update(record, **fields)
        else:
            device.delete(record)
        said = self._time.says(device.clock_says())
        self._screen.edited(device.name, said, edit_text(kind, {"id": record, **fields}))

    def _meet(self, record: str, *first: Device) -> None:
        """Let devices sync in turn, then all, and show the record before and after."""
        before = self._cells(record)
        self._screen.gap()
        for device in first:
            self._sync(device)
        self._settle(record, before)

    def _sync(self, device: Device) -> None:
        self._show(device.sync()[1])

    def _show(self, exchanges: Sequence[Exchange]) -> None:
        self._exchanges += exchanges
        for exchange in exchanges:
            self._screen.crossed(exchange)
            self._screen.decided(self._referee.judge(exchange))

    def _settle(self, record: str, before: Mapping[str, str]) -> None:
        """Let every device fetch what is new, and show what it held of a record before the sync and holds now."""
        self._screen.aside("then every device fetches what is new")
        for device in self._devices:
            self._exchanges += device.sync()[1]
        self._screen.held({"before the sync": before, "after it": self._cells(record)})

    def _cells(self, record: str) -> Mapping[str, str]:
        return {device.name: _cell(device.row(record)) for device in self._devices}

    def _server_rows(self) -> Rows:
        rows = {}
        for fields in self._mobync.records(OWNER, MODEL):
            record = fields.pop("id")
            rows[record] = fields
        return rows


def _cell(row: Mapping[str, Any] | None) -> str:
    return "-" if row is None else f"{row.get('qty')} x {row.get('title')}"
