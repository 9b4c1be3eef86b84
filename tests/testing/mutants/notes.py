"""Faults of `notes`, `owners` and `erase`."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

from mobync_core import Commit, Note, Storage
from tests.testing.mutants.base import Mutant


class OrdersNotesAsPeopleDo(Mutant):
    """Tells notes in alphabetical order, not in that of their bytes."""

    breaks = "test_keys_of_notes_are_told_apart_by_their_bytes_and_so_ordered"
    tells = r"\('a', 'a'\) != \('A', 'A'\)"
    case = "case"
    in_histories = True

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        found = self.real.notes(owner, kind, prefix=prefix, after=after)
        return iter(sorted(found, key=lambda note: (note.key.casefold(), note.key.swapcase()))[:limit])


class KeepsForgottenNotes(Mutant):
    """Writes notes and forgets none."""

    breaks = "test_a_forgotten_note_is_gone_and_others_stay"
    tells = r"\['1', '2'\] == \['2'\]"
    in_histories = True

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, replace(commit, forget=()))


class ErasesNoNotes(Mutant):
    """Erases the records, the clock and the epoch of an owner, and leaves the notes."""

    breaks = "test_an_erased_owner_was_never_there_and_others_stay"
    tells = r"^the history note '1' should not be there\nthe parked note '1' should not be there$"
    in_histories = True

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.kinds: set[str] = set()
        self.left: defaultdict[tuple[str, str], list[Note]] = defaultdict(list)

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, commit)
        self.kinds |= {note.kind for note in commit.notes}

    def erase(self, owner: str) -> None:
        for kind in self.kinds:
            self.left[owner, kind] += self.real.notes(owner, kind)
        self.real.erase(owner)

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        found = self.real.notes(owner, kind, prefix=prefix, after=after, limit=limit)
        return itertools.chain(found, self.left[owner, kind])


class TakesPrefixesForPatterns(Mutant):
    """Gives a prefix to the store as the pattern of a LIKE."""

    breaks = "test_a_prefix_takes_its_owners_and_no_others"
    tells = r"== \['%'\]"

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        pattern = re.escape(prefix).replace("%", ".*").replace("_", ".")
        return (owner for owner in self.real.owners() if re.match(pattern, owner, re.DOTALL))


class ListsOnePageOfOwners(Mutant):
    """Lists the first thousand owners."""

    breaks = "test_every_owner_comes_once"
    tells = "100 more items"

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        return itertools.islice(self.real.owners(prefix=prefix), 1000)
