"""The state machines must find a rule of the merge that was broken on purpose: else they prove nothing."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from types import ModuleType

import pytest

from mobync_core import Storage, attempts, engine

from .test_histories import AnyHistory, Histories, SeenHistory, run

EXAMPLES = 3000  # most are found within a hundred


@dataclass(frozen=True)
class Mutation:
    """One rule of a module, and how it is broken."""

    name: str
    module: str
    rule: str
    broken: str
    found_by: tuple[type[Histories], ...]


BOTH = (AnyHistory, SeenHistory)
ANY = (AnyHistory,)
SEEN = (SeenHistory,)
MUTATIONS = [
    Mutation(
        "what the batch itself wrote counts as unseen",
        "merge",
        "return clock < self._base or written_by in self._earlier",
        "return clock < self._base",
        SEEN,
    ),
    Mutation(
        "the change at the base itself counts as seen",
        "merge",
        "return clock < self._base or",
        "return clock <= self._base or",
        SEEN,
    ),
    Mutation(
        "only timestamps decide, whatever was seen",
        "merge",
        "edit.timestamp >= register.stamp or self._seen(register.clock, register.written_by)",
        "edit.timestamp >= register.stamp",
        SEEN,
    ),
    Mutation(
        "what comes last wins, whatever its timestamp",
        "merge",
        "elif edit.timestamp >= register.stamp or self._seen(register.clock, register.written_by):",
        "elif True:",
        SEEN,
    ),
    Mutation(
        "stamps do not grow",
        "merge",
        "won[name] = value, max(edit.timestamp, register.stamp + 1)",
        "won[name] = value, edit.timestamp",
        SEEN,
    ),
    Mutation("repeated diffs are not known again", "merge", 'earlier.result = "repeated"', "pass", BOTH),
    Mutation(
        "a delete is forgotten by what did not know of it",
        "merge",
        'if edit.type == "create" and (edit.life > body.life or self._seen(entry.clock, body.deleted_by)):',
        "if True:",
        BOTH,
    ),
    Mutation("a client that sent diffs is not advanced", "merge", "clock = max(clock, batch.base + 1)", "pass", BOTH),
    Mutation(
        "a record keeps its clock when it changes",
        "merge",
        "            entry.clock = clock\n",
        "            entry.clock = entry.clock or clock\n",
        BOTH,
    ),
    Mutation(
        "fields that lost are not told",
        "answer",
        "elif not _is_known(register, by, teller):",
        "elif False:",
        BOTH,
    ),
    Mutation(
        "tombstones are not told",
        "answer",
        '        self._tell("delete", entry.key, entry.clock, entry.body.floor, life=entry.body.life)',
        "        return",
        BOTH,
    ),
    Mutation(
        "a recreated record is told as created",
        "answer",
        "elif body.life == 1 and entry.clock == body.created:",
        "elif True:",
        BOTH,
    ),
    Mutation(
        "a page tells only what changed since its base",
        "answer",
        "elif body.created < base and not paged:",
        "elif body.created < base:",
        BOTH,
    ),
    Mutation(
        "a page tells no tombstone born after its base",
        "answer",
        "or body.life > 1 or paged:",
        "or body.life > 1:",
        ANY,
    ),
]


def broken_module(mutation: Mutation) -> ModuleType:
    """Load a module of the core again, under another name, with one rule broken."""
    found = importlib.util.find_spec(f"mobync_core.{mutation.module}")
    assert found is not None
    assert found.origin is not None
    with open(found.origin, encoding="utf-8") as file:
        source = file.read()
    assert source.count(mutation.rule) == 1, f"{mutation.rule!r} must stand once in {mutation.module}"
    module = ModuleType(f"mobync_core._broken_{mutation.module}")
    sys.modules[module.__name__] = module
    exec(compile(source.replace(mutation.rule, mutation.broken), found.origin, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize(
    ("mutation", "machine"),
    [pytest.param(one, machine, id=f"{one.name}-{machine.__name__}") for one in MUTATIONS for machine in one.found_by],
)
def test_a_broken_rule_is_found(
    mutation: Mutation, machine: type[Histories], monkeypatch: pytest.MonkeyPatch, memory: Storage
) -> None:
    module = broken_module(mutation)
    if mutation.module == "merge":
        monkeypatch.setattr(attempts, "merge", module.merge)
    else:
        monkeypatch.setattr(engine, "answer", module.answer)
    # Most are found in the first tens. Which histories come depends on what else is loaded: Hypothesis takes constants
    # from it.
    with pytest.raises(AssertionError):
        run(machine, memory, 10 * EXAMPLES, shrink=False)
