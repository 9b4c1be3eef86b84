"""What each run prints at its end: which servers its tests had, as these name themselves, and where they came from."""

from __future__ import annotations

from typing import Any

import pytest

_lines: dict[str, None] = {}  # in the order of their first use


def note(backend: str, text: str) -> None:
    """Have the run say `text` of `backend`, once."""
    _lines[f"{backend}: {text}"] = None


def noted(backend: str) -> list[str]:
    """What the run will say of `backend`."""
    return [line for line in _lines if line.startswith(f"{backend}: ")]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what a process of pytest-xdist noted: only the one that started it prints."""
    output: dict[str, object] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[__name__] = list(_lines)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _lines.update(dict.fromkeys(getattr(node, "workeroutput", {}).get(__name__, ())))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _lines:
        terminalreporter.section("servers of the tests")
        for line in _lines:
            terminalreporter.line(line)
