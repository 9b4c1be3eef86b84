"""Puts a storage to the test by its URL; `mobync verify` shows what this finds."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import pytest

from mobync_core.plugins import installed_for, open_storage
from mobync_core.testing.differences import HEADLINE
from mobync_core.testing.owners import RUN
from mobync_core.urls import redact

logger = logging.getLogger("mobync")

Outcome = Literal["kept", "broken", "not run"]

_ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)

_OUTCOMES: dict[str, Outcome] = {"passed": "kept", "failed": "broken", "skipped": "not run"}

_HINT = re.compile(r"^\s*(\.\.\.Full output truncated|Use -v to get)")
"""What pytest says to those who call it themselves."""


@dataclass
class Promise:
    """What became of one promise. `why` says, of each case that was broken or not run, what happened."""

    subject: str
    text: str
    cases: int = 0
    outcome: Outcome = "not run"
    seconds: float = 0.0
    why: dict[str, str] = field(default_factory=dict)


@dataclass
class Report:
    """What became of all promises of the storage at `url`, which is written without its password."""

    url: str
    adapter: str
    distribution: str
    promises: list[Promise]
    seconds: float

    def count(self, outcome: Outcome) -> int:
        return sum(promise.outcome == outcome for promise in self.promises)

    @property
    def is_kept(self) -> bool:
        """Whether every promise that could be put to the test was kept, and any was."""
        return self.count("broken") == 0 and self.count("kept") > 0


class Listener(Protocol):
    """Is told how the tests go on."""

    def found(self, cases: int) -> None:
        """So many cases are to be run."""

    def begins(self, promise: str) -> None:
        """The next case is one of this promise."""

    def ended(self, outcome: Outcome) -> None:
        """A case has ended."""


def verify(url: str, *, only: str = "", listener: Listener | None = None) -> Report:
    """Run the conformance suite on the storage at `url`.

    It works on owners of its own, whose names begin with ``~mobync-``, and erases them; what `setup` makes in the
    store stays. `only` narrows it to the promises that hold that text, which may be none. Raises what `open_storage`
    and `setup` raise if the storage cannot be opened at all, and `KeyboardInterrupt` if it is interrupted.
    """
    installed = installed_for(url)
    with closing(open_storage(url)) as storage:
        storage.setup()
    run = _Run(url, only, listener)
    began = time.monotonic()
    try:
        with _undisturbed() as directory:
            ended = pytest.main(
                [
                    str(Path(__file__).with_name("at_url.py")),
                    f"--rootdir={directory}",
                    f"--config-file={directory / 'pytest.ini'}",
                    "--import-mode=importlib",
                    "--capture=sys",
                    *("-p", "no:cacheprovider", "-p", "no:terminal"),
                ],
                plugins=[run],
            )
    finally:
        _erase(url, run.prefix)
    if ended == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    if ended not in _ENDS:
        raise RuntimeError("\n".join([f"pytest ended with the status {ended}", *run.faults]))
    return Report(redact(url), installed.adapter.name, installed.distribution, run.promises(), time.monotonic() - began)


class _Run:
    """The plugin of one run of pytest: gives it the URL and gathers what it reports."""

    def __init__(self, url: str, only: str, listener: Listener | None) -> None:
        self.prefix = f"~mobync-{uuid.uuid4().hex[:8]}"
        self.faults: list[str] = []
        self._url = url
        self._only = sentence(only.replace(" ", "_")).lower()
        self._listener = listener
        self._promises: dict[str, Promise] = {}

    def promises(self) -> list[Promise]:
        return list(self._promises.values())

    @pytest.fixture
    def verified_url(self) -> str:
        return self._url

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[RUN] = self.prefix

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.faults.append(str(report.longrepr))

    def pytest_internalerror(self, excrepr: object) -> None:
        self.faults.append(str(excrepr))

    def pytest_collection_modifyitems(self, items: list[pytest.Function]) -> None:
        items[:] = [item for item in items if self._only in sentence(item.originalname).lower()]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if self._listener is not None:
            self._listener.found(len(session.items))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> Generator[None, bool, bool]:
        promise = self._promise(item)
        promise.cases += 1
        if self._listener is not None:
            self._listener.begins(promise.text)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Function, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        promise = self._promise(item)
        promise.seconds += report.duration
        outcome = _OUTCOMES[report.outcome]
        if outcome == "broken" or (outcome == "kept" and call.when == "call" and promise.outcome != "broken"):
            promise.outcome = outcome
        if outcome != "kept" and call.excinfo is not None:
            promise.why.setdefault(_case(item), _message(call.excinfo))
        if call.when == "teardown" and self._listener is not None:
            self._listener.ended(promise.outcome)
        return report

    def _promise(self, item: pytest.Function) -> Promise:
        name = item.originalname
        if name not in self._promises:
            subject = next(base for base in item.cls.__mro__ if name in vars(base))
            self._promises[name] = Promise((subject.__doc__ or "").strip(" .\n"), sentence(name))
        return self._promises[name]


def sentence(name: str) -> str:
    """What the test `name` promises, in words."""
    return name.removeprefix("test_").replace("_", " ")


def _case(item: pytest.Function) -> str:
    return item.name.removeprefix(item.originalname).strip("[]")


def _message(raised: pytest.ExceptionInfo[BaseException]) -> str:
    error = raised.value
    if isinstance(error, AssertionError | pytest.skip.Exception | pytest.fail.Exception) and str(error):
        told = str(error).partition("\nassert ")[0]  # the suite's own words will do, where there are any
        told = told.removeprefix(f"assert {HEADLINE}\n  ").replace("\n  ", "\n") if HEADLINE in told else told
    else:
        at = raised.traceback[-1]
        told = f"{type(error).__name__}: {error}\n  in {at.name}, line {at.lineno + 1} of {at.path}"
    lines = [redact(line) for line in told.splitlines() if not _HINT.search(line)]
    return "\n".join(lines).strip()


@contextmanager
def _undisturbed() -> Iterator[Path]:
    """A directory for what pytest and Hypothesis leave, and none of the plugins of the place where we happen to run."""
    before = {name: os.environ.get(name) for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS")}
    with tempfile.TemporaryDirectory(prefix="mobync-verify-") as directory:
        from hypothesis.configuration import set_hypothesis_home_dir  # noqa: PLC0415

        set_hypothesis_home_dir(directory)
        (Path(directory) / "pytest.ini").write_text("[pytest]\n")
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.environ.pop("PYTEST_ADDOPTS", None)
        try:
            yield Path(directory)
        finally:
            set_hypothesis_home_dir(None)
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _erase(url: str, prefix: str) -> None:
    """Erase what an interrupted test left behind."""
    try:
        with closing(open_storage(url)) as storage:
            storage.setup()
            for owner in list(storage.owners(prefix=prefix)):
                storage.erase(owner)
    except Exception as error:  # noqa: BLE001 - an unfinished adapter raises anything
        logger.warning(
            "owners whose names begin with %s may be left: %s: %s", prefix, type(error).__name__, redact(str(error))
        )
