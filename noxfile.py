"""Every task of the project, each a session: `nox -l` lists them. Each makes its own environment."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "virtualenv"

HOUSE = [
    "-e",
    ".[client,cli,server,sqlite,postgres,mysql,memory,mongodb,redis]",
    "-e",
    "adapters/memory",
    "-e",
    "adapters/mongodb",
    "-e",
    "adapters/redis",
    "-e",
    "adapters/sql",
]

PROJECTS = ["pyproject.toml", "adapters/*/pyproject.toml", "examples/*-adapter/pyproject.toml"]

PARALLEL = ("-n", "2", "--dist", "loadscope")
"""Two processes of tests: much of it waits, for a disk or for a time-out. A class stays with its servers in one."""

WITH_SERVERS = "not TestMemory and not TestSQLite"


def install(session: nox.Session, *packages: str) -> None:
    session.install("-c", "constraints.txt", *packages)


@nox.session
def demo(session: nox.Session) -> None:
    """Three devices, offline, in conflict, and equal in the end."""
    install(session, "-e", ".[client,server,sqlite]", "-e", "adapters/sql")
    session.run("mobync", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, against real servers."""
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    session.run("pytest", *(session.posargs or PARALLEL))


@nox.session
def containers(session: nox.Session) -> None:
    """The promises of the storages, on servers in containers of an image built here.

    Where official images can be pulled: MOBYNC_TEST_SERVERS=docker nox -s tests
    """
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    session.run(
        "python",
        "-m",
        "tests.servers.images",
        "pytest",
        *(session.posargs or [*PARALLEL, "tests/servers", "tests/storage/test_conformance.py", "-k", WITH_SERVERS]),
    )


@nox.session
def packaging(session: nox.Session) -> None:
    """What users install: the wheels, built from the sdists, and each extra by itself, away from this directory."""
    # An older pip takes no direct URL from the constraints for a requirement with extras.
    install(session, *HOUSE, "-r", "tests/requirements.txt", "build", "pip>=26.1", "twine", "uv")
    with tempfile.TemporaryDirectory(prefix="mobync-wheels-") as built:
        for file in [file for pattern in PROJECTS for file in sorted(Path().glob(pattern))]:
            # With uv, the environments that `build` makes take half the time.
            session.run("python", "-m", "build", "--installer", "uv", "--outdir", built, str(file.parent), silent=True)
        session.run("twine", "check", "--strict", *map(str, Path(built).iterdir()))
        session.run("pytest", "tests/packaging", *session.posargs, env={"MOBYNC_TEST_WHEELS": built})


@nox.session
def lint(session: nox.Session) -> None:
    """Style and common mistakes."""
    install(session, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Types, strictly."""
    install(session, *HOUSE, "-r", "tests/requirements.txt", "mypy")
    session.run("mypy")
    for example in sorted(Path("examples").glob("f*-*")):  # each is an application of its own, with an `app`
        session.run("mypy", str(example))


@nox.session
def storm(session: nox.Session) -> None:
    """Storms for long: all small histories and half an hour on memory, or `nox -s storm -- URL --seconds 600`."""
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    if session.posargs:
        session.run("mobync", "storm", *session.posargs)
        return
    session.run("mobync", "storm", "--all", "--operations", "4")
    session.run("mobync", "storm", "memory://", "--seconds", "1800")


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Figures, beside hand-written code for the same writes. Not part of the tests."""
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "benchmarks", *session.posargs)
    session.run("python", "-m", "benchmarks.own_tables")
    session.run("python", "-m", "benchmarks.replica")
