"""What the devices of a storm have in common, whichever client runs on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from mobync_core.replica.transport import Reply
from mobync_core.testing.storm import history
from mobync_core.testing.storm.ledger import Edit

MODEL = "todo"
TOKEN = "token"
REFUSED = "no-"
"""How the id of a diff begins that the application's rules refuse."""

PASSES = history.Request()
"""A request that nothing befalls."""


class Stranded(Exception):
    """The server has told a published client what it does not understand: its user must begin anew."""


class Installation:
    """What a storm knows of one device, until its store is lost.

    `known` is the moment until which it was told everything; `complete_since` the one of its last whole list, before
    which it remembers no deletes.
    """

    def __init__(
        self, spec: history.Device, number: int, name: str, time: Callable[[], int], exchange: Exchange
    ) -> None:
        self.spec = spec
        self.number = number
        self.name = name
        self.offset = spec.offset
        self.known = 0
        self.complete_since = 0
        self.is_stranded = False
        """It has seen what the server has lost, and nothing has told it yet."""

        self.is_partial = False
        """It was killed in the middle of an answer, or between the pages of a list."""

        self.tainted: dict[str, Edit] = {}
        """By record, its last edit of one of which it has changed something that will be refused."""

        self.creates: dict[str, Edit] = {}
        """What it has created, and has yet to hear what became of."""

        self.last_edit: int | None = None
        """When it made its last edit, by its own clock."""

        self.busy: set[int] = set()
        """The processes that are in the middle of a sync."""

        self.told: int | None = None
        """The moment of an answer that it has been given, and may have applied."""

        self.refuses = False
        self.last_id = ""
        self._time = time
        self._exchange = exchange
        self._ids = 0
        self._luck = 0

    def now(self) -> int:
        """The device's own time, in ms."""
        return max(0, self._time() + self.offset)

    def new_id(self) -> str:
        """An id for a diff. That luck comes first lets ids sort otherwise than they were made."""
        self._ids += 1
        prefix = REFUSED if self.refuses else ""
        self.last_id = f"{prefix}{self._luck & 0xFFFF:04x}-{self.number}-{self._ids}"
        return self.last_id

    @contextmanager
    def acting(self, act: history.Act, *, refused: bool = False) -> Iterator[None]:
        """Do something with the luck of a step."""
        luck, self._luck, self.refuses = self._luck, act.luck, refused
        try:
            yield
        finally:
            self._luck, self.refuses = luck, False

    def applied(self) -> None:
        """What it was told before it has applied by now."""
        if self.told is not None:
            self.known, self.told = max(self.known, self.told), None

    @property
    def may_edit(self) -> bool:
        """Whether its user may edit now."""
        return True

    @property
    def would_ask(self) -> bool:
        """Whether it would learn from the server that this lost what lies before its base."""
        return False

    def survives(self, process: int, crash: int | None, act: Callable[[int], None]) -> bool:
        """Do something in a process, and say whether it was not killed while it did that, before its n-th write."""
        raise NotImplementedError

    @property
    def base(self) -> int:
        raise NotImplementedError

    @property
    def pending(self) -> int:
        raise NotImplementedError

    def rows(self) -> dict[str, dict[str, str]]:
        raise NotImplementedError

    def row(self, record: str) -> dict[str, str] | None:
        raise NotImplementedError

    def told_row(self, record: str) -> dict[str, str] | None:
        """What it was told of a record, behind what it may show of its own edits."""
        return self.row(record)

    def write(self, process: int, record: str, values: Mapping[str, str], *, create: bool) -> None:
        raise NotImplementedError

    def delete(self, process: int, record: str) -> None:
        raise NotImplementedError

    def sync(self, process: int, requests: Sequence[history.Request], crash: int | None) -> bool:
        """Sync, and say whether it was done to the end. Raises `Stranded`, and whatever nobody foresaw."""
        raise NotImplementedError


Exchange: TypeAlias = Callable[[Installation, bytes, str | None, history.Request], Reply]
"""Carries a request of an installation to the server, with what befalls it. Raises `ServerUnreachable`."""
