"""What the Redis adapter promises beside the contract."""

from __future__ import annotations

import os
import socket
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import pytest
import redis
from mobync_redis import RedisStorage, open_redis
from mobync_redis.keys import keys_of, version_key

from mobync_core import (
    Commit,
    InvalidURL,
    Record,
    SchemaError,
    Storage,
    StorageError,
    StorageUnavailable,
    open_storage,
)
from mobync_core.errors import StorageClosed
from mobync_core.testing.examples import EPOCH, put, record
from tests.servers.processes import free_port
from tests.servers.redis import PASSWORD
from tests.storage.conftest import Place
from tests.storage.losing import Losing, client_at, prefix_of


class TestRedis:
    @pytest.fixture
    def place(self, redis_url: str) -> Place:
        return Place(redis_url)

    def test_keys_that_would_run_together_are_apart(self, storage: Storage) -> None:
        records = [record("c", 0, model="a:b"), record("b:c", 1, model="a"), record("\x01c", 2, model="a")]
        put(storage, "ada", *records)
        assert list(storage.load("ada", since=0).changed) == records

    def test_all_lies_under_the_prefix(self, place: Place, storage: Storage) -> None:
        put(storage, "a}{b", record("a", 0))
        with closing(client_at(place.url)) as client, closing(open_redis(place.url + "2")) as other:
            other.setup()
            put(other, "bob", record("a", 0))
            assert list(storage.owners()) == ["a}{b"]
            assert list(other.owners()) == ["bob"]
            found = sorted(client.scan_iter(match=f"{prefix_of(place.url)}:*"))
            mine = keys_of(prefix_of(place.url), "a}{b")
            assert found == sorted([*mine, version_key(prefix_of(place.url))])
            other.erase("bob")
            client.delete(version_key(prefix_of(place.url) + "2"))

    @pytest.mark.parametrize("part", range(5))
    def test_an_owner_of_whose_keys_one_was_evicted_is_an_error_and_no_smaller_truth(
        self, place: Place, storage: Storage, part: int
    ) -> None:
        put(storage, "ada", record("a", 0))
        with closing(client_at(place.url)) as client:
            client.delete(keys_of(prefix_of(place.url), "ada")[part])
        with pytest.raises(SchemaError, match="evicted"):
            storage.load("ada", since=0)
        for expected in (0, 1):
            with pytest.raises(SchemaError, match="evicted"):
                storage.commit("ada", Commit(expected=expected, clock=2, epoch=EPOCH))

    def test_an_erased_owner_leaves_no_key(self, place: Place, storage: Storage) -> None:
        storage.commit("ada", Commit(expected=0, clock=1, epoch=EPOCH, put=[record("a", 0)]))
        storage.erase("ada")
        with closing(client_at(place.url)) as client:
            assert list(client.scan_iter(match=f"{prefix_of(place.url)}:*")) == [version_key(prefix_of(place.url))]

    def test_a_server_that_forgot_its_scripts_is_told_them_again(self, place: Place, storage: Storage) -> None:
        for clock in range(3):
            with closing(client_at(place.url)) as client:
                client.script_flush()
            storage.commit("ada", Commit(expected=clock, clock=clock + 1, epoch=EPOCH, put=[record("a", clock)]))
        assert storage.load("ada", since=0).clock == 3

    def test_a_clock_that_scores_cannot_order_is_refused(self, storage: Storage) -> None:
        with pytest.raises(StorageError, match="order"):
            put(storage, "ada", record("a", 2**53 + 1))
        put(storage, "ada", *(record(f"{i}", 2**53 - 5 + i) for i in range(5)))
        assert [found.id for found in storage.load("ada", since=2**53 - 3).changed] == ["2", "3", "4"]

    def test_clocks_and_times_beyond_doubles_are_kept_exactly(self, storage: Storage) -> None:
        new = Record("task", "a", 1, False, 2**63 - 1, "{}")
        storage.commit("ada", Commit(expected=0, clock=2**53 + 1, epoch=EPOCH, purged=2**62 + 1, put=[new]))
        held = storage.load("ada", since=0)
        assert (held.clock, held.purged, list(held.changed)) == (2**53 + 1, 2**62 + 1, [new])
        assert not _wins(storage, Commit(expected=2**53, clock=2**53 + 2, epoch=EPOCH))
        assert not _wins(storage, Commit(expected=2**53 + 2, clock=2**53 + 3, epoch=EPOCH))

    @pytest.mark.parametrize("part", range(5))
    def test_a_key_of_another_kind_is_found_out_before_the_first_write(
        self, place: Place, storage: Storage, part: int
    ) -> None:
        key = keys_of(prefix_of(place.url), "ada")[part]
        with closing(client_at(place.url)) as client:
            client.set(key, "another's")
            with pytest.raises(SchemaError):
                storage.commit("ada", Commit(expected=0, clock=1, epoch=EPOCH, put=[record("a", 0)]))
            assert client.exists(*keys_of(prefix_of(place.url), "ada")) == 1
            assert client.get(key) == b"another's"

    def test_a_newer_layout_is_refused_with_a_way_out(self, place: Place, storage: Storage) -> None:
        with closing(client_at(place.url)) as client:
            client.set(version_key(prefix_of(place.url)), "99")
        with pytest.raises(SchemaError, match=r"99.*upgrade mobync-redis"):
            storage.setup()

    def test_connections_that_the_server_closed_fail_no_call(self, place: Place, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        with closing(client_at(place.url)) as client:
            for clock in range(1, 4):
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                storage.commit("ada", Commit(expected=clock, clock=clock + 1, epoch=EPOCH))

    def test_a_process_may_fork_after_opening(self, storage: Storage) -> None:
        put(storage, "ada", record("a", 0))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for clock in range(1, 20):
                    put(storage, "child", record("c", clock))
                code = 0
            finally:
                os._exit(code)
        for clock in range(1, 20):
            put(storage, "parent", record("p", clock))
        assert os.waitpid(child, 0)[1] == 0
        assert (storage.load("parent", since=0).clock, storage.load("child", since=0).clock) == (20, 20)


def _wins(storage: Storage, commit: Commit) -> bool:
    try:
        storage.commit("ada", commit)
    except StorageError:
        return False
    return True


class TestClients:
    @pytest.mark.parametrize("protocol", [2, 3])
    @pytest.mark.parametrize("decodes", [False, True])
    def test_an_applications_client_works_whatever_it_decodes_and_stays_open(
        self, redis_url: str, decodes: bool, protocol: int
    ) -> None:
        with closing(client_at(redis_url, decode_responses=decodes, protocol=protocol)) as client:
            storage = RedisStorage(client, prefix=prefix_of(redis_url))
            storage.setup()
            put(storage, "é", record("é", 0, "\u2028é"))
            assert list(storage.load("é", since=0).changed) == [record("é", 0, "\u2028é")]
            assert list(storage.owners()) == ["é"]
            storage.close()
            storage.close()
            with pytest.raises(StorageClosed):
                storage.load("é", since=0)
            assert client.ping()

    def test_a_client_of_another_kind_is_refused(self) -> None:
        with pytest.raises(ValueError, match="asyncio"):
            RedisStorage(redis.asyncio.Redis())  # type: ignore[arg-type]

    @pytest.mark.parametrize("silent", [False, True])
    @pytest.mark.parametrize("own", [False, True])
    def test_a_commit_whose_answer_is_lost_is_not_sent_again(self, redis_url: str, own: bool, silent: bool) -> None:
        port = urlsplit(redis_url).port
        assert port is not None
        with closing(Losing(port)) as proxy:
            url = redis_url.replace(f":{port}", f":{proxy.port}", 1)
            client = client_at(url, socket_timeout=1)
            storage = RedisStorage(client, prefix=prefix_of(url)) if own else open_redis(url + "&socket_timeout=1")
            with closing(client), closing(storage):
                put(storage, "ada", record("a", 0))
                proxy.loses, proxy.silent = b"EVALSHA", silent
                with pytest.raises(StorageUnavailable):
                    storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("b", 1)]))
                assert proxy.lost == 1
                proxy.loses = None
                assert storage.load("ada", since=0).clock == 2  # it was done, and the next call goes well


