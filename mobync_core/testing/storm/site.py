"""A server somewhere behind HTTP, on which a storm has nothing but tokens of owners that are thrown away."""

from __future__ import annotations

import json
import logging
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from random import Random
from typing import Any
from urllib.parse import urlsplit

from mobync_core.replica.errors import ServerUnreachable
from mobync_core.replica.transport import HTTPTransport, Reply
from mobync_core.storage import Snapshot
from mobync_core.testing.storm.server import Held
from mobync_core.testing.storm.staging import NotThrowAway, Staging

logger = logging.getLogger("mobync")

_STARTING = 60.0
"""How many seconds a server may take to answer again after it was started, and a command to kill it."""

_LATE = 1.0
"""After so many seconds a request has been done that nobody waits for."""


class Site:
    """The server at a URL.

    Raises `NotThrowAway` if the URL cannot be used, or is another machine's, and nobody said that it may be stormed.
    """

    def __init__(self, url: str, staging: Staging) -> None:
        try:
            self._transport = HTTPTransport(url)
        except ValueError as error:
            raise NotThrowAway(str(error)) from None
        host = urlsplit(url).hostname or ""
        if not staging.is_own and not _is_loopback(host):
            raise NotThrowAway(
                f"{host} is not this machine: a storm writes, deletes and repeats without end. If the server is yours, "
                "and for that, say --i-own-this-server"
            )
        self._staging = staging
        self._next = 0.0
        self._random = Random(1)
        self._killing = 0.0  # how many seconds that takes
        self._is_under_way = False
        """Whether the last request was given up, and the server may still do what it says."""

        self._owners: dict[str, Behind] = {}
        """Those who had nothing before: whatever they have is the storm's."""

    def connect(self, owner: str) -> Behind:
        """Return an owner's side of the server. Raises `NotThrowAway` if there is, or ever was, anything of his."""
        try:
            token = self._staging.token_of(owner)
        except Exception as error:  # it may raise anything, and is no fault of the server
            raise NotThrowAway(f"there is no token for {owner}: {error}") from error
        behind = Behind(self, token)
        behind.check_unused(owner)
        self._owners[owner] = behind
        return behind

    def erase(self, owner: str) -> None:
        """Delete what an owner has by the storm, as a device does. It is logged if that cannot be done."""
        behind = self._owners.pop(owner, None)
        if behind is None:
            return
        try:
            self._clear(owner, behind)
        except KeyboardInterrupt:
            self._clear(owner, behind)
            raise

    def close(self) -> None:
        self._transport.close()

    def post(self, body: bytes, token: str) -> Reply:
        """Send a request when it is its turn."""
        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1 / self._staging.most_per_second
        self._is_under_way = True
        reply = self._transport.post(body, token)
        self._is_under_way = False
        return reply

    def _clear(self, owner: str, behind: Behind) -> None:
        if self._is_under_way:
            time.sleep(_LATE)
        try:
            left = behind.delete_all()
        except NotThrowAway as error:
            logger.warning("records of the owner %s may be left: %s", owner, error)
        else:
            if left:
                logger.warning("the server does not delete %d records of the owner %s", left, owner)

    def kill(self, body: bytes, token: str) -> None:
        """Send a request while the server is killed; start it again, and wait until it answers.

        Raises `NotThrowAway` if it is not killed, or does not answer again.
        """
        began = time.monotonic()
        try:
            with subprocess.Popen(self._staging.kill, shell=True, stdout=subprocess.DEVNULL) as killing:
                # So that it is killed before, while and after it does what is asked.
                time.sleep(self._random.random() * self._killing)
                with suppress(ServerUnreachable):
                    self.post(body, token)
                try:
                    ended = killing.wait(_STARTING)
                except subprocess.TimeoutExpired:
                    killing.kill()
                    ended = None
            self._killing = time.monotonic() - began
        finally:
            # It goes on for longer than this process: it is the operator's.
            subprocess.run(
                f"( {self._staging.start} ) &",
                shell=True,
                start_new_session=True,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        if ended != 0:
            how = f"did not end within {_STARTING:.0f} s" if ended is None else f"ended with {ended}"
            raise NotThrowAway(f"the command that kills the server {how}")
        self._wait(token)

    def _wait(self, token: str) -> None:
        deadline = time.monotonic() + _STARTING
        while True:
            try:
                reply = self.post(_request(0), token)
            except ServerUnreachable as error:
                said = str(error)
            else:
                if reply.status == 200:  # a proxy before it may say something else for a while
                    return
                said = f"it says {reply.status}"
            if time.monotonic() > deadline:
                raise NotThrowAway(f"the server does not answer {_STARTING:.0f} s after it was started: {said}")
            time.sleep(0.05)


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

    def check_unused(self, owner: str) -> None:
        """Raise `NotThrowAway` if the owner has records, or had: what was deleted leaves something behind."""
        answer = self._ask(_request(0))
        if _live(answer):
            raise NotThrowAway(
                f"the owner of {owner} has records already: these tokens are not of owners to throw away"
            )
        if answer["logical_clock"] > 0:
            raise NotThrowAway(
                f"the owner of {owner} had records once: a storm needs the token of a new owner for each history"
            )

    def delete_all(self) -> int:
        """Delete all records, and return how many are there still. Raises `NotThrowAway` if there is no good answer."""
        answer = self._ask(_request(0))
        diffs = [
            {
                "id": f"cleared-{uuid.uuid4()}",
                "logical_clock": answer["logical_clock"],
                "utc_timestamp": time.time_ns() // 1_000_000,
                "type": "delete",
                "model": model,
                "json_data": json.dumps({"id": record}),
            }
            for model, record in _live(answer)
        ]
        if not diffs:
            return 0
        self._ask(_request(answer["logical_clock"], diffs))
        return len(_live(self._ask(_request(0))))

    def _ask(self, body: bytes) -> dict[str, Any]:
        try:
            reply = self._site.post(body, self._token)
        except ServerUnreachable as error:
            raise NotThrowAway(f"there is no server to storm: {error}") from error
        except ValueError as error:
            raise NotThrowAway(str(error)) from None
        said = reply.body[:200].decode(errors="replace")
        if reply.status != 200:
            raise NotThrowAway(f"the server answers {reply.status} to the token of a storm's owner: {said}")
        try:
            answer = json.loads(reply.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not {"logical_clock", "diffs"} <= answer.keys():
            raise NotThrowAway(f"what answers there is no Mobync server: it says {said!r}")
        return answer


def _request(base: int, diffs: Sequence[Mapping[str, Any]] = ()) -> bytes:
    return json.dumps({"logical_clock": base, "diffs": diffs, "atomic": True}).encode()


def _live(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the model and the id of each live record, of an answer to the base 0."""
    return [
        (diff["model"], json.loads(diff["json_data"])["id"]) for diff in answer["diffs"] if diff["type"] == "create"
    ]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
