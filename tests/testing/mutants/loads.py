"""Faults of `load`."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace

from mobync_core import Commit, Snapshot, Storage
from mobync_core.storage import Key
from tests.testing.mutants.base import Mutant


class DropsTombstones(Mutant):
    """Tells only what is alive."""

    breaks = "test_a_tombstone_is_kept_and_told"
    tells = "^the tombstone task 'a' at clock 2 is missing$"
    in_histories = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys, limit=limit)
        changed, named = ([one for one in found if not one.deleted] for found in (held.changed, held.named))
        return replace(held, changed=changed, named=named)


class LeaksBetweenOwners(Mutant):
    """Finds records by model and id, whoever has them."""

    breaks = "test_commits_of_different_owners_do_not_meet"
    tells = "^task 'a' at clock 0 should not be there$"
    in_histories = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys, limit=limit)
        found = [one for whoever in self.real.owners() for one in self.real.load(whoever, since=2**53, keys=keys).named]
        return replace(held, named=list({one.key: one for one in (*found, *held.named)}.values()))


class OrdersById(Mutant):
    """Tells what changed in the order of names."""

    breaks = "test_records_come_in_the_order_of_their_clock_not_of_their_names"
    tells = "^number 1 is task 'r000' at clock 137, not task 'r182' at clock 1$"
    in_histories = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys)
        return replace(held, changed=sorted(held.changed, key=lambda one: (one.model, one.id))[:limit])


class SkipsAtTheLimit(Mutant):
    """Loses one record between two pages."""

    breaks = "test_pages_by_clock_make_up_the_whole"
    tells = r"^task 'r8' at clock 24 is missing\n"

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys, limit=limit)
        if limit is None or len(held.changed) < max(2, limit):
            return held
        return replace(held, changed=[*held.changed[:-2], held.changed[-1]])


class IgnoresTheLimit(Mutant):
    """Tells all that changed at once."""

    breaks = "test_a_limit_keeps_the_earliest"
    tells = r"^task 'r4' at clock 5 should not be there\n"
    in_histories = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        return self.real.load(owner, since=since, keys=keys)


class StartsAfterSince(Mutant):
    """Tells what changed after the clock that it was asked for, and not at it."""

    breaks = "test_since_takes_the_clock_itself_and_what_is_later"
    tells = "^task 'r7' at clock 7 is missing$"
    in_histories = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        return self.real.load(owner, since=since + 1, keys=keys, limit=limit)


class ReadsTheClockLast(Mutant):
    """Reads the records first: what is committed before it reads the clock is skipped for good."""

    breaks = "test_no_change_is_skipped_because_a_commit_was_under_way"
    tells = r"^task '.*' at clock \d+ is missing"

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys, limit=limit)
        time.sleep(0.001)
        return replace(held, clock=self.real.load(owner, since=2**53).clock)


class FindsAThousandNames(Mutant):
    """Asks for no more names at once than a statement may have parameters."""

    breaks = "test_keys_of_any_collection_and_thousands_of_them"
    tells = "^2001 of 3000 records that were asked for by name did not come$"

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        return self.real.load(owner, since=since, keys=list(keys)[:999], limit=limit)


class MakesWhomItLoads(Mutant):
    """Writes an owner's row when it is first asked for."""

    breaks = "test_to_load_an_owner_does_not_make_one"
    tells = r"~mobync.*== \[\]"
    in_histories = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys, limit=limit)
        if not held.clock:
            self.real.commit(owner, Commit(expected=0, clock=1, epoch="made"))
        return held


class ReadsAllForAPage(Mutant):
    """Reads all that changed, and cuts it then."""

    on = "sqlite"
    breaks = "test_ten_thousand_records_are_read_page_by_page_in_bounded_memory"
    tells = r"^\d{5} KiB for pages of 500 KiB"

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        held = self.real.load(owner, since=since, keys=keys)
        return replace(held, changed=held.changed[:limit])


class AnswersAnOldSnapshot(Mutant):
    """Keeps what it once read until it writes itself: of what others write it knows nothing."""

    on = "sqlite"
    breaks = "test_two_that_are_opened_on_one_store_see_each_other"
    tells = r"^task 'r\d' at clock \d is missing$"

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.kept: dict[object, Snapshot] = {}

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        asked = owner, since, frozenset(keys), limit
        if asked not in self.kept:
            self.kept[asked] = self.real.load(owner, since=since, keys=keys, limit=limit)
        return self.kept[asked]

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, commit)
        self.kept.clear()
