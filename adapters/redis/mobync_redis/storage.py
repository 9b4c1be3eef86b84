"""The storage itself: five keys an owner, and one script a call."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from redis import Redis
from redis.cluster import RedisCluster
from redis.exceptions import NoScriptError, ResponseError

from mobync_core.checks import check_commit
from mobync_core.errors import ConflictError, SchemaError, StorageClosed, StorageError
from mobync_core.storage import Commit, Key, Note, Record, Snapshot
from mobync_redis import keys as layout
from mobync_redis import scripts
from mobync_redis.durability import complaints
from mobync_redis.faults import ERRORS, fault
from mobync_redis.scripts import Script
from mobync_redis.servers import Server, name_of, server_of

logger = logging.getLogger("mobync")

PREFIX = "mobync"
"""What the names of all keys begin with, unless told otherwise."""

Word = bytes | int | str

# What is read at once when a caller goes through all of something: a note may be large, an owner's name is not.
_NOTES_PAGE = 100
_OWNERS_PAGE = 1000

# Servers before Redis 7 take 1,048,576 words of a command, and close the connection at one more.
_MOST_WORDS = 1_000_000


class RedisStorage:
    """A storage in Redis or Valkey; see `mobync_core.storage.Storage` for its calls.

    `client` is a `redis.Redis`, also one that Sentinel gave, or a `redis.cluster.RedisCluster`, whatever it decodes;
    `ValueError` says so of another. Its time-outs stay, its retries are not used. `close` leaves it open unless
    `owns_client`. `prefix` begins the names of all keys. Threads may share the storage, and a process may fork after
    making it.
    """

    def __init__(self, client: Redis | RedisCluster, *, prefix: str = PREFIX, owns_client: bool = False) -> None:
        self._start(server_of(client), name_of(client), prefix, owns_client)

    @classmethod
    def on(cls, server: Server, name: str, prefix: str) -> RedisStorage:
        """A storage that owns `server`, which messages call `name`."""
        storage = cls.__new__(cls)
        storage._start(server, name, prefix, True)
        return storage

    def _start(self, server: Server, name: str, prefix: str, owns: bool) -> None:
        layout.check_prefix(prefix)
        self._server = server
        self._name = name
        self._prefix = prefix
        self._owns_server = owns
        self._warned = False
        self._closed = False

    def __repr__(self) -> str:
        return f"RedisStorage({self._name!r}, prefix={self._prefix!r})"

    def setup(self) -> None:
        """Note the version of the layout, and log a warning for each setting that may lose what was committed.

        Raises `SchemaError` if the store holds a newer layout.
        """
        key = layout.version_key(self._prefix)
        with self._faults():
            self._server.call(key, "SET", key, layout.LAYOUT, "NX")
            version = (self._server.call(key, "GET", key) or b"gone").decode()
            if version != str(layout.LAYOUT):
                raise SchemaError(
                    f"{self._name}: the layout under {self._prefix} is {version}, this mobync-redis knows "
                    f"{layout.LAYOUT}: upgrade mobync-redis"
                )
            if not self._warned:
                for complaint in complaints(self._server):
                    logger.warning("%s: %s", self._name, complaint)
                self._warned = True

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        with self._faults():
            asked = [layout.field_of(*key) for key in dict.fromkeys(keys)]
            most = -1 if limit is None else limit
            head, fields, changed, named = self._run(scripts.LOAD, owner, since, most, *asked)
            clock, epoch, purged = head
            return Snapshot(
                clock=int(clock or 0),
                epoch=(epoch or b"").decode(),
                purged=-1 if purged is None else int(purged),
                changed=_records(fields, changed),
                named=_records(asked, named),
            )

    def commit(self, owner: str, commit: Commit) -> None:
        check_commit(owner, commit)  # a script that fails midway would keep what it wrote
        for record in commit.put:
            if abs(record.clock) > layout.CLOCK_MAX:
                raise StorageError(f"a record's clock is {record.clock}, which this storage cannot order exactly")
        renewed = commit.renew or commit.epoch
        head = (commit.expected, commit.epoch.encode(), commit.clock, renewed.encode(), commit.purged)
        with self._faults():
            done = self._run(scripts.COMMIT, owner, *head, *chain.from_iterable(_writes(commit)))
        if not done:
            raise ConflictError(f"the owner's clock is not {commit.expected}, or its epoch is another")

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        left = limit
        with self._faults():
            begin = layout.field_of(kind, prefix)
            # No byte of UTF-8 is 0xff.
            end = b"(" + begin + b"\xff"
            start = max((begin, b"["), (layout.field_of(kind, after), b"("))
        while left is None or left > 0:
            page = _NOTES_PAGE if left is None else min(left, _NOTES_PAGE)
            with self._faults():
                fields, bodies = self._run(scripts.NOTES, owner, start[1] + start[0], end, page)
                found = [
                    Note(kind, field.partition(b"\0")[2].decode(), body.decode())
                    for field, body in zip(fields, chain.from_iterable(bodies), strict=True)
                ]
            yield from found
            if len(found) < page:
                return
            start = (fields[-1], b"(")
            left = None if left is None else left - page

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        with self._faults():
            pattern = layout.heads_pattern(self._prefix, prefix)
            primaries = self._server.primaries()
        seen: set[bytes] = set()  # SCAN may give a key again while the server rebuilds its table
        for call in primaries:
            cursor: Word = 0
            while True:
                with self._faults():
                    cursor, heads = call("SCAN", cursor, "MATCH", pattern, "COUNT", _OWNERS_PAGE)
                for head in heads:
                    if head not in seen:
                        seen.add(head)
                        yield layout.owner_of(self._prefix, head)
                if not int(cursor):
                    break

    def erase(self, owner: str) -> None:
        with self._faults():
            self._run(scripts.ERASE, owner)

    def close(self) -> None:
        """Close the connections if they were opened by URL. Calls after it raise `StorageClosed`."""
        self._closed = True
        if self._owns_server:
            self._server.close()

    def _run(self, script: Script, owner: str, *words: Word) -> Any:
        if len(words) > _MOST_WORDS:
            raise StorageError(f"{self._name} takes no command of {len(words)} parts: commit or load less at a time")
        names = layout.keys_of(self._prefix, owner)
        try:
            return self._server.call(names[0], "EVALSHA", script.sha, len(names), *names, *words)
        except NoScriptError:  # the server is new, or was told to forget: nothing was done yet
            return self._server.call(names[0], "EVAL", script.text, len(names), *names, *words)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        self._check_open()
        try:
            yield
        except ERRORS as error:
            self._check_open()  # by another thread, which took the connection away
            # What a server answers may quote keys, which name people, and even a login.
            raise fault(self._name, error) from (None if isinstance(error, ResponseError) else error)
        except (UnicodeEncodeError, UnicodeDecodeError) as error:
            raise StorageError(f"{self._name} cannot hold this: {error.reason}") from None

    def _check_open(self) -> None:
        if self._closed:
            raise StorageClosed(f"{self._name} is closed")


def _records(fields: Sequence[bytes], chunks: Sequence[Sequence[bytes | None]]) -> list[Record]:
    values = chain.from_iterable(chunks)
    return [layout.unpack(field, value) for field, value in zip(fields, values, strict=True) if value is not None]


def _writes(commit: Commit) -> Iterator[list[Word]]:
    """The writes of `commit`, as the script takes them."""
    removed: list[Word] = [layout.field_of(*key) for key in commit.remove]
    put = [(layout.field_of(*record.key), record) for record in commit.put]
    forgotten: list[Word] = [layout.field_of(*key) for key in commit.forget]
    notes = [(layout.field_of(note.kind, note.key), note) for note in commit.notes]
    writes: list[tuple[str, int, list[Word]]] = [
        ("HDEL", layout.RECORDS, removed),
        ("ZREM", layout.CLOCKS, removed),
        ("HSET", layout.RECORDS, [word for field, record in put for word in (field, layout.pack(record))]),
        ("ZADD", layout.CLOCKS, [word for field, record in put for word in (record.clock, field)]),
        ("HDEL", layout.NOTES, forgotten),
        ("ZREM", layout.NOTEKEYS, forgotten),
        ("HSET", layout.NOTES, [word for field, note in notes for word in (field, note.body.encode())]),
        ("ZADD", layout.NOTEKEYS, [word for field, _ in notes for word in (0, field)]),
    ]
    for command, key, words in writes:
        if words:
            yield [command, key, len(words), *words]
