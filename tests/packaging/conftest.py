"""What the packaging tests work on: the directory of what was built, and environments with nothing but that."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.environments import Environment, Environments, install
from tests.packaging.figures import pytest_terminal_summary

__all__ = ["built", "environment", "pytest_terminal_summary"]

VARIABLE = "MOBYNC_TEST_WHEELS"


@pytest.fixture(scope="session")
def built() -> Path:
    """The directory with a wheel and an sdist of each distribution."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        pytest.skip(f"what was built is tried by `nox -s packaging`, which sets {VARIABLE}")
    return Path(directory).absolute()


@pytest.fixture(scope="session")
def environment(built: Path) -> Iterator[Environments]:
    """Makes each environment once; all are removed at the end."""
    made: dict[tuple[str, ...], Environment] = {}
    with tempfile.TemporaryDirectory(prefix="mobync-packaging-") as directory:

        def environment_with(*wanted: str) -> Environment:
            if wanted not in made:
                made[wanted] = install(built, Path(tempfile.mkdtemp(dir=directory)), *wanted)
            return made[wanted]

        yield environment_with
