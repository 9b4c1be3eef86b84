"""The 587 notes of a rival's user: deleted long ago, and brought back by a device that had been away for longer.

A server forgets what was deleted in the end. A device that missed it still holds the notes, and must neither offer them
nor keep them; and what it edited meanwhile must not be lost for that.
"""

from __future__ import annotations

from random import Random

import pytest

from mobync_core import NoSuchObject, ResyncRequired
from mobync_core.replica import Change
from mobync_core.testing.dart import DartDevice
from tests.replica.devices import Rows, Server

DAY = 86_400_000  # ms
GONE = [f"gone {number:03}" for number in range(587)]
LIVE = [f"live {number:02}" for number in range(40)]


@pytest.mark.parametrize("page", [1000, 50])
def test_none_of_587_deleted_notes_comes_back_and_no_edit_is_lost(server: Server, page: int) -> None:
    phone, tablet = server.device(), server.device(page=page, skew=-3 * DAY)
    for note in GONE + LIVE:
        phone.create("note", {"id": note, "title": "old", "text": "old"})
    phone.synchronize()
    tablet.synchronize()
    server.time += DAY

    for note in GONE:
        phone.delete("note", note)
    phone.synchronize()
    server.time += 100 * DAY
    assert server.mobync.purge(server.time - 90 * DAY).tombstones == len(GONE)
    for note in GONE[:3]:
        phone.create("note", {"id": note, "title": "another of that name"})
    phone.update("note", LIVE[0], {"title": "by the phone"})
    phone.update("note", LIVE[1], {"title": "by the phone"})
    phone.delete("note", LIVE[2])
    phone.synchronize()

    tablet.update("note", LIVE[0], {"text": "by the tablet"})
    tablet.update("note", LIVE[1], {"title": "by the tablet, whose clock is slow"})
    tablet.update("note", LIVE[3], {"title": "by the tablet", "text": "by the tablet"})
    tablet.delete("note", LIVE[4])
    tablet.delete("note", LIVE[5])
    tablet.create("note", {"id": LIVE[5], "title": "born again on the tablet"})
    tablet.create("note", {"id": "new", "title": "of the tablet"})
    tablet.update("note", GONE[0], {"title": "of a note that is another now"})
    tablet.delete("note", GONE[1])
    for note in GONE[10:20]:
        tablet.update("note", note, {"text": "of a note that is gone"})
    tablet.delete("note", GONE[20])
    told: list[Change] = []
    tablet.on_change(told.extend)

    result = tablet.synchronize()
    phone.synchronize()
    fresh = server.device()
    fresh.synchronize()

    whole: Rows = {note: {"title": "old", "text": "old"} for note in LIVE[6:]} | {
        GONE[0]: {"title": "another of that name"},
        GONE[1]: {"title": "another of that name"},
        GONE[2]: {"title": "another of that name"},
        LIVE[0]: {"title": "by the phone", "text": "by the tablet"},
        LIVE[1]: {"title": "by the phone", "text": "old"},
        LIVE[3]: {"title": "by the tablet", "text": "by the tablet"},
        LIVE[5]: {"title": "born again on the tablet"},
        "new": {"title": "of the tablet"},
    }
    assert tablet.rows("note") == phone.rows("note") == fresh.rows("note") == server.rows("note") == whole
    assert result.resynced
    assert [report.kind for report in tablet.status().notices] == ["resynced"]
    assert (tablet.status().pending, tablet.status().mode) == (0, "normal")
    lost = {report.record for report in (*result.refused, *result.conflicts)}
    assert lost == {LIVE[1], GONE[0], GONE[1], *GONE[10:20]}
    assert {change.record for change in told if change.type == "delete"} == {*GONE[3:20], *GONE[21:], LIVE[2]}
    with pytest.raises(NoSuchObject):
        tablet.update("note", GONE[100], {"title": "x"})


@pytest.mark.parametrize("edits", [True, False])
@pytest.mark.parametrize("comes", ["before", "after"])
def test_nor_does_a_restored_backup_where_replicas_offer_what_they_hold(
    server: Server, comes: str, edits: bool
) -> None:
    phone, tablet = server.device(), server.device()
    for note in GONE + LIVE:
        phone.create("note", {"id": note, "title": "old"})
    phone.synchronize()
    tablet.synchronize()
    for note in GONE:
        phone.delete("note", note)
    phone.synchronize()
    server.time += 100 * DAY
    server.mobync.purge(server.time)
    if edits:
        tablet.update("note", LIVE[0], {"title": "never sent"})
    if comes == "before":
        tablet.synchronize()
    server.mobync.restored()

    tablet.synchronize()  # of all that knew of the deletes, nobody has come yet
    assert sorted(server.rows("note")) == LIVE
    for device in (phone, tablet):
        device.synchronize()

    assert sorted(tablet.rows("note")) == sorted(phone.rows("note")) == sorted(server.rows("note")) == LIVE
    assert server.rows("note")[LIVE[0]] == {"title": "never sent" if edits else "old"}


@pytest.mark.parametrize("passed", [True, False], ids=["purged-past-it", "purged-before-it"])
def test_after_a_restore_the_purge_says_whether_it_offers_what_it_holds(server: Server, passed: bool) -> None:
    """The limit that `docs/protocol.md` tells: below the clock that it had seen, a purge is not known to it."""
    phone, tablet = server.device(), server.device()
    phone.create("note", {"id": "gone"})
    phone.synchronize()
    backup = server.copy()
    for note in LIVE:
        phone.create("note", {"id": note})
    phone.synchronize()
    tablet.synchronize()
    server.restore(backup)
    early = server.device()
    early.synchronize()
    for number in range(2 * len(LIVE) if passed else 0):
        early.create("note", {"id": f"early {number}"})
    early.synchronize()
    for note in early.rows("note"):
        early.delete("note", note)
    early.synchronize()
    server.time += 100 * DAY
    server.mobync.purge(server.time)
    assert (server.copy().purged >= tablet.status().clock) is passed

    result = tablet.synchronize()

    assert (result.resynced, result.restored) == (passed, not passed)
    assert tablet.rows("note").keys() == server.rows("note").keys() == (set() if passed else {"gone", *LIVE})


def test_a_published_client_is_refused_until_its_store_is_cleared(server: Server) -> None:
    def device() -> DartDevice:
        return DartDevice("ann", now=lambda: server.time, random=Random(1))

    dart, phone = device(), server.device()
    for note in GONE[:20] + LIVE:
        phone.create("note", {"id": note})
    phone.synchronize()
    assert dart.receive(_answer(server, dart))
    for note in GONE[:20]:
        phone.delete("note", note)
    phone.synchronize()
    server.time += 100 * DAY
    server.mobync.purge(server.time)

    dart.update("note", GONE[0], {"title": "x"})
    for _ in range(2):
        with pytest.raises(ResyncRequired):
            _answer(server, dart)
    cleared = device()
    assert cleared.receive(_answer(server, cleared))
    assert sorted(name for _, name in cleared.rows) == sorted(server.rows("note")) == LIVE


def _answer(server: Server, dart: DartDevice) -> dict[str, object]:
    request = dart.request()
    return server.mobync.apply(request["logical_clock"], request["diffs"], "ann")
