"""Random histories of whole syncs end, on every storage, as they do on a model of one."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from mobync_core.hookspecs import Abilities
from mobync_core.plugins import open_storage
from mobync_core.storage import Storage
from mobync_core.testing.steps import HistoryFailed, Step
from mobync_core.testing.syncs import LastingSyncs, Syncs

EXAMPLES = int(os.environ.get("MOBYNC_EXAMPLES", "30"))
"""How many histories are tried on each storage."""

_STEPS = 20


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

        base = LastingSyncs if abilities.persistent else Syncs
        machine = type("Syncs", (base,), {"storage": storage, "prefix": prefix, "reopen": staticmethod(reopen)})
        try:
            run_histories(machine, EXAMPLES)
        finally:
            opened[-1].close()


def run_histories(machine: type[Syncs], examples: int) -> None:
    """Try so many histories. Raises `HistoryFailed` with the smallest part of one that fails as it does."""
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=_STEPS,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                report_multiple_bugs=False,
            ),
        )
    except (HistoryFailed, Flaky) as failed:
        failure = failed if isinstance(failed, HistoryFailed) else machine.failure
        if failure is None:
            raise
        raise _smallest(machine, failure) from None


def _smallest(machine: type[Syncs], failure: HistoryFailed) -> HistoryFailed:
    """Leave out of a history, one by one, the steps without which it fails as well.

    Hypothesis would try hundreds of histories for that, on a storage that may be slow, and end with more steps.
    """
    at = len(failure.steps)
    while at:
        at -= 1
        shorter = _repeated(machine, [*failure.steps[:at], *failure.steps[at + 1 :]])
        if shorter is not None:
            failure = shorter
            at = len(failure.steps)
    return failure


def _repeated(machine: type[Syncs], steps: Sequence[Step]) -> HistoryFailed | None:
    """Do these steps anew; return how they fail, if they do."""
    again = machine()
    try:
        for do, arguments in steps:
            again.steps.append((do, arguments))
            do(again, **arguments)
        again.teardown()
    except HistoryFailed as failure:
        again.teardown()
        return failure
    return None
