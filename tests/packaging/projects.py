"""The distributions of this checkout: where their sources are, and what was built of them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Project:
    """A directory with a pyproject.toml; its one package is named as the distribution."""

    directory: Path
    name: str
    version: str
    extras: frozenset[str]

    @property
    def stem(self) -> str:
        """How the name is written in the names of files and modules."""
        return self.name.replace("-", "_")

    @property
    def is_ours(self) -> bool:
        """Whether it is the core or one of its adapters, and not an example of somebody else's."""
        return not self.directory.is_relative_to(ROOT / "examples")

    def wheel(self, built: Path) -> Path:
        (found,) = built.glob(f"{self.stem}-{self.version}-*.whl")
        return found

    def sdist(self, built: Path) -> Path:
        return built / f"{self.stem}-{self.version}.tar.gz"

    def sources(self) -> set[str]:
        """The files of the package, as a wheel names them."""
        return {
            file.relative_to(self.directory).as_posix()
            for file in (self.directory / self.stem).rglob("*")
            if file.is_file() and file.parent.name != "__pycache__"
        }


def _project(file: Path) -> Project:
    table: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    extras = frozenset(table.get("optional-dependencies", {}))
    return Project(file.parent, table["name"], table["version"], extras)


PROJECTS = [
    _project(file)
    for pattern in ("pyproject.toml", "adapters/*/pyproject.toml", "examples/*-adapter/pyproject.toml")
    for file in sorted(ROOT.glob(pattern))
]
CORE = PROJECTS[0]
