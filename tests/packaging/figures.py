"""What a run of the packaging tests prints at its end: how long the extras took to install, and importing takes."""

from __future__ import annotations

import pytest

_lines: list[str] = []


def note(line: str) -> None:
    """Have the run print `line` at its end."""
    _lines.append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _lines:
        terminalreporter.section("the wheels as users get them")
        for line in _lines:
            terminalreporter.line(line)
