"""Rules that only a replica needs, each broken on purpose; those of every client are in ``tests/merge``.

Three more are so rarely what a history turns on that only the examples of ``tests/core/test_replicas.py`` show them:
which life a delete ends, what ends a life of a server that lost it, and what tells a replica which life it began.
"""

from __future__ import annotations

from tests.merge.test_mutations import Mutation

MUTATIONS = [
    Mutation(
        "an edit is judged at the base of its request",
        "merge",
        "self._base = min(self._batch.base, edit.order[0])",
        "pass",
        (),
    ),
    Mutation(
        "an offered life does not begin over a tombstone",
        "merge",
        "(edit.life > body.life or self._seen(entry.clock, body.deleted_by))",
        "self._seen(entry.clock, body.deleted_by)",
        (),
    ),
    Mutation(
        "an offered delete leaves no tombstone of what is unknown",
        "merge",
        "if entry is None and edit.life:",
        "if False:",
        (),
    ),
    Mutation(
        "an offer and the delete after it cancel out",
        "merge",
        "if not _may_be_there(entry, span[0][0], edit):",
        "if True:",
        (),
    ),
    Mutation(
        "stamps are not told", "answer", "stamps=stamps if self.registers and stamps else UNSET", "stamps=UNSET", ()
    ),
    Mutation(
        "lives are not told",
        "answer",
        'life=life if self.registers and life > (kind != "delete") else UNSET',
        "life=UNSET",
        (),
    ),
    Mutation(
        "a stamp that grew is not told to who wrote the value",
        "answer",
        "if teller.registers and register.stamp != by[-1].timestamp:",
        "if False:",
        (),
    ),
    Mutation(
        "a page of a cut answer is a delta",
        "answer",
        "(request.page is not None or clock < merged.clock)",
        "request.page is not None",
        (),
    ),
    Mutation("the floor does not bar who was away", "engine", "if 0 < base <= snapshot.purged and", "if False and", ()),
    Mutation("a list begun after a purge is barred too", "engine", "begun < snapshot.purged and", "", ()),
    Mutation("another epoch is let in", "engine", "request.epoch != snapshot.epoch and", "False and", ()),
]

_RESTORED = {"restored-backup": 1.0, "used-again": 1.0, "same-id": 0.9}

RATES = {
    "an offered life does not begin over a tombstone": _RESTORED,
    "an offered delete leaves no tombstone of what is unknown": _RESTORED,
    "stamps are not told": _RESTORED,
    "a list begun after a purge is barred too": {"away": 1.0},
    "stamps do not grow": _RESTORED | {"clocks-apart": 1.0},
    "a stamp that grew is not told to who wrote the value": _RESTORED | {"clocks-apart": 1.0},
}
"""The faults by which those are found soon that few histories show."""
