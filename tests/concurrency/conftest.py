"""The storages that threads and processes may share, each by a URL."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty place that only this test has. Nobody has set it up yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path.as_posix()}/shared.db"
    found: str = request.getfixturevalue("postgresql_url")
    return found
