"""The state machine of random histories: whole syncs, on a storage and on a model of one at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from mobync_core.engine import Mobync
from mobync_core.errors import ResyncRequired
from mobync_core.storage import Commit, Note, Snapshot, Storage
from mobync_core.testing.alone import Alone
from mobync_core.testing.atomic import AtomicDevice
from mobync_core.testing.dart import DartDevice
from mobync_core.testing.differences import differences
from mobync_core.testing.model import ModelStorage
from mobync_core.testing.steps import HistoryFailed, Step, step

_START = 1_700_000_000_000  # ms
_MODEL = "task"
_NOTES = ("history", "parked")

devices = st.integers(0, 3)
owners = st.integers(0, 1)
ids = st.sampled_from(["a", "A", "a ", "á", "😀"])
keys = st.sampled_from(["a", "A"])
names = st.sampled_from(["x", "y"])
values = st.sampled_from([0, 1, 2**53 + 1, -(2**63), 0.1, True, "\0", "$set", {"": []}, "x" * 9000])
endings = st.sampled_from(["", ", and syncs", ", and syncs, but the answer is lost"])


class Syncs(RuleBasedStateMachine):
    """Two owners with two devices each; whatever is done is done on the storage and on the model.

    A subclass for each run gives `storage`, and `prefix` for the names of owners.
    """

    storage: Storage
    prefix: str
    failure: ClassVar[HistoryFailed | None] = None
    """The last one, for a storage that does not fail each time."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        number = next(self._numbers)
        self.owners = [f"{self.prefix}{number}/ada", f"{self.prefix}{number}/bob"]
        self.model = ModelStorage()
        self.time = _START
        self.ids = itertools.count()
        self.history: list[str] = []
        self.steps: list[Step] = []
        self.has_failed = False
        self.engines = self._engines()
        self.devices: list[DartDevice | AtomicDevice] = [self._device(number) for number in range(4)]

    def teardown(self) -> None:
        """Leave nothing that a later history could meet: it must fail again when it is repeated."""
        try:
            for owner in self.owners:
                self.storage.erase(owner)
        except Exception as error:
            if not self.has_failed:  # what went wrong first is what matters
                raise self._failed(f"erase raised {error!r}") from error

    @step(number=devices, id=ids, name=names, value=values, ending=endings)
    def edit(self, number: int, id: str, name: str, value: Any, ending: str) -> None:
        with self._step(f"{_device(number)} writes {id!r} {name} = {_short(value)}{ending}"):
            device = self.devices[number]
            if (_MODEL, id) in device.rows:
                device.update(_MODEL, id, {name: value})
            else:
                device.create(_MODEL, id, {name: value})
            self._end(number, ending)

    @step(number=devices, id=ids, ending=endings)
    def delete(self, number: int, id: str, ending: str) -> None:
        device = self.devices[number]
        there = [held for _, held in device.rows]
        gone = id if id in there or not there else there[0]  # most of what is deleted should have been there
        with self._step(f"{_device(number)} deletes {gone!r}{ending}"):
            device.delete(_MODEL, gone)
            self._end(number, ending)

    @step(number=devices)
    def sync(self, number: int) -> None:
        with self._step(f"{_device(number)} syncs"):
            self._sync(number)

    @step(owner=owners, kind=st.sampled_from(_NOTES), key=keys)
    def leave_a_note(self, owner: int, kind: str, key: str) -> None:
        with self._step(f"a commit leaves the {kind} note {key!r} of {_name(owner)}"):
            self._commit(owner, notes=[Note(kind, key, f"at {self.time}")])

    @step(owner=owners, kind=st.sampled_from(_NOTES), key=keys)
    def forget_a_note(self, owner: int, kind: str, key: str) -> None:
        with self._step(f"a commit forgets the {kind} note {key!r} of {_name(owner)}"):
            self._commit(owner, forget=[(kind, key)])

    @step(owner=owners)
    def remove_records(self, owner: int) -> None:
        with self._step(f"a commit removes the tombstones of {_name(owner)}, or the oldest record if there are none"):
            held = self.model.load(self.owners[owner], since=0).changed
            gone = [one for one in held if one.deleted] or held[:1]
            if gone:
                self._commit(owner, remove=[one.key for one in gone], purged=gone[-1].clock)
                self._begin_anew(owner)

    @step(owner=owners)
    def erase(self, owner: int) -> None:
        with self._step(f"{_name(owner)} is erased"):
            for storage in (self.storage, self.model):
                storage.erase(self.owners[owner])
            self._begin_anew(owner)

    def _engines(self) -> tuple[Mobync, Mobync]:
        return Mobync(Alone(self.storage), now=self._now, setup=False), Mobync(self.model, now=self._now)

    def _now(self) -> int:
        return self.time

    def _device(self, number: int) -> DartDevice | AtomicDevice:
        if number % 2:
            return AtomicDevice(now=self._now, new_id=self._new_id, page=1 if number == 3 else None)
        return DartDevice("", now=self._now, random=Random(number), new_id=self._new_id)

    def _new_id(self) -> str:
        return f"diff-{next(self.ids)}"

    def _begin_anew(self, owner: int) -> None:
        for number in (2 * owner, 2 * owner + 1):
            self.devices[number] = self._device(number)

    def _end(self, number: int, ending: str) -> None:
        if ending:
            self._sync(number, is_lost="lost" in ending)

    def _sync(self, number: int, *, is_lost: bool = False) -> None:
        request = self.devices[number].request()
        told, wanted = (_answer(engine, self.owners[number // 2], request) for engine in self.engines)
        if told != wanted:
            raise self._failed(f"the engine answered {told}, not {wanted}")
        if told is None:
            self.devices[number] = self._device(number)
        elif not is_lost:
            self.devices[number].receive(told)

    def _commit(self, owner: int, **what: Any) -> None:
        for storage in (self.storage, self.model):
            held = storage.load(self.owners[owner], since=2**53)
            head: dict[str, Any] = {"expected": held.clock, "clock": held.clock + 1, "epoch": held.epoch or "first"}
            storage.commit(self.owners[owner], Commit(**head, **({"purged": held.purged} | what)))

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        """Write down what is done; whatever goes wrong is told with all that was done before."""
        self.time += 1
        self.history.append(what)
        try:
            yield
            self._compare()
        except HistoryFailed:
            raise
        except Exception as error:
            kind = "" if isinstance(error, AssertionError) else f"{type(error).__name__}: "
            raise self._failed(f"{kind}{error}") from error

    def _failed(self, why: str) -> HistoryFailed:
        self.has_failed = True
        failure = HistoryFailed(why, self.history, self.steps)
        type(self).failure = failure
        return failure

    def _compare(self) -> None:
        for number, owner in enumerate(self.owners):
            latest = self.model.load(owner, since=2**53).clock
            for since, limit in ((0, None), (max(0, latest - 2), 1)):
                named = [(_MODEL, "a"), (_MODEL, "A"), ("never", "a")]
                found, wanted = (
                    _plain(one.load(owner, since=since, keys=named, limit=limit)) for one in (self.storage, self.model)
                )
                asked = f"load of {_name(number)} since {since}" + (f" with the limit {limit}" if limit else "")
                self._agree(asked, found, wanted)
            for kind in _NOTES:
                notes, kept = (list(one.notes(owner, kind)) for one in (self.storage, self.model))
                self._agree(f"{kind} notes of {_name(number)}", notes, kept)
        mine = self.owners[0].removesuffix("ada")
        self._agree("owners", *(sorted(one.owners(prefix=mine)) for one in (self.storage, self.model)))

    def _agree(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            told = "\n".join(f"  {line}" for line in differences(found, wanted))
            raise self._failed(f"the {what} gave something else than on a model of a storage:\n{told}")


class LastingSyncs(Syncs):
    """The same on a storage that keeps what it has when it is opened again, as `reopen` does."""

    reopen: Callable[[], Storage]

    @step()
    def open_anew(self) -> None:
        with self._step("the storage is closed and opened again"):
            type(self).storage = self.reopen()
            self.engines = self._engines()


def _device(number: int) -> str:
    return f"device {number} of {_name(number // 2)}"


def _name(owner: int) -> str:
    return ("ada", "bob")[owner]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}… ({len(text)} characters)"


def _plain(snapshot: Snapshot) -> Snapshot:
    """A snapshot without its epoch, which is random, and with an order where any will do."""
    named = sorted(snapshot.named, key=lambda record: record.clock)
    return replace(snapshot, epoch="", changed=list(snapshot.changed), named=named)


def _answer(engine: Mobync, owner: str, request: dict[str, Any]) -> dict[str, Any] | None:
    """What the engine answers; None if the device must begin anew."""
    asked = {name: request[name] for name in ("atomic", "limit") if name in request}
    try:
        return dict(engine.apply(request["logical_clock"], request["diffs"], owner, **asked))
    except ResyncRequired:  # it reads in pages, and what was removed lay behind the page that it has
        return None