class TestURLs:
    @pytest.mark.parametrize(
        "url",
        [
            "redis://h:port/0",
            "redis://h/name",
            "unix://run/redis.sock",
            "redis://h/0?no_such_option=1",
            "redis://h/0?socket_timeout=soon",
            "redis://h/0?prefix=a{b}",
            "redis://h/0?prefix=",
            "redis://h/0?ssl_ca_certs=x",
            "redis://a,b/0",
            "redis+cluster://a,b/1",
            "redis+sentinel://a",
            "unix+cluster:///tmp/socket",
            "unix://",
        ],
    )
    def test_what_cannot_be_meant_is_refused(self, url: str) -> None:
        with pytest.raises(InvalidURL):
            open_storage(url)

    @pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
    @pytest.mark.parametrize(
        "login", [":hun?ter2", ":hun?ter2=x", ":123/hunter2", ":hun#ter2", ":[hunter2]x", ":hunter\uff1a2"]
    )
    def test_a_password_that_should_be_encoded_is_refused_and_not_shown(self, scheme: str, login: str) -> None:
        with pytest.raises(InvalidURL, match="percent-encode") as caught:
            open_storage(f"{scheme}://{login}@127.0.0.1:6379/0")
        shown = "".join(traceback.format_exception(caught.value))
        assert "ter2" not in shown
        assert "hunter" not in shown

    @pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
    def test_a_server_that_refuses_is_unavailable_soon(self, scheme: str) -> None:
        port = free_port()
        with closing(open_storage(f"{scheme}://u:{PASSWORD}@127.0.0.1:{port}")) as storage:
            began = time.monotonic()
            for call in (storage.setup, lambda: storage.load("ada", since=0)):
                with pytest.raises(StorageUnavailable, match=str(port)) as caught:
                    call()
                assert PASSWORD not in f"{caught.value}{storage!r}"
            assert time.monotonic() - began < 5

    @pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
    def test_a_server_that_is_silent_is_unavailable(self, scheme: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with closing(open_storage(f"{scheme}://127.0.0.1:{port}?socket_timeout=0.5")) as storage:
                began = time.monotonic()
                with pytest.raises(StorageUnavailable):
                    storage.load("ada", since=0)
                assert time.monotonic() - began < 3

    def test_threads_do_not_wait_for_one_anothers_time_outs(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(4) as pool:
            url = f"redis+cluster://127.0.0.1:{listener.getsockname()[1]}?socket_timeout=1"
            with closing(open_storage(url)) as storage:
                began = time.monotonic()
                for attempt in [pool.submit(storage.load, "ada", since=0) for _ in range(4)]:
                    assert isinstance(attempt.exception(), StorageUnavailable)
                assert time.monotonic() - began < 3

    def test_a_wrong_password_is_unavailable_and_not_shown(self, redis_url: str) -> None:
        with closing(open_redis(redis_url.replace(PASSWORD, "wr0ng-one"))) as storage:
            with pytest.raises(StorageUnavailable) as caught:
                storage.setup()
            assert "wr0ng-one" not in f"{caught.value}{caught.value.__cause__}{storage!r}"
