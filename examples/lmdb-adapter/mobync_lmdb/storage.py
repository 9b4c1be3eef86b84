"""The storage itself. A table of its keys is in the README."""

import os
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import groupby, islice, takewhile
from weakref import WeakValueDictionary

import lmdb
from msgspec.msgpack import decode, encode

from mobync_core.checks import check_commit
from mobync_core.errors import ConflictError, SchemaError, StorageClosed, StorageError, StorageUnavailable
from mobync_core.storage import Commit, Key, Note, Record, Snapshot

LAYOUT, CUT, PAGE = b"1", 400, 50  # CUT: bytes of a note's key; PAGE: entries that are read at once
_lock = threading.Lock()
_opened: WeakValueDictionary[tuple[int, str], lmdb.Environment] = WeakValueDictionary()


def _digest(*names: str) -> bytes:
    return blake2b("\0".join(names).encode(errors="surrogatepass"), digest_size=20).digest()


def _note(kind: str, key: str) -> bytes:
    return b"n%b\0%b\0%b" % (kind.encode(), key.encode()[:CUT], _digest(key))


def _entries(transaction: "lmdb.Transaction[bytes]", prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
    cursor = transaction.cursor()
    found = cursor if cursor.set_range(max(prefix, start)) else ()
    return takewhile(lambda entry: entry[0].startswith(prefix), found)


class LMDBStorage:
    """A storage in the directory `path`, of at most `map_size` bytes; see `mobync_core.storage.Storage`."""

    def __init__(self, path: str, *, map_size: int) -> None:
        place = self._process, self._path = os.getpid(), os.path.realpath(path)
        with _lock:  # LMDB forbids a process to open a directory twice, so its storages share what is open
            try:
                environment = _opened.get(place) or lmdb.open(self._path, map_size=map_size, max_readers=1024)
                environment.reader_check()  # a reader that was killed would keep old pages from ever being reused
            except (lmdb.Error, OSError) as error:
                raise StorageUnavailable(f"{self._path} cannot be opened or created: {error}") from error
            self._environment: lmdb.Environment | None = environment
            _opened[place] = environment

    def close(self) -> None:
        self._environment = None  # the last one who holds it closes it, be it a call under way

    @contextmanager
    def _transaction(self, *, write: bool = False, setup: bool = False) -> Iterator["lmdb.Transaction[bytes]"]:
        if (environment := self._environment) is None or self._process != os.getpid():
            raise StorageClosed(f"{self._path} is closed, or came from before a fork: close it and open it again")
        try:
            with environment.begin(write=write) as transaction, _lock:  # or each entry would wait for the GIL
                if (layout := transaction.get(b"layout")) != LAYOUT and (transaction.stat()["entries"] or not setup):
                    raise SchemaError(f"{self._path} has the layout {layout!r}, this mobync-lmdb knows {LAYOUT!r}")
                yield transaction
        except (lmdb.MapFullError, lmdb.MapResizedError) as error:
            raise StorageError(f"{self._path} is full: open it everywhere with a greater ?map_size=") from error
        except (lmdb.DiskError, lmdb.LockError, lmdb.MemoryError, lmdb.ReadersFullError) as error:
            raise StorageUnavailable(f"{self._path}: {error}") from error
        except (lmdb.Error, UnicodeError, OverflowError) as error:
            raise StorageError(f"{self._path}: {error}") from error

    def setup(self) -> None:
        with self._transaction(write=True, setup=True) as transaction:
            transaction.put(b"layout", LAYOUT, overwrite=False)

    def load(self, owner: str, *, since: int, keys: Collection[Key] = (), limit: int | None = None) -> Snapshot:
        space = b"d" + _digest(owner)
        with self._transaction() as transaction:
            clock, epoch, purged = decode(transaction.get(b"o" + owner.encode()) or encode((0, "", -1)))
            later = _entries(transaction, space + b"c", space + b"c" + max(since, 0).to_bytes(8, "big"))
            changed = [decode(value, type=Record) for _, value in islice(later, limit)]
            places = {transaction.get(space + b"r" + _digest(*key), b"") for key in keys} - {b""}
            named = [decode(transaction.get(space + b"c" + place, b""), type=Record) for place in places]
            return Snapshot(clock, epoch, purged, changed, named)

    def commit(self, owner: str, commit: Commit) -> None:
        check_commit(owner, commit)
        space, head = b"d" + _digest(owner), b"o" + owner.encode()
        with self._transaction(write=True) as transaction:
            clock, epoch, _ = decode(transaction.get(head) or encode((0, commit.epoch, -1)))
            if (clock, epoch) != (commit.expected, commit.epoch):
                raise ConflictError(f"the owner's clock is {clock}, not {commit.expected}, or its epoch is another")
            transaction.put(head, encode((commit.clock, commit.renew or commit.epoch, commit.purged)))
            for key in [*commit.remove, *(record.key for record in commit.put)]:
                if place := transaction.pop(space + b"r" + _digest(*key)):
                    transaction.delete(space + b"c" + place)
            for record in commit.put:
                place = record.clock.to_bytes(8, "big")
                transaction.put(space + b"r" + _digest(*record.key), place)
                transaction.put(space + b"c" + place, encode(record))
            for kind, name in commit.forget:
                transaction.delete(space + _note(kind, name))
            for note in commit.notes:
                transaction.put(space + _note(note.kind, note.key), f"{note.key}\0{note.body}".encode())

    def notes(
        self, owner: str, kind: str, *, prefix: str = "", after: str = "", limit: int | None = None
    ) -> Iterator[Note]:
        entries = self._read(b"d" + _digest(owner) + f"n{kind}\0".encode(), prefix, after)
        alike = (group for _, group in groupby(entries, lambda entry: entry[0][:-20]))  # in the order of digests
        found = (Note(kind, *value.decode().split("\0", 1)) for group in alike for value in sorted(v for _, v in group))
        return islice((note for note in found if note.key > after and note.key.startswith(prefix)), limit)

    def owners(self, *, prefix: str = "") -> Iterator[str]:
        return (key[1:].decode() for key, _ in self._read(b"o", prefix))

    def _read(self, space: bytes, prefix: str, after: str = "") -> Iterator[tuple[bytes, bytes]]:
        first, start = (space + name.encode(errors="surrogatepass")[:CUT] for name in (prefix, after))
        while start:  # in a transaction for each page: who knows when the caller will want the next
            with self._transaction() as transaction:
                page = list(islice(_entries(transaction, first, start), PAGE))
            yield from page
            start = page[-1][0] + b"\0" if page else b""

    def erase(self, owner: str) -> None:
        space = b"d" + _digest(owner)
        with self._transaction(write=True) as transaction:
            transaction.delete(b"o" + owner.encode())
            for key in [key for key, _ in _entries(transaction, space, space)]:
                transaction.delete(key)
