"""Says what a server's settings would lose of what was committed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from redis.exceptions import ResponseError

from mobync_redis.servers import Server


def complaints(server: Server) -> list[str]:
    """What is wrong with the settings of any primary, each said once."""
    found = (complaint for call in server.primaries() for complaint in _of_one(call))
    return list(dict.fromkeys(found))


def _of_one(call: Any) -> Iterator[str]:
    try:
        settings = {
            _text(name): _text(value)
            for pattern in ("append*", "maxmemory*")
            for name, value in call("CONFIG GET", pattern).items()
        }
    except ResponseError as error:
        reason = str(error).partition(", ")[0]
        yield (
            f"whether the server keeps what was committed could not be checked ({reason}): "
            "it needs appendonly yes, appendfsync always and maxmemory-policy noeviction"
        )
        return
    if settings.get("appendonly") != "yes":
        yield "appendonly is no: a crash loses what was committed since the last snapshot, or all; set it to yes"
    elif settings.get("appendfsync") != "always":
        lost = "up to a second" if settings.get("appendfsync") == "everysec" else "up to half a minute"
        yield (
            f"appendfsync is {settings.get('appendfsync')}: if the machine fails, {lost} of what was committed is "
            "lost; set it to always"
        )
    policy = settings.get("maxmemory-policy", "")
    if settings.get("maxmemory", "0") != "0" and policy.startswith("allkeys"):
        yield f"maxmemory-policy is {policy}: a full server throws owners' data away; set it to noeviction"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
