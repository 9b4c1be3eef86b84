"""Runs histories on a storage, one or thousands, and says what became of them."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from mobync_core.plugins import installed_for, open_storage
from mobync_core.storage import Storage
from mobync_core.testing.storm.checks import Violation
from mobync_core.testing.storm.faults import UnknownFault, rates_of
from mobync_core.testing.storm.generation import generate
from mobync_core.testing.storm.history import Delete, History, Write, all_steps, from_data
from mobync_core.testing.storm.server import InProcess, Server
from mobync_core.testing.storm.shrinking import shrink
from mobync_core.testing.storm.site import Site
from mobync_core.testing.storm.staging import OFF, NotThrowAway, Staging
from mobync_core.testing.storm.world import World
from mobync_core.urls import redact

logger = logging.getLogger("mobync")

PREFIX = "~mobync-storm-"
"""How the names of the owners begin on which a storm works, and which it erases."""


@dataclass(frozen=True)
class Failure:
    """A history that showed a fault, shrunk: `steps` it had before. `timeline` tells what happens in it."""

    seed: int
    promise: str
    why: str
    steps: int
    history: History
    timeline: list[str]


@dataclass
class Report:
    """What a storm found at `url`, which is written without its password.

    The first history was made from `seed`, each further one from the next number. `befallen` counts the faults that
    really happened.
    """

    url: str
    adapter: str
    seed: int
    histories: int = 0
    seconds: float = 0.0
    befallen: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether all went well, and anything was tried."""
        return self.histories > 0 and not self.failures

    @property
    def per_minute(self) -> float:
        return self.histories / self.seconds * 60 if self.seconds else 0.0


def storm(
    url: str,
    *,
    seed: int,
    staging: Staging | None = None,
    histories: int | None = None,
    seconds: float | None = None,
    rates: Mapping[str, float] | None = None,
    most_failures: int = 1,
    progress: Callable[[Report], None] | None = None,
) -> Report:
    """Run random histories on the storage at `url`, until there were so many, or so much time went by.

    If `url` is that of a server, over HTTP, `staging` says how it is to be dealt with.

    `rates` are those of faults that are to befall at another rate than their own. It ends earlier with the last of
    `most_failures`. `progress` is called after each history. It works on owners of its own, which it erases.

    Raises `UnknownFault`, and what `open_storage` and `setup` raise if the storage cannot be opened at all, or
    `NotThrowAway` if the server is not to be stormed.
    """
    if histories is None and seconds is None:
        raise TypeError("say when it is to end: after so many histories, or after so many seconds")
    chosen = rates_of(rates)
    if staging is not None:
        if asked := [name for name in OFF if (rates or {}).get(name)]:
            raise UnknownFault(
                f"{' and '.join(asked)} cannot be done to a server over HTTP: it is the operator's doing"
            )
        chosen |= dict.fromkeys(OFF, 0.0)
    elif chosen["server-killed"]:
        raise UnknownFault("server-killed is for a server, over HTTP: one of this process dies with it")
    report = Report(redact(url), "HTTP" if staging is not None else installed_for(url).adapter.name, seed)
    began = time.monotonic()
    with _opened(url, staging) as place:
        for number in count() if histories is None else range(histories):
            if seconds is not None and time.monotonic() - began >= seconds:
                break
            history = generate(seed + number, chosen, list(rates or ()))
            failed = place.failure_of(history, report.befallen)
            report.histories += 1
            report.seconds = time.monotonic() - began
            if failed is not None:
                report.failures.append(place.shrunk(history, failed))
            if progress is not None:
                progress(report)
            if len(report.failures) >= most_failures:
                break
    return report


def replay(history: History | Mapping[str, Any], url: str = "memory://", *, staging: Staging | None = None) -> None:
    """Run one history, or what `as_data` made of one, on the storage at `url`, or on a server as `storm` does.

    Raises `Violation` if something that is promised does not hold, or whatever a device or the server raises.
    """
    with _opened(url, staging) as place:
        place.run(history if isinstance(history, History) else from_data(history))


def timeline(history: History, url: str = "memory://") -> list[str]:
    """Tell in words what happens in a history, until its end or what goes wrong."""
    with _opened(url) as place:
        return place.timeline(history)


@contextmanager
def _opened(url: str, staging: Staging | None = None) -> Iterator[_Place]:
    prefix = f"{PREFIX}{uuid.uuid4().hex[:8]}/"
    if staging is not None:
        with closing(Site(url, staging)) as site:
            yield _Place(lambda owner, _now, _refusing: site.connect(owner), site.erase, prefix)
        return
    with closing(open_storage(url)) as storage:
        storage.setup()
        try:
            yield _Place(partial(_in_process, storage), storage.erase, prefix)
        finally:
            _erase(storage, prefix)


def _erase(storage: Storage, prefix: str) -> None:
    """Erase what an interrupted history left behind."""
    try:
        for owner in list(storage.owners(prefix=prefix)):
            storage.erase(owner)
    except Exception as error:  # noqa: BLE001 - an unfinished adapter raises anything
        logger.warning(
            "owners whose names begin with %s may be left: %s: %s", prefix, type(error).__name__, redact(str(error))
        )


def _in_process(storage: Storage, owner: str, now: Callable[[], int], refusing: bool) -> Server:
    return InProcess(storage, owner, now, refusing=refusing)


class _Place:
    """A server, and owners on it: one for each history.

    `connect` returns an owner's side of it, `erase` removes what he has.
    """

    def __init__(
        self,
        connect: Callable[[str, Callable[[], int], bool], Server],
        erase: Callable[[str], None],
        prefix: str,
    ) -> None:
        self._connect = connect
        self._erase = erase
        self._owners = (f"{prefix}{number}" for number in count())

    def run(
        self, history: History, befallen: Counter[str] | None = None, listener: Callable[[str], None] | None = None
    ) -> None:
        owner = next(self._owners)
        refusing = any(isinstance(step, Write | Delete) and step.refused for step in all_steps(history.steps))
        try:
            World(history, lambda now: self._connect(owner, now, refusing), befallen, listener).run()
        finally:
            self._erase(owner)

    def failure_of(self, history: History, befallen: Counter[str] | None = None) -> tuple[str, str] | None:
        """Run a history. Return what was broken, and how; None if nothing was."""
        try:
            self.run(history, befallen)
        except Violation as violation:
            return violation.promise, violation.why
        except NotThrowAway:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the storm is looking for
            return f"nothing raises {type(error).__name__}", redact(str(error))
        return None

    def shrunk(self, history: History, failed: tuple[str, str]) -> Failure:
        def fails(candidate: History) -> bool:
            found = self.failure_of(candidate)
            return found is not None and found[0] == failed[0]

        small = shrink(history, fails)
        promise, why = self.failure_of(small) or failed
        return Failure(history.seed, promise, why, len(history.steps), small, self.timeline(small))

    def timeline(self, history: History) -> list[str]:
        told: list[str] = []
        try:
            self.run(history, listener=told.append)
        except Exception as error:  # noqa: BLE001 - as above
            told.append(f"{'' if isinstance(error, Violation) else f'{type(error).__name__}: '}{redact(str(error))}")
        return told
