"""The README's table of what was put to the test where, made by the runs themselves.

Each run prints the rows of the conformance tests that it had; ``--write-table`` puts them into the README, in place of
those of the same storage from the same kind of place.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.servers.report import noted

README = Path(__file__).parents[2] / "README.md"
HEAD = "| storage | server | promises kept | not run | where |\n| --- | --- | --- | --- | --- |\n"
NAMES = {
    "TestMemory": ("memory", ""),
    "TestSQLiteInMemory": ("SQLite in memory", ""),
    "TestSQLite": ("SQLite", ""),
    "TestPostgreSQL": ("PostgreSQL", "postgresql"),
    "TestMariaDB": ("MariaDB", "mariadb"),
    "TestRedis": ("Redis", "redis"),
    "TestRedisCluster": ("Redis Cluster", "redis-cluster"),
    "TestMongoDB": ("MongoDB (compatible)", "mongodb"),
}
"""The classes of test_conformance.py: how their storages are called, and which backend's server they have."""


@dataclass
class _Row:
    """What became of one storage's promises, each the name of a test: the worst of its cases counts."""

    outcomes: dict[str, str] = field(default_factory=dict)

    def add(self, promise: str, outcome: str) -> None:
        order = ["skipped", "passed", "failed"]
        self.outcomes[promise] = max(self.outcomes.get(promise, "skipped"), outcome, key=order.index)

    def text(self, storage: str, backend: str) -> str:
        count = Counter(self.outcomes.values())
        kept = f"{count['passed']} of {count['passed'] + count['failed']}"
        server, where = _server(storage, backend)
        return f"| {storage} | {server} | {kept} | {count['skipped']} | {where} |"


_rows: dict[str, _Row] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-table", action="store_true", help="write the conformance tests' rows into the README")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    place, _, rest = report.nodeid.partition("::")
    name, _, test = rest.partition("::")
    if place.endswith("test_conformance.py") and name in NAMES and (report.when == "call" or not report.passed):
        _rows.setdefault(name, _Row()).add(test.partition("[")[0], report.outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = [_rows[name].text(*NAMES[name]) for name in NAMES if name in _rows]
    if rows:
        terminalreporter.section("promises of the storages")
        terminalreporter.line(HEAD + "\n".join(rows))
    if rows and config.getoption("--write-table"):
        text = README.read_text(encoding="utf-8")
        README.write_text(_with_rows(text, rows), encoding="utf-8")


def table_of(readme: str) -> list[str]:
    """The rows of the README's table."""
    found = re.search(re.escape(HEAD) + r"((?:\|.*\n)*)", readme)
    return found.group(1).splitlines() if found else []


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def _with_rows(readme: str, rows: list[str]) -> str:
    old = table_of(readme)
    merged = {(cells(row)[0], cells(row)[-1].split()[0]): row for row in [*old, *rows]}
    order = [storage for storage, _ in NAMES.values()]
    table = sorted(merged.values(), key=lambda row: (order.index(cells(row)[0]), cells(row)[-1]))
    return readme.replace(HEAD + "".join(row + "\n" for row in old), HEAD + "".join(row + "\n" for row in table))


def _server(storage: str, backend: str) -> tuple[str, str]:
    """Which server a backend had, and where it ran, in a few words."""
    for line in noted(backend):
        version, _, source = line.removeprefix(f"{backend}: ").partition(", from a ")
        return version, "container" if source.startswith("container") else "binary" if source else "URL"
    return (f"SQLite {sqlite3.sqlite_version}" if storage.startswith("SQLite") else "none"), "in process"
