"""How a storm is let loose on a server over HTTP: one's own staging server, with owners that are thrown away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mobync_core.errors import MobyncError

OFF = ("away", "refused", "restored-backup", "unnoticed-restore")
"""The faults that nobody can do to a server from outside."""


class NotThrowAway(MobyncError):
    """The server is not one to let a storm loose on, or an owner there is not one of a storm's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A staging server of one's own, at the URL of a storm.

    `token_of` returns the token of an owner, whose name begins with ``~mobync-storm-``. `is_own` says that the server
    may be stormed although it is not on this machine. At most `most_per_second` requests are made. `kill` and `start`
    are commands of the shell that end it, at once, and start it again, for the fault ``server-killed``; what they print
    is thrown away, but for errors of the first.
    """

    token_of: Callable[[str], str]
    is_own: bool = False
    most_per_second: float = 200.0
    kill: str = ""
    start: str = ""
