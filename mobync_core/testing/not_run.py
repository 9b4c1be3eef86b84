"""Skips a promise that cannot be put to the test here, and prints which and why at the end of the run."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, NoReturn

import pytest

_PLUGIN = "mobync-not-run"


class NotRun:
    """What one run of pytest left out. Registered with the first of it."""

    def __init__(self) -> None:
        self.promises: dict[str, dict[str, None]] = defaultdict(dict)
        """By class and reason; the values of a dictionary are a set that keeps its order."""

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("promises that were not run")
        for reason, promises in self.promises.items():
            terminalreporter.line(reason)
            for promise in promises:
                terminalreporter.line(f"    {promise}")


def not_run(request: pytest.FixtureRequest, why: str) -> NoReturn:
    """Skip the test of `request`. pytest alone would print no more than a count of those."""
    manager = request.config.pluginmanager
    told: NotRun | None = manager.get_plugin(_PLUGIN)
    if told is None:
        told = NotRun()
        manager.register(told, _PLUGIN)
    told.promises[f"{request.cls.__name__}: {why}"][request.function.__name__] = None
    pytest.skip(why)
