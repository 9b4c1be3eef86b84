"""Skips a promise that cannot be put to the test here, and prints which and why at the end of the run."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

_PLUGIN = "mobync-not-run"


class NotRun:
    """The reasons of one run of pytest. Registered with the first of them."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("promises that were not run")
        for promise, why in self.reasons.items():
            terminalreporter.line(f"{promise}: {why}")


def not_run(request: pytest.FixtureRequest, why: str) -> NoReturn:
    """Skip the test of `request`. pytest alone would print no more than a count of those."""
    manager = request.config.pluginmanager
    told: NotRun | None = manager.get_plugin(_PLUGIN)
    if told is None:
        told = NotRun()
        manager.register(told, _PLUGIN)
    told.reasons[request.node.nodeid] = why
    pytest.skip(why)
