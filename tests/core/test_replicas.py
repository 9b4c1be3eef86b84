"""What the engine does for clients that can be told more: lives and stamps, pages, a server that lost data."""

from __future__ import annotations

from typing import Any

import pytest

from mobync_core import Commit, InvalidClock, InvalidData, Mobync, ResyncRequired, Storage, WrongOwner

from .sent import diff, told


@pytest.fixture
def mobync(memory: Storage) -> Mobync:
    return Mobync(memory)


def at(clock: int, sent: dict[str, Any], life: int | None = None) -> dict[str, Any]:
    """A diff that was made when its device had this base, of the life that it knew."""
    return {**sent, "logical_clock": clock} | ({} if life is None else {"life": life})


def restore(storage: Storage, backup: Any) -> None:
    """Put an owner back to what he had in a snapshot."""
    storage.erase("ann")
    storage.commit("ann", Commit(expected=0, clock=backup.clock, epoch=backup.epoch, put=backup.changed))


def purge(storage: Storage) -> None:
    held = storage.load("ann", since=0)
    gone = [record for record in held.changed if record.deleted]
    commit = Commit(
        expected=held.clock,
        clock=held.clock + 1,
        epoch=held.epoch,
        remove=[record.key for record in gone],
        purged=gone[-1].clock,
    )
    storage.commit("ann", commit)


class TestAnEditIsJudgedByWhatItsDeviceHadSeenWhenItWasMade:
    def test_what_came_in_between_was_not_seen(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
        mobync.apply(1, [diff("update", "a", 3000, x="tablet")], "ann")

        mobync.apply(2, [at(1, diff("update", "a", 2000, x="phone"))], "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "tablet"}

    def test_an_own_edit_that_is_sent_along_was_seen(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 9000, x=1)], "ann")
        first = at(1, diff("update", "a", 1000, x=2))  # a slow clock: its stamp becomes 9001
        mobync.apply(1, [first], "ann", atomic=True)

        answer = mobync.apply(2, [first, at(1, diff("update", "a", 1001, x=3))], "ann", atomic=True, explain=True)

        assert [one["result"] for one in answer["outcomes"]] == ["repeated", "applied"]
        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": 3}

    def test_of_a_plain_client_only_the_base_counts(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
        mobync.apply(1, [diff("update", "a", 3000, x="tablet")], "ann")

        mobync.apply(2, [at(1, diff("update", "a", 2000, x="phone"))], "ann")

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "phone"}


class TestRegisters:
    def test_the_stamps_that_differ_from_the_timestamp_are_told(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1, y=1)], "ann")
        mobync.apply(1, [diff("update", "a", 2000, y=2)], "ann")

        (one,) = mobync.apply(0, [], "ann", atomic=True, registers=True)["diffs"]

        assert (one["utc_timestamp"], one["stamps"]) == (2000, {"x": 1000})
        assert "life" not in one
        assert "stamps" not in mobync.apply(0, [], "ann", atomic=True)["diffs"][0]

    def test_the_life_is_told_unless_it_is_the_first(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
        mobync.apply(1, [diff("delete", "a", 2000), diff("create", "a", 3000, x=2)], "ann")

        assert [one["life"] for one in mobync.apply(0, [], "ann", atomic=True, registers=True)["diffs"]] == [2]

    def test_a_stamp_that_the_client_cannot_know_is_told_with_its_own_value(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 9000, x=1)], "ann")

        slow = at(1, diff("update", "a", 1000, x=2))
        (one,) = mobync.apply(1, [slow], "ann", atomic=True, registers=True)["diffs"]

        assert (told({"diffs": [one]}), one["utc_timestamp"]) == ([("update", {"id": "a", "x": 2})], 9001)
        exact = mobync.apply(2, [at(2, diff("update", "a", 9500, x=3))], "ann", atomic=True, registers=True)
        assert exact["diffs"] == []


