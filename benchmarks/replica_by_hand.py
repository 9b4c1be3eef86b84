"""What a developer would write by hand for one device: the reference that the replica is measured against.

It keeps the same rows as JSON in a plain table of SQLite, each edit in one transaction with its diff, and speaks the
same wire. It keeps no registers, knows no conflicts and no refusals, and hopes that no answer is lost.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from mobync_core.replica.transport import HTTPTransport


class ByHand:
    """A device with one model, ``todo``. `page` is how many records it fetches at once."""

    def __init__(self, store: str, server: str, token: str, *, page: int) -> None:
        self._store = sqlite3.connect(store, isolation_level=None)
        self._store.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE IF NOT EXISTS rows (model TEXT, id TEXT, json TEXT, PRIMARY KEY (model, id)) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS queue (number INTEGER PRIMARY KEY, diff TEXT);"
            "CREATE TABLE IF NOT EXISTS clock (clock INTEGER)"
        )
        self._transport = HTTPTransport(server)
        self._token = token
        self._page = page
        self._clock = 0
        self._made = 0

    def first_sync(self) -> int:
        records, more = 0, True
        while more:
            answer = self._post([], limit=self._page)
            with self._transaction():
                self._write(answer["diffs"])
                self._move(answer["logical_clock"])
            records += len(answer["diffs"])
            more = answer["has_more"]
        return records

    def edit(self, records: Sequence[str], title: str) -> None:
        execute = self._store.execute
        for record in records:
            self._made += 1
            diff = {
                "id": f"{id(self):x}-{self._made}",
                "owner": "",
                "logical_clock": self._clock,
                "utc_timestamp": time.time_ns() // 1_000_000,
                "type": "update",
                "model": "todo",
                "json_data": json.dumps({"id": record, "title": title}),
            }
            with self._transaction():
                (row,) = execute("SELECT json FROM rows WHERE model = 'todo' AND id = ?", (record,)).fetchone()
                changed = json.dumps({**json.loads(row), "title": title})
                execute("UPDATE rows SET json = ? WHERE model = 'todo' AND id = ?", (changed, record))
                execute("INSERT INTO queue (diff) VALUES (?)", (json.dumps(diff),))

    def push(self) -> int:
        diffs = [json.loads(diff) for (diff,) in self._store.execute("SELECT diff FROM queue ORDER BY number")]
        answer = self._post(diffs)
        with self._transaction():
            self._write(answer["diffs"])
            self._store.execute("DELETE FROM queue")
            self._move(answer["logical_clock"])
        assert answer["diffs"] == []
        return len(diffs)

    def count(self) -> int:
        (count,) = self._store.execute("SELECT count(*) FROM rows").fetchone()
        return int(count)

    def close(self) -> None:
        self._transport.close()
        self._store.close()

    def _post(self, diffs: Sequence[Any], **more: Any) -> dict[str, Any]:
        body = msgspec.json.encode({"logical_clock": self._clock, "diffs": diffs, "atomic": True, **more})
        reply = self._transport.post(body, self._token)
        assert reply.status == 200, reply.body
        answer: dict[str, Any] = msgspec.json.decode(reply.body)
        return answer

    def _write(self, diffs: Sequence[Any]) -> None:
        rows = [(diff["model"], json.loads(diff["json_data"])["id"], diff["json_data"]) for diff in diffs]
        self._store.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?)", rows)

    def _move(self, clock: int) -> None:
        self._clock = clock
        self._store.execute("DELETE FROM clock")
        self._store.execute("INSERT INTO clock VALUES (?)", (clock,))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._store.execute("BEGIN IMMEDIATE")
        yield
        self._store.execute("COMMIT")
