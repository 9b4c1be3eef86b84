"""Empty environments into which only wheels are installed, and which know nothing of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tests.cli.commands import Ended
from tests.packaging.figures import note
from tests.packaging.projects import CORE, PROJECTS, ROOT

BY_PIP = {"postgres", "all"}
"""The extras that pip itself installs: both ask for extras of an adapter. It needs 4 to 10 s for one of ours, uv less
than one; for all of them, that is a minute and a half of the session."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment; what runs in it has an empty directory of its own to work in."""

    directory: Path
    elsewhere: Path

    @property
    def python(self) -> Path:
        return self.directory / "bin" / "python"

    def run(self, *arguments: str, **variables: str) -> Ended:
        """Run Python, isolated from the variables and the directory that it is called in."""
        return self._run([str(self.python), "-I", "-W", "error", *arguments], variables)

    def answer(self, *arguments: str, **variables: str) -> Any:
        """Run Python, and return what it printed, which is JSON. Raises `AssertionError` if it failed."""
        ended = self.run(*arguments, **variables)
        assert (ended.status, ended.err) == (0, ""), ended.err
        return json.loads(ended.out)

    def mobync(self, *arguments: str, **variables: str) -> Ended:
        """Run the command as it was installed."""
        return self._run([str(self.directory / "bin" / "mobync"), *arguments], {"PYTHONWARNINGS": "error", **variables})

    def installed(self) -> set[str]:
        """The names of what is installed, in lower case."""
        program = "import json, importlib.metadata as m; print(json.dumps([d.name for d in m.distributions()]))"
        return {name.lower().replace("_", "-") for name in self.answer("-c", program)}

    def _run(self, command: list[str], variables: dict[str, str]) -> Ended:
        others = ("MOBYNC_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        path = f"{self.directory / 'bin'}{os.pathsep}{os.defpath}"
        ended = subprocess.run(
            command,
            cwd=self.elsewhere,
            env={**kept, "PATH": path, "PYTHONSAFEPATH": "1", **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)


Environments: TypeAlias = Callable[..., Environment]
"""Takes extras of the core, and names of other distributions, and gives an environment that has them."""


def install(built: Path, directory: Path, extras: str = "", *others: str) -> Environment:
    """Make an environment in `directory` with ``mobync-core[extras]`` and the `others`, from the wheels in `built`.

    The constraints say where each of our distributions is, which no registry has in this version yet, and pin the rest.
    Raises `AssertionError`, with what the installer said, if it fails.
    """
    begun = time.monotonic()
    made = Environment(directory / "venv", directory / "elsewhere")
    made.elsewhere.mkdir(parents=True)
    venv.create(made.directory, symlinks=True)
    urls = {project.name: project.wheel(built).as_uri() for project in PROJECTS}
    constraints = directory / "constraints.txt"
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    constraints.write_text(pins + "".join(f"{name} @ {url}\n" for name, url in urls.items()), encoding="utf-8")
    core = f"{CORE.name}[{extras}]" if extras else CORE.name
    wanted = [f"{core} @ {urls[CORE.name]}", *(f"{name} @ {urls[name]}" for name in others)]
    installer, options = "uv", ["pip", "install", "--python", str(made.python)]
    if extras in BY_PIP:
        installer, options = "pip", ["--python", str(made.python), "install", "--disable-pip-version-check"]
    ended = subprocess.run(
        [sys.executable, "-m", installer, *options, "-c", str(constraints), *wanted],
        cwd=made.elsewhere,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    seconds = time.monotonic() - begun
    what = ", ".join([core, *others])
    note(f"{what}: {len(made.installed())} distributions, installed by {installer} in {seconds:.1f} s")
    return made
