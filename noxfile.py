"""Every task of the project, each a session: `nox -l` lists them. Each makes its own environment."""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "typing", "tests"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "virtualenv"

HOUSE = [
    "-e",
    ".[cli,server,sqlite,postgres,mysql,memory,mongodb,redis]",
    "-e",
    "adapters/memory",
    "-e",
    "adapters/mongodb",
    "-e",
    "adapters/redis",
    "-e",
    "adapters/sql",
]


def install(session: nox.Session, *packages: str) -> None:
    session.install("-c", "constraints.txt", *packages)


@nox.session
def demo(session: nox.Session) -> None:
    """Three devices, offline, in conflict, and equal in the end."""
    install(session, "-e", ".[cli,server,sqlite]", "-e", "adapters/sql")
    session.run("mobync", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, against real servers."""
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    session.run("pytest", *session.posargs)


@nox.session
def containers(session: nox.Session) -> None:
    """The storages' tests against servers in containers, of an image built here.

    Where official images can be pulled: MOBYNC_TEST_SERVERS=docker nox -s tests
    """
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    session.run(
        "python", "-m", "tests.servers.images", "pytest", *(session.posargs or ["tests/storage", "tests/servers"])
    )


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


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Figures, beside hand-written code for the same writes. Not part of the tests."""
    install(session, *HOUSE, "-r", "tests/requirements.txt")
    session.run("python", "-m", "benchmarks", *session.posargs)
