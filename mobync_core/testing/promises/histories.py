"""Random histories of whole syncs end, on every storage, as they do on a model of one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from mobync_core.engine import Mobync
from mobync_core.errors import MobyncError
from mobync_core.hookspecs import Abilities
from mobync_core.plugins import open_storage
from mobync_core.storage import Commit, Note, Record, Snapshot, Storage
from mobync_core.testing.atomic import AtomicDevice
from mobync_core.testing.dart import DartDevice
from mobync_core.testing.model import ModelStorage

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "30"))
"""How many histories are tried on each storage."""

_STEPS = 20
_START = 1_700_000_000_000  # ms
_MODEL = "task"
_NOTES = ("history", "parked")

devices = st.integers(0, 3)
owners = st.integers(0, 1)
ids = st.sampled_from(["a", "A", "a ", "á", "😀"])
names = st.sampled_from(["x", "y"])
values = st.one_of(
    st.integers(-3, 3), st.sampled_from([2**53 + 1, -(2**63), 0.1, True, "\0", "$set", {"": []}, "x" * 9000])
)


class HistoryFailed(AssertionError):
    """What a storage did wrong, and all that had been done until then."""


class Syncs(RuleBasedStateMachine):
    """Two owners with two devices each; whatever is done is done on the storage and on the model."""

    storage: Storage
    reopen: Callable[[], Storage] | None
    prefix: str
    _numbers = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        number = next(self._numbers)
        self.owners = [f"{self.prefix}{number}/ada", f"{self.prefix}{number}/bob"]
        self.model = ModelStorage()
        self.time = _START
        self.ids = itertools.count()
        self.history: list[str] = []
        self.engines = self._engines()
        self.devices: list[DartDevice | AtomicDevice] = [self._device(number) for number in range(4)]

    def _engines(self) -> tuple[Mobync, Mobync]:
        return Mobync(self.storage, now=self._now, setup=False), Mobync(self.model, now=self._now)

    def _now(self) -> int:
        return self.time

    def _new_id(self) -> str:
        return f"diff-{next(self.ids)}"

    def _device(self, number: int) -> DartDevice | AtomicDevice:
        if number % 2:
            return AtomicDevice(now=self._now, new_id=self._new_id, page=1 if number == 3 else None)
        return DartDevice("", now=self._now, random=Random(number), new_id=self._new_id)

    @contextmanager
    def _step(self, *words: object) -> Iterator[None]:
        """Write down what is done; whatever goes wrong is told with all that was done before."""
        self.time += 1
        self.history.append(" ".join(str(word) for word in words))
        try:
            yield
            self._compare()
        except HistoryFailed:
            raise
        except Exception as error:
            told = "\n".join(f"  {number}. {step}" for number, step in enumerate(self.history, 1))
            raise HistoryFailed(f"{error or type(error).__name__}\nafter this history:\n{told}") from error

    def _compare(self) -> None:
        for name, owner in zip(("ada", "bob"), self.owners, strict=True):
            latest = self.model.load(owner, since=2**53).clock
            for since, limit in ((0, None), (max(0, latest - 2), 1)):
                keys = [(_MODEL, "a"), (_MODEL, "A"), ("never", "a")]
                told = _plain(self.storage.load(owner, since=since, keys=keys, limit=limit))
                wanted = _plain(self.model.load(owner, since=since, keys=keys, limit=limit))
                asked = f"load of {name} since {since}" + (f" with the limit {limit}" if limit else "")
                assert told == wanted, f"the {asked} gave {told}, not {wanted}"
            for kind in _NOTES:
                found, kept = (list(one.notes(owner, kind)) for one in (self.storage, self.model))
                assert found == kept, f"the {kind} notes of {name} are {found}, not {kept}"
        mine = self.owners[0].removesuffix("ada")
        seen, there = (sorted(one.owners(prefix=mine)) for one in (self.storage, self.model))
        assert seen == there, f"the owners are {seen}, not {there}"

    def _both(self, work: Callable[[Mobync], Any]) -> Any:
        told, wanted = (_result(work, engine) for engine in self.engines)
        assert told == wanted, f"the engine answered {told}, not {wanted}"
        return told

    def _apply(self, number: int) -> dict[str, Any]:
        request = self.devices[number].request()
        asked = {name: request[name] for name in ("atomic", "limit") if name in request}
        owner = self.owners[number // 2]
        answer: dict[str, Any] = self._both(
            lambda engine: engine.apply(request["logical_clock"], request["diffs"], owner, **asked)
        )
        return answer

    @rule(number=devices, id=ids, name=names, value=values)
    def edit(self, number: int, id: str, name: str, value: Any) -> None:
        with self._step(f"device {number} of", _whose(number), "writes", repr(id), name, "=", _short(value)):
            device = self.devices[number]
            if (_MODEL, id) in device.rows:
                device.update(_MODEL, id, {name: value})
            else:
                device.create(_MODEL, id, {name: value})

    @rule(number=devices, id=ids)
    def delete(self, number: int, id: str) -> None:
        with self._step(f"device {number} of", _whose(number), "deletes", repr(id)):
            self.devices[number].delete(_MODEL, id)

    @rule(number=devices)
    def sync(self, number: int) -> None:
        with self._step(f"device {number} of", _whose(number), "syncs"):
            self.devices[number].receive(self._apply(number))

    @rule(number=devices)
    def lose_an_answer(self, number: int) -> None:
        with self._step(f"device {number} of", _whose(number), "syncs, and the answer is lost"):
            self._apply(number)

    @rule(owner=owners, kind=st.sampled_from(_NOTES), key=ids)
    def leave_a_note(self, owner: int, kind: str, key: str) -> None:
        with self._step("a commit leaves the", kind, "note", repr(key), "of", ("ada", "bob")[owner]):
            self._commit(owner, notes=[Note(kind, key, f"at {self.time}")])

    @rule(owner=owners, kind=st.sampled_from(_NOTES), key=ids)
    def forget_a_note(self, owner: int, kind: str, key: str) -> None:
        with self._step("a commit forgets the", kind, "note", repr(key), "of", ("ada", "bob")[owner]):
            self._commit(owner, forget=[(kind, key)])

    @rule(owner=owners)
    def remove_tombstones(self, owner: int) -> None:
        with self._step("a commit removes the tombstones of", ("ada", "bob")[owner]):
            dead = [one for one in self.model.load(self.owners[owner], since=0).changed if one.deleted]
            if dead:
                self._commit(owner, remove=[one.key for one in dead], purged=dead[-1].clock)
                self.devices[2 * owner], self.devices[2 * owner + 1] = map(self._device, (2 * owner, 2 * owner + 1))

    @rule(owner=owners)
    def erase(self, owner: int) -> None:
        with self._step("the owner", ("ada", "bob")[owner], "is erased"):
            for storage in (self.storage, self.model):
                storage.erase(self.owners[owner])
            self.devices[2 * owner], self.devices[2 * owner + 1] = map(self._device, (2 * owner, 2 * owner + 1))

    @precondition(lambda self: self.reopen is not None)
    @rule()
    def open_anew(self) -> None:
        with self._step("the storage is closed and opened again"):
            assert self.reopen is not None
            type(self).storage = self.reopen()
            self.engines = self._engines()

    def _commit(self, owner: int, **what: Any) -> None:
        for storage in (self.storage, self.model):
            held = storage.load(self.owners[owner], since=2**53)
            storage.commit(
                self.owners[owner],
                Commit(
                    expected=held.clock,
                    clock=held.clock + 1,
                    epoch=held.epoch or "first",
                    **({"purged": held.purged} | what),
                ),
            )


class Histories:
    """Random whole syncs."""

    def test_random_syncs_end_as_they_do_on_a_model_of_a_storage(
        self, url: str, storage: Storage, abilities: Abilities, prefix: str
    ) -> None:
        opened = [storage]

        def reopen() -> Storage:
            opened[-1].close()
            opened.append(open_storage(url))
            opened[-1].setup()
            return opened[-1]

        parts = {"storage": storage, "prefix": prefix, "reopen": staticmethod(reopen) if abilities.persistent else None}
        try:
            run_state_machine_as_test(
                type("Syncs", (Syncs,), parts),
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=_STEPS,
                    deadline=None,
                    database=None,
                    phases=[Phase.generate, Phase.shrink],
                    suppress_health_check=list(HealthCheck),
                    print_blob=False,
                    report_multiple_bugs=False,
                ),
            )
        finally:
            opened[-1].close()


def _whose(number: int) -> str:
    return ("ada", "bob")[number // 2]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}… ({len(text)} characters)"


def _plain(snapshot: Snapshot) -> tuple[int, int, list[Record], list[Record]]:
    """A snapshot without its epoch, which is random."""
    named = sorted(snapshot.named, key=lambda record: record.clock)
    return snapshot.clock, snapshot.purged, list(snapshot.changed), named


def _result(work: Callable[[Mobync], Any], engine: Mobync) -> Any:
    """What `work` returns; an error that it raises is a result too, if both engines raise it."""
    try:
        return work(engine)
    except MobyncError as error:
        return f"{type(error).__name__}: {error}"
