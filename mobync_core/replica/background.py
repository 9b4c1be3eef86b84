"""Synchronizing in a thread: after local changes, on a timer, and as soon as a lost connection is there again."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

from mobync_core.replica.errors import ServerRefused, ServerUnreachable

logger = logging.getLogger("mobync")

State: TypeAlias = Literal["waiting", "syncing", "retrying", "halted", "stopped"]
"""What a `Background` does.

``waiting`` for a change or its timer; ``syncing``; ``retrying``, after a failure that may pass; ``halted``, after one
that will not pass by itself; ``stopped``.
"""

_QUIET, _LONGEST_QUIET = 0.3, 2.0
"""A change is sent once no other came for so many seconds; but no later than so many after the first."""

_FIRST_PAUSE = 1.0  # seconds
_UNREACHABLE, _REFUSED = 15.0, 300.0
"""The longest pauses in s: it costs nobody much to look for a connection, but a server in trouble wants rest."""

_LONGEST_ASKED = 3600.0
"""The longest pause in s that a server's Retry-After is believed."""

_TRANSIENT = (408, 425, 429)
"""The statuses of 4xx that waiting mends: the server was waited for too long, it was too early, or too much."""

_GRACE = 1.0
"""Seconds that `stop` waits for a sync under way: one whose server hangs would take until its time-out."""


class Background:
    """Calls `synchronize` from a thread of its own, which runs from the start until `stop`.

    It is called at once; shortly after `changed`; at `wake`; and `interval` seconds after it was last done. Where it
    raises, it is called again after a pause that is taken at random from a range that doubles with each failure:

    - `ServerUnreachable`: at most 15 s, so that a connection that returns is noticed;
    - `ServerRefused` with a status that says that the request is at fault (4xx; `NotAuthenticated` and `WrongOwner` are
      two): not before `wake` or `changed`, as the same request would meet the same answer;
    - anything else: at most 5 minutes. Where the server said how long to wait, that long first, whoever calls `wake`.

    What `synchronize` raises beside the errors of a sync goes to the log ``mobync`` with its traceback, and ends
    nothing.
    """

    def __init__(self, synchronize: Callable[[], object], *, interval: float = 60.0) -> None:
        if not interval > 0:
            raise ValueError(f"interval must be a number of seconds above 0, not {interval}")
        self._synchronize = synchronize
        self._interval = interval
        self._condition = threading.Condition()  # held for moments, never while `synchronize` runs
        self._stopping = False
        self._woken = False
        self._changes: tuple[float, float] | None = None  # when the first and the last came since the last sync began
        self._state: State = "waiting"
        self._failure: type[Exception] | None = None  # None: the last call went well
        self._failures = 0  # of this kind, in a row
        self._due = 0.0
        self._least = 0.0  # the server asked not to be called before
        self._retry = 0.0  # a change brings no call before
        self._thread = threading.Thread(target=self._run, name="mobync-replica", daemon=True)
        self._thread.start()

    @property
    def state(self) -> State:
        """What it does now."""
        return "stopped" if self._stopping else self._state

    def changed(self) -> None:
        """Say that there is something to send."""
        now = time.monotonic()
        with self._condition:
            self._changes = (self._changes[0] if self._changes else now, now)
            self._condition.notify()

    def wake(self) -> None:
        """Ask for a sync now: the connection is there again, the user logged in anew, or wants to see what is new."""
        with self._condition:
            self._woken = True
            self._condition.notify()

    def stop(self) -> None:
        """End the thread. A sync under way has a second to end; one that takes longer is left to end by itself."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(_GRACE)

    def _run(self) -> None:
        try:
            while self._wait():
                self._attempt()
        except BaseException:  # SystemExit by a callback, say: a thread ends of that without a word
            logger.critical("the replica's background ended, and nothing syncs any more", exc_info=True)
            self._stopping = True
            raise

    def _wait(self) -> bool:
        """Wait until a sync is due. Return False when stopped."""
        with self._condition:
            while not self._stopping:
                left = self._when() - time.monotonic()
                if left <= 0:
                    self._woken, self._changes = False, None
                    self._state = "syncing"
                    return True
                self._condition.wait(min(left, threading.TIMEOUT_MAX))
            return False

    def _when(self) -> float:
        due = self._due
        if self._woken:
            due = 0.0
        elif self._changes:
            first, last = self._changes
            due = min(due, max(self._retry, min(first + _LONGEST_QUIET, last + _QUIET)))
        return max(due, self._least)

    def _attempt(self) -> None:
        try:
            self._synchronize()
        except Exception as error:  # noqa: BLE001 - `_failed` logs it
            if self._stopping:
                logger.debug("a sync ended after the background was stopped: %s", error)
            else:
                self._failed(error)
        else:
            if self._failure is not None:
                logger.info("the replica syncs again")
            self._failure, self._failures = None, 0
            self._due, self._least, self._retry = time.monotonic() + self._interval, 0.0, 0.0
            self._state = "waiting"

    def _failed(self, error: Exception) -> None:
        again = type(error) is self._failure
        self._failures = self._failures + 1 if again else 1
        self._failure = type(error)
        longest = _UNREACHABLE if isinstance(error, ServerUnreachable) else _REFUSED
        pause = random.uniform(0, min(longest, _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 30)))
        now = time.monotonic()
        asked = error.retry_after if isinstance(error, ServerRefused) else None
        self._least = now + min(asked, _LONGEST_ASKED) if asked else 0.0
        self._retry = max(now, self._least) + pause
        halted = isinstance(error, ServerRefused) and 400 <= error.status < 500 and error.status not in _TRANSIENT
        self._due = math.inf if halted else self._retry
        self._state = "halted" if halted else "retrying"
        if not isinstance(error, ServerRefused | ServerUnreachable):
            logger.error("a sync of the replica failed; another follows", exc_info=error)
        elif halted:
            logger.warning("the replica does not sync until something changes here or wake() is called: %s", error)
        else:
            logger.log(logging.DEBUG if again else logging.WARNING, "the replica cannot sync, and tries on: %s", error)
