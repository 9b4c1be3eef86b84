"""Reads what the server answered, and tells what it refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, Struct

from mobync_core.limits import TIMESTAMP_MAX
from mobync_core.replica.errors import NotAuthenticated, ServerRefused, WrongOwner
from mobync_core.replica.rows import Told
from mobync_core.replica.transport import Reply
from mobync_core.wire import Clock, Diff, Outcome


class Answer(Struct, frozen=True):
    """An answer, read: what was told is in the order to apply it. `outcomes` are empty if the server tells none.

    `epoch` and `owner` are None where the server did not say.
    """

    clock: int
    told: Sequence[Told]
    has_more: bool
    page: str | None
    outcomes: Sequence[Outcome]
    epoch: str | None
    owner: str | None


class _Answer(Struct, frozen=True):
    logical_clock: Clock
    diffs: list[Diff]
    success: bool = True
    message: str = ""
    code: str = ""
    has_more: bool = False
    page: str | None = None
    outcomes: list[Outcome] | None = None
    epoch: str | None = None
    owner: str | None = None


class _Failure(Struct, frozen=True):
    code: str = ""
    message: str = ""


_decode = msgspec.json.Decoder(_Answer).decode
_decode_failure = msgspec.json.Decoder(_Failure).decode
_decode_data = msgspec.json.Decoder(dict[str, Any]).decode
_UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError, ValueError)


def read_answer(reply: Reply, base: int) -> Answer:
    """Read what the server answered to a request of this base.

    Raises `ServerRefused`, or the one of its kinds that fits, if it is an error, or nothing that a Mobync server says.
    """
    if reply.status != 200:
        _refuse(reply)
    try:
        answer = _decode(reply.body)
        in_order = sorted(answer.diffs, key=lambda diff: (diff.logical_clock, diff.utc_timestamp))
        told = [_told(diff, says_lives=answer.owner is not None) for diff in in_order]
    except _UNREADABLE as error:
        if (failure := _failure(reply)).code:
            raise ServerRefused(200, failure.code, failure.message) from None
        raise _no_answer(f"it is not the JSON of one: {error}") from None
    if not answer.success:
        raise ServerRefused(200, answer.code, answer.message or "it says that it failed")
    if answer.logical_clock < base:
        raise _no_answer(f"its clock {answer.logical_clock} lies before the base {base}")
    if answer.has_more and answer.logical_clock == base:
        raise _no_answer("there is said to be more, but no clock to go on from")
    return Answer(
        answer.logical_clock,
        told,
        answer.has_more,
        answer.page,
        answer.outcomes or (),
        answer.epoch,
        answer.owner,
    )


def _refuse(reply: Reply) -> NoReturn:
    failure = _failure(reply)
    message = failure.message or "it gave no reason"
    if 300 <= reply.status < 400:
        message = "it says that it has moved; give its new URL, as a redirect of a POST is not followed"
    kind = ServerRefused
    if reply.status == 401:
        kind = NotAuthenticated
    elif failure.code == "wrong_owner":
        kind = WrongOwner
    raise kind(reply.status, failure.code, message, reply.retry_after)


def _failure(reply: Reply) -> _Failure:
    try:
        return _decode_failure(reply.body)
    except _UNREADABLE:
        return _Failure()  # a proxy's page, say


def _no_answer(why: str) -> ServerRefused:
    return ServerRefused(200, "", f"what it answered is no answer of a Mobync server: {why}")


def _told(diff: Diff, *, says_lives: bool) -> Told:
    fields = _decode_data(diff.json_data)
    record = fields.pop("id", None)
    if type(record) is not str or not record or not diff.model:
        raise ValueError(f"the diff {diff.id!r} names no record")
    stamps = {} if diff.stamps is UNSET else diff.stamps
    stamp = min(max(diff.utc_timestamp, 0), TIMESTAMP_MAX)
    life = int(says_lives and diff.type != "delete") if diff.life is UNSET else diff.life
    return Told((diff.model, record), diff.type, fields, stamp, stamps, life)
