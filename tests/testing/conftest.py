"""What the tests of the suite itself share: mutants that are installed, and their URLs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.testing.mutants import MUTANTS
from tests.testing.mutants.plugin import install


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Installs the mutants; gives the URL of an empty store for the one of that name."""
    installed = tmp_path / "installed"
    monkeypatch.setenv("PYTHONPATH", install(installed))
    monkeypatch.syspath_prepend(installed)

    def url(name: str) -> str:
        mutant = MUTANTS[name]
        if mutant.on == "memory":
            return f"mutant+{name}://{mutant.login}"
        if mutant.on == "sqlite":
            return f"mutant+{name}:///{tmp_path.as_posix()}/store.db"
        server: str = request.getfixturevalue(f"{mutant.on}_url")
        return f"mutant+{name}://{server.partition('://')[2]}&socket_timeout=1"

    return url
