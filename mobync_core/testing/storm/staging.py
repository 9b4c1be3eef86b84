"""A server somewhere behind HTTP, on which a storm has nothing but tokens of owners that are thrown away."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from mobync_core.errors import MobyncError
from mobync_core.replica.errors import ServerUnreachable
from mobync_core.replica.transport import HTTPTransport, Reply
from mobync_core.storage import Snapshot
from mobync_core.testing.storm.server import Held

_STARTING = 60.0
"""How many seconds a server may take to answer again after it was started."""

OFF = ("refused", "restored-backup", "unnoticed-restore")
"""The faults that nobody can do to a server from outside."""


class NotThrowAway(MobyncError):
    """The server is not one to let a storm loose on, or an owner there is not one of a storm's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A staging server of one's own, at the URL of a storm.

    `token_of` returns the token of an owner, whose name begins with ``~mobync-storm-``. `is_own` says that the server
    may be stormed although it is not on this machine. At most `most_per_second` requests are made. `kill` and `start`
    are commands of the shell that end it, at once, and start it again, for the fault ``server-killed``.
    """

    token_of: Callable[[str], str]
    is_own: bool = False
    most_per_second: float = 200.0
    kill: str = ""
    start: str = ""


class Site:
    """The server at a URL. Raises `NotThrowAway` if it is another machine's, and nobody said that it may be stormed."""

    def __init__(self, url: str, staging: Staging) -> None:
        host = urlsplit(url).hostname or ""
        if not staging.is_own and not _is_loopback(host):
            raise NotThrowAway(
                f"{host} is not this machine: a storm writes, deletes and repeats without end. If the server is yours, "
                "and for that, say --i-own-this-server"
            )
        self._staging = staging
        self._transport = HTTPTransport(url)
        self._next = 0.0
        self._empty: set[str] = set()
        """The owners who had nothing before: whatever they have is the storm's."""

    def connect(self, owner: str) -> Behind:
        """Return an owner's side of the server. Raises `NotThrowAway` if there is anything of his."""
        behind = Behind(self, self._staging.token_of(owner))
        if behind.live():
            raise NotThrowAway(
                f"the owner of {owner} has records already: these tokens are not of owners to throw away"
            )
        self._empty.add(owner)
        return behind

    def erase(self, owner: str) -> None:
        """Delete what an owner has by the storm, as a device does."""
        if owner not in self._empty:
            return
        behind = Behind(self, self._staging.token_of(owner))
        for model, record in behind.live():
            behind.delete(model, record)

    def close(self) -> None:
        self._transport.close()

    def post(self, body: bytes, token: str) -> Reply:
        """Send a request when it is its turn."""
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self._staging.most_per_second
        return self._transport.post(body, token)

    def kill(self, body: bytes, token: str) -> None:
        """Send a request while the server is killed; start it again, and wait until it answers."""
        with subprocess.Popen(self._staging.kill, shell=True) as killing:
            with suppress(ServerUnreachable):
                self.post(body, token)
            killing.wait(_STARTING)
        # It goes on for longer than this process: it is the operator's.
        subprocess.run(f"{self._staging.start} &", shell=True, start_new_session=True, check=True)
        deadline = time.monotonic() + _STARTING
        while True:
            try:
                self.post(_pull(), token)
            except ServerUnreachable as error:
                if time.monotonic() > deadline:
                    raise NotThrowAway(
                        f"the server does not answer {_STARTING:.0f} s after it was started: {error}"
                    ) from None
                time.sleep(0.05)
            else:
                return


class Behind:
    """One owner on a `Site`: a `Server` of which nothing is known but what devices are told."""

    def __init__(self, site: Site, token: str) -> None:
        self._site = site
        self._token = token

    def post(self, body: bytes, token: str | None) -> Reply:  # noqa: ARG002 - the devices' is a placeholder
        return self._site.post(body, self._token)

    def kill(self, body: bytes) -> None:
        self._site.kill(body, self._token)

    def held(self) -> Held | None:
        return None

    def backup(self) -> Snapshot | None:
        return None

    def restore(self, backup: Snapshot, *, renewed: bool) -> None:
        raise NotImplementedError("nobody restores a backup from outside")

    def purge(self, before: int) -> None:
        """Do nothing: that is the operator's."""

    def live(self) -> list[tuple[str, str]]:
        """Return the model and the id of each live record."""
        answer = self._answer(_pull())
        return [
            (diff["model"], json.loads(diff["json_data"])["id"]) for diff in answer["diffs"] if diff["type"] == "create"
        ]

    def delete(self, model: str, record: str) -> None:
        diff = {
            "id": f"cleared-{time.monotonic_ns()}",
            "logical_clock": 0,
            "utc_timestamp": 2**53 - 1,
            "type": "delete",
            "model": model,
            "json_data": json.dumps({"id": record}),
        }
        base = self._answer(_pull())["logical_clock"]
        self._answer(json.dumps({"logical_clock": base, "diffs": [diff]}).encode())

    def _answer(self, body: bytes) -> dict[str, list[dict[str, str]]]:
        try:
            reply = self._site.post(body, self._token)
        except ServerUnreachable as error:
            raise NotThrowAway(f"there is no server to storm: {error}") from error
        if reply.status != 200:
            said = reply.body[:200].decode(errors="replace")
            raise NotThrowAway(f"the server answers {reply.status} to the token of a storm's owner: {said}")
        answer: dict[str, list[dict[str, str]]] = json.loads(reply.body)
        return answer


def _pull() -> bytes:
    return json.dumps({"logical_clock": 0, "diffs": [], "atomic": True}).encode()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