class TestAServerThatLostData:
    """What devices offer again finds its place, whatever the backup lacked."""

    def test_a_record_that_was_created_again_after_the_backup(self, mobync: Mobync, memory: Storage) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x="first life")], "ann")
        mobync.apply(1, [diff("delete", "a", 2000)], "ann")
        backup = memory.load("ann", since=0)
        mobync.apply(2, [diff("create", "a", 3000, x="second life")], "ann")
        restore(memory, backup)

        mobync.apply(0, [at(0, diff("create", "a", 3000, x="second life"), life=2)], "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "second life"}

    def test_a_delete_after_the_backup(self, mobync: Mobync, memory: Storage) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
        mobync.apply(1, [diff("delete", "a", 2000), diff("create", "a", 3000, x=2)], "ann")

        mobync.apply(0, [at(0, diff("delete", "a", 4000), life=2)], "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") is None

    @pytest.mark.parametrize("first", ["who knows the delete", "who does not"])
    def test_who_did_not_know_of_a_delete_brings_nothing_back(self, mobync: Mobync, first: str) -> None:
        offers = [at(0, diff("delete", "a", 2000), life=1), at(0, diff("create", "a", 1000, x=1), life=1)]

        for offer in offers if first == "who knows the delete" else offers[::-1]:
            mobync.apply(0, [offer], "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") is None

    @pytest.mark.parametrize("first", ["who holds the second life", "who holds the first"])
    def test_the_later_life_wins_whole(self, mobync: Mobync, first: str) -> None:
        offers = [
            at(0, diff("create", "a", 3000, x="second"), life=2),
            at(0, diff("create", "a", 1000, x="first", y="first"), life=1),
        ]

        for offer in offers if first == "who holds the second life" else offers[::-1]:
            mobync.apply(0, [offer], "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "second"}

    def test_an_offer_and_the_delete_after_it_do_not_cancel(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")

        offer = [at(0, diff("create", "a", 1000, x=1), life=1), at(0, diff("delete", "a", 2000), life=1)]
        mobync.apply(0, offer, "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") is None

    def test_what_two_devices_offer_is_one_write(self, mobync: Mobync) -> None:
        mobync.apply(0, [at(0, diff("create", "a", 1000, x=1), life=1)], "ann", atomic=True)
        edit = at(1, diff("update", "a", 5, x="over it, by a slow clock"))
        mobync.apply(0, [at(0, diff("create", "a", 1000, x=1), life=1)], "ann", atomic=True)

        mobync.apply(1, [edit], "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "over it, by a slow clock"}

    def test_what_comes_after_an_offer_of_what_is_there_had_seen_it(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", 1000, x=1)], "ann")
        offer = [at(0, diff("create", "a", 1000, x=1), life=1), at(0, diff("update", "a", 5, x=2), life=1)]

        mobync.apply(0, offer, "ann", atomic=True)

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": 2}

    def test_who_may_have_to_offer_is_told_every_delete(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", x=1)], "ann")
        mobync.apply(1, [diff("delete", "a", 2000)], "ann")

        assert told(mobync.apply(0, [], "ann", atomic=True)) == []
        assert told(mobync.apply(0, [], "ann", atomic=True, registers=True)) == [("delete", {"id": "a"})]

    def test_a_repeated_offer_changes_nothing(self, mobync: Mobync, memory: Storage) -> None:
        offer = [
            at(0, diff("create", "a", 3000, x=1), life=2),
            at(0, diff("update", "a", 3500, y=1), life=2),
            at(0, diff("delete", "b", 2000), life=1),
        ]
        first = mobync.apply(0, offer, "ann", atomic=True)
        held = memory.load("ann", since=0)

        assert mobync.apply(0, offer, "ann", atomic=True) == first
        assert memory.load("ann", since=0) == held


class TestPurgedTombstones:
    def read(self, mobync: Mobync, clock: int = 0, page: str | None = None) -> dict[str, Any]:
        return mobync.apply(clock, [], "ann", atomic=True, limit=1, page=page)

    def test_a_first_list_is_read_in_pages_past_them(self, mobync: Mobync, memory: Storage) -> None:
        mobync.apply(0, [diff("create", record, x=1) for record in ("a", "b", "c")], "ann")
        mobync.apply(3, [diff("create", "d", x=1)], "ann")
        mobync.apply(4, [diff("delete", "d", 2000)], "ann")
        purge(memory)

        answer = self.read(mobync)
        found = told(answer)
        while answer["has_more"]:
            answer = self.read(mobync, answer["logical_clock"], answer["page"])
            found += told(answer)

        assert [data["id"] for _, data in found] == ["a", "b", "c"]
        assert "page" not in answer

    def test_a_list_that_was_begun_before_the_purge_is_begun_again(self, mobync: Mobync, memory: Storage) -> None:
        mobync.apply(0, [diff("create", record, x=1) for record in ("a", "b", "c")], "ann")
        page = self.read(mobync)
        mobync.apply(3, [diff("delete", "a", 2000)], "ann")
        purge(memory)

        with pytest.raises(ResyncRequired):
            self.read(mobync, page["logical_clock"], page["page"])

    def test_who_knows_that_it_must_fetch_all_may_push_first(self, mobync: Mobync, memory: Storage) -> None:
        mobync.apply(0, [diff("create", "a", 9000, x=1), diff("create", "b", x=1)], "ann")
        mobync.apply(2, [diff("delete", "b", 2000)], "ann")
        purge(memory)
        edit = at(2, diff("update", "a", 1000, x="offline"))  # over what it had seen, by a slow clock

        with pytest.raises(ResyncRequired):
            mobync.apply(2, [edit], "ann", atomic=True)
        mobync.apply(2, [edit], "ann", atomic=True, resync=True)

        assert mobync.get("ann", "todo", "a") == {"id": "a", "x": "offline"}

    def test_a_page_that_no_server_gave_is_refused(self, mobync: Mobync) -> None:
        with pytest.raises(InvalidData, match="page"):
            self.read(mobync, page="two")


class TestAnOrdinaryAnswerWithALimit:
    def test_what_is_told_at_once_is_told_as_a_change(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", x=1, y=1)], "ann")
        mobync.apply(1, [diff("update", "a", 2000, x=2)], "ann")

        answer = mobync.apply(1, [], "ann", atomic=True, limit=5, page=None)

        assert told(answer) == [("update", {"id": "a", "x": 2})]
        assert answer["has_more"] is False

    def test_what_is_cut_is_told_whole(self, mobync: Mobync) -> None:
        mobync.apply(0, [diff("create", "a", x=1, y=1), diff("create", "b", x=1)], "ann")
        mobync.apply(2, [diff("update", "a", 2000, x=2), diff("update", "b", 2000, x=2)], "ann")

        answer = mobync.apply(2, [], "ann", atomic=True, limit=1, page=None)

        assert told(answer) == [("create", {"id": "a", "x": 2, "y": 1})]
        assert (answer["has_more"], answer["page"]) == (True, "-1")


class TestTheOwner:
    def test_who_holds_another_owners_records_is_told_before_anything_is_done(self, mobync: Mobync) -> None:
        with pytest.raises(WrongOwner, match="'bob'"):
            mobync.apply(0, [diff("create", "a", x=1)], "ann", owner="bob")

        assert mobync.get("ann", "todo", "a") is None

    def test_it_is_told_to_who_asks(self, mobync: Mobync) -> None:
        assert mobync.apply(0, [], "ann", owner=None)["owner"] == "ann"
        assert mobync.apply(0, [], "ann", owner="ann")["owner"] == "ann"

    def test_another_epoch_is_not_his_server(self, mobync: Mobync) -> None:
        epoch = mobync.apply(0, [diff("create", "a", x=1)], "ann", epoch=None)["epoch"]

        assert mobync.apply(1, [], "ann", epoch=epoch)["diffs"] == []
        with pytest.raises(InvalidClock):
            mobync.apply(1, [], "ann", epoch="another")
