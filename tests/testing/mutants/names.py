"""Faults of what a store does to names, numbers and texts."""

from __future__ import annotations

import json
import re
import struct
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from typing import ClassVar

from mobync_core import Commit, Record, Snapshot, Storage
from mobync_core.storage import Key
from tests.testing.mutants.base import Mutant


class _ComparesLoosely(Mutant):
    """Takes two ids for one if `fold` makes them equal, as the collation of a column does."""

    def __init__(self, real: Storage, url: str) -> None:
        super().__init__(real, url)
        self.first: dict[tuple[str, str, str], str] = {}

    def fold(self, id: str) -> str:
        raise NotImplementedError

    def stored(self, owner: str, key: Key) -> Key:
        model, id = key
        return model, self.first.setdefault((owner, model, self.fold(id)), id)

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        return self.real.load(owner, since=since, keys=[self.stored(owner, key) for key in keys], limit=limit)

    def commit(self, owner: str, commit: Commit) -> None:
        put = {self.stored(owner, record.key): record for record in commit.put}
        remove = {self.stored(owner, key) for key in commit.remove} - put.keys()
        records = [replace(record, model=model, id=id) for (model, id), record in put.items()]
        self.real.commit(owner, replace(commit, put=records, remove=list(remove)))


class FoldsCase(_ComparesLoosely):
    """Takes ``a`` and ``A`` for one."""

    breaks = "test_ids_are_told_apart_by_their_bytes"
    tells = "task 'A' at clock 1 is missing"
    case = "case"
    in_histories = True

    def fold(self, id: str) -> str:
        return id.casefold()


class TrimsSpaces(_ComparesLoosely):
    """Takes ``a`` and ``a`` with a space after it for one."""

    breaks = "test_ids_are_told_apart_by_their_bytes"
    tells = "task 'a ' at clock 1 is missing"
    case = "spaces"
    in_histories = True

    def fold(self, id: str) -> str:
        return id.rstrip(" ")


class NormalisesAccents(_ComparesLoosely):
    """Takes an accented letter for the letter followed by its accent."""

    breaks = "test_ids_are_told_apart_by_their_bytes"
    tells = "task 'a\u0301' at clock 2 is missing"
    case = "accents"

    def fold(self, id: str) -> str:
        return unicodedata.normalize("NFC", id)


class _RewritesRecords(Mutant):
    """Keeps something else than it was given."""

    def rewritten(self, record: Record) -> Record:
        raise NotImplementedError

    def commit(self, owner: str, commit: Commit) -> None:
        self.real.commit(owner, replace(commit, put=[self.rewritten(record) for record in commit.put]))


class RoundsNumbers(_RewritesRecords):
    """Takes the numbers in bodies for floats: 2^53 + 1 becomes 2^53."""

    breaks = "test_a_value_comes_back_through_a_sync_as_it_was"
    tells = r"9007199254740993(.|\n)*9007199254740992"
    case = "the greatest integers"
    in_histories = True

    _large: ClassVar[re.Pattern[str]] = re.compile(r"(?<![\d.\"])\d{16,}(?![\d.])")

    def rewritten(self, record: Record) -> Record:
        return replace(record, body=self._large.sub(lambda found: str(int(float(found[0]))), record.body))


class HasClocksOfFloats(_RewritesRecords):
    """Keeps times as floats of 32 bits."""

    breaks = "test_clocks_and_times_of_53_bits_are_kept_exactly"
    tells = "its changed_at is 9007199254740992, not 9007199254740991"
    in_histories = True

    def rewritten(self, record: Record) -> Record:
        (rounded,) = struct.unpack("f", struct.pack("f", record.changed_at))
        return replace(record, changed_at=int(rounded))


class ParsesBodies(_RewritesRecords):
    """Keeps what a body means, and not how it was written."""

    breaks = "test_a_body_comes_back_as_it_was"
    tells = r"""'\{"b":1,"a":2\}' != '\{ "b" :1,"""
    case = "spaces kept"

    def rewritten(self, record: Record) -> Record:
        try:
            meant = json.loads(record.body)
        except ValueError:
            return record
        return replace(record, body=json.dumps(meant, separators=(",", ":")))
