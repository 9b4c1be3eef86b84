"""The core and its adapters have one version, and say so everywhere."""

from __future__ import annotations

import tomllib
from pathlib import Path

from mobync_core.plugins import EXTRAS

ROOT = Path(__file__).parents[2]
CORE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ADAPTERS = [tomllib.loads(file.read_text())["project"] for file in sorted(ROOT.glob("adapters/*/pyproject.toml"))]


def test_all_distributions_have_one_version() -> None:
    assert len(ADAPTERS) >= 2
    assert {one["version"] for one in [CORE, *ADAPTERS]} == {CORE["version"]}


def test_the_extras_of_the_core_pin_the_adapters_exactly() -> None:
    names = {one["name"] for one in ADAPTERS}
    pinned = {
        requirement
        for extra in CORE["optional-dependencies"].values()
        for requirement in extra
        if requirement.partition("==")[0].partition("[")[0] in names
    }

    assert {requirement.partition("==")[0].partition("[")[0] for requirement in pinned} == names
    assert all(requirement.endswith(f"=={CORE['version']}") for requirement in pinned)


def test_every_hint_names_an_extra_that_there_is() -> None:
    assert set(EXTRAS.values()) <= CORE["optional-dependencies"].keys()


def test_the_changelog_tells_of_this_version() -> None:
    assert f"## {CORE['version']}" in (ROOT / "CHANGELOG.md").read_text()
