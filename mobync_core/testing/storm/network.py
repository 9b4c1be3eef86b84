"""What lies between the devices and the server: it loses, repeats and delays, and checks what passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from mobync_core.diffs import ECHO
from mobync_core.replica.errors import ServerUnreachable
from mobync_core.replica.transport import Reply
from mobync_core.testing.storm import checks
from mobync_core.testing.storm.checks import Violation
from mobync_core.testing.storm.history import AnyStep, Request
from mobync_core.testing.storm.installation import Installation
from mobync_core.testing.storm.ledger import Ledger
from mobync_core.testing.storm.server import Server
from mobync_core.testing.storm.timeline import Timeline

_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Flight:
    """A request that arrives when the step `due` is done."""

    due: int
    device: Installation
    body: bytes
    token: str | None


class Network:
    """Carries requests to `server`, each with what befalls it.

    `moment` is the number of the request that was last served, and `held` what the server had after it. `overlap` does
    steps while a request is under way. `orderly` histories are also checked for edits that are undone.
    """

    def __init__(
        self,
        server: Server,
        ledger: Ledger,
        befallen: Counter[str],
        timeline: Timeline,
        overlap: Callable[[Sequence[AnyStep]], None],
        *,
        orderly: bool,
    ) -> None:
        self.held = server.held()
        self.moment = 0
        self.step = 0
        self.flights: list[Flight] = []
        self.generation = 0
        """How many backups were restored."""

        self._server = server
        self._ledger = ledger
        self._befallen = befallen
        self._timeline = timeline
        self._overlap = overlap
        self._orderly = orderly
        self._told: dict[tuple[int, str, int], str] = {}

    def exchange(self, device: Installation, body: bytes, token: str | None, request: Request) -> Reply:
        """Carry a request of a device. Raises `ServerUnreachable` if no answer comes."""
        device.applied()
        if request.during and not request.after:
            self._do_during(device, request)
        fault = request.fault
        if fault:
            self._befallen[fault] += 1
        if fault == "lost-request":
            self._timeline.say("  the request is lost")
            raise ServerUnreachable("the request is lost")
        flight = Flight(self.step + request.late, device, body, token)
        if fault == "delay":
            self._timeline.say("  the request is late")
            self.flights.append(flight)
            raise ServerUnreachable("the request is late")
        if fault == "server-killed":
            self._timeline.say("  the server is killed")
            self.moment += 1
            self._ledger.arrive(self.moment, *_sent(_decode(body)["diffs"]))  # it may have
            self._server.kill(body)
            raise ServerUnreachable("the server was killed")
        reply = self._serve(flight)
        moment = self.moment
        if fault == "duplicate" and request.late:
            self.flights.append(flight)
        elif fault == "duplicate":
            self._serve_again(flight, reply)
        if request.during and request.after:
            self._do_during(device, request)
        if fault == "lost-answer":
            self._timeline.say("  the answer is lost")
            raise ServerUnreachable("the answer is lost")
        if reply.status == 200 and not is_cut(reply.body):
            device.told = moment
        return reply

    def land(self, step: int | None = None) -> None:
        """Let requests arrive that were late: those that are due at this step, or all."""
        if step is not None:
            self.step = step
        due = [flight for flight in self.flights if step is None or flight.due <= step]
        if due:
            self.flights = [flight for flight in self.flights if flight not in due]
            for flight in due:
                self._timeline.say(f"a request of {flight.device.name} arrives late")
                self._serve(flight)

    def _do_during(self, device: Installation, request: Request) -> None:
        self._befallen["sync-overlap"] += 1
        self._timeline.say(
            f"  while {'the answer to' if request.after else 'the request of'} {device.name} is under way:"
        )
        self._overlap(request.during)
        self._timeline.say(f"  and {device.name} goes on:")

    def _serve(self, flight: Flight) -> Reply:
        self.moment += 1
        request = _decode(flight.body)
        before = self.held
        reply = self._server.post(flight.body, flight.token)
        answer = _decode(reply.body)
        if self._timeline.is_heard:
            self._timeline.say(_told(flight.device, request, reply, answer))
        self.held = after = self._server.held()
        if reply.status != 200:
            if after != before:
                raise Violation("a request that is refused changes nothing", f"{reply.status} {answer}")
            return reply
        checks.check_answer(answer)
        checks.check_names(answer, self._told, self.generation)
        diffs = request["diffs"]
        self._ledger.arrive(self.moment, *_sent(diffs))
        if self._orderly and before is not None and after is not None:
            checks.check_served(before, after, diffs, self._ledger)
        return reply

    def _serve_again(self, flight: Flight, reply: Reply) -> None:
        held = self.held
        again = self._serve(flight)
        promise = "a request that is sent again changes nothing"
        if self.held != held:
            raise Violation(promise, "the server holds something else than before")
        first, second = _decode(reply.body), _decode(again.body)
        # A page may be cut elsewhere, after records moved behind it.
        if reply.status == 200 and not (first.get("has_more") or second.get("has_more")):
            for key in ("logical_clock", "diffs"):
                if first[key] != second[key]:
                    raise Violation(promise, f"{key} is {second[key]}, and was {first[key]}")


def is_cut(body: bytes) -> bool:
    """Say whether an answer says that there is more."""
    return _decode(body).get("has_more", False) is True


def _sent(diffs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the values that are sent, and of each delete the diff's id and the record."""
    values: list[str] = []
    deletes: list[tuple[str, str]] = []
    for diff in diffs:
        if diff["id"].startswith(ECHO):
            continue
        if diff["type"] == "delete":
            deletes.append((diff["id"], _decode(diff["json_data"])["id"]))
        else:
            values += [value for name, value in _decode(diff["json_data"]).items() if name != "id"]
    return values, deletes


def _told(device: Installation, request: Mapping[str, Any], reply: Reply, answer: Mapping[str, Any]) -> str:
    sent = ", ".join(map(_short, request["diffs"])) or "nothing"
    asked = f"  {device.name} at {request['logical_clock']} sends {sent}"
    if reply.status != 200:
        return f"{asked}; {reply.status} {answer.get('code')}"
    told = ", ".join(map(_short, answer["diffs"])) or "nothing"
    more = ", and there is more" if answer.get("has_more") else ""
    return f"{asked}; is told {told} until {answer['logical_clock']}{more}"


def _short(diff: Mapping[str, Any]) -> str:
    data = _decode(diff["json_data"])
    record = data.pop("id")
    return f"{diff['type']} {record}" + "".join(f" {name}={value}" for name, value in data.items())
