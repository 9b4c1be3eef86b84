"""Requests as a device sends them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str,
    body: bytes | dict[str, Any] | None = None,
    *,
    method: str = "POST",
    path: str = "/sync",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request, of which a dict is the JSON."""
    sent = json.dumps(body).encode() if isinstance(body, dict) else body
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def diff(kind: str = "create", *, id: str = "d1", record: str = "r1", **fields: Any) -> dict[str, Any]:
    """A diff of the model ``todo`` as it crosses the wire."""
    return {
        "id": id,
        "owner": "asdf",
        "logical_clock": 0,
        "utc_timestamp": 1604114123774,
        "type": kind,
        "model": "todo",
        "json_data": json.dumps({"id": record, **fields}),
    }


def request(*diffs: Any, base: Any = 0, token: str | None = "ann-secret", **more: Any) -> dict[str, Any]:
    """A request as the published client makes it."""
    return {"auth_token": token, "logical_clock": base, "diffs": list(diffs), **more}
