"""How the Redis adapter fares with settings that lose data, with servers that fail, and in a cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from mobync_redis import RedisStorage, open_redis
from mobync_redis.keys import keys_of
from redis.cluster import ClusterNode, RedisCluster

from mobync_core import Commit, StorageError, StorageUnavailable
from mobync_core.testing.examples import EPOCH, everything, put, record
from tests.servers import redis as servers
from tests.servers.processes import free_port
from tests.servers.redis import PASSWORD
from tests.servers.sources import Server
from tests.storage.losing import Losing, client_at, prefix_of

BRACES = ["ada", "{ada}", "}x{", "}", "{}", "a}{b", "é{😀}", "%7D", "a:b}:c"]


@contextmanager
def said(caplog: pytest.LogCaptureFixture, url: str) -> Iterator[Callable[[], list[str]]]:
    caplog.set_level(logging.WARNING, "mobync")
    with closing(open_redis(url)) as storage:
        storage.setup()
        storage.setup()
        yield lambda: [found.getMessage() for found in caplog.records]


class TestDurability:
    def test_what_was_committed_survives_the_death_of_the_server(self, redis_server: Server) -> None:
        with closing(open_redis(redis_server.url)) as storage:
            storage.setup()
            for clock in range(50):
                storage.commit("ada", Commit(expected=clock, clock=clock + 1, epoch=EPOCH, put=[record("a", clock)]))
            before = everything(storage, "ada")
            redis_server.kill()
            with pytest.raises(StorageUnavailable):
                storage.load("ada", since=0)
            redis_server.start()
            assert everything(storage, "ada") == before

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({}, []),
            ({"appendonly": "no"}, ["appendonly is no"]),
            ({"appendfsync": "everysec"}, ["up to a second"]),
            ({"maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"}, ["allkeys-lru"]),
            ({"maxmemory": "100mb", "maxmemory_policy": "noeviction"}, []),
        ],
    )
    def test_settings_that_lose_data_are_named_once(
        self, caplog: pytest.LogCaptureFixture, settings: dict[str, str], words: list[str]
    ) -> None:
        if not servers.is_there():
            pytest.skip(servers.WAY_OUT)
        with servers.own_server(**settings) as server, said(caplog, server.url) as messages:
            assert len(messages()) == len(words)
            assert all(word in message for word, message in zip(words, messages(), strict=True))
            assert PASSWORD not in caplog.text

    def test_where_the_settings_are_secret_it_says_so(
        self, redis_server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        with closing(client_at(redis_server.url)) as client:
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-config")
        url = redis_server.url.replace(f":{PASSWORD}", "app:pw", 1)
        with said(caplog, url) as messages:
            assert len(messages()) == 1
            assert "could not be checked" in messages()[0]

    def test_a_full_server_refuses_a_commit_whole(self, redis_server: Server) -> None:
        with closing(open_redis(redis_server.url)) as storage, closing(client_at(redis_server.url)) as client:
            put(storage, "ada", record("a", 0))
            before = everything(storage, "ada")
            client.config_set("maxmemory", "1mb")
            commit = Commit(expected=1, clock=2, epoch=EPOCH, put=[record("b", 1)], remove=[("task", "a")])
            with pytest.raises(StorageUnavailable, match="memory"):
                storage.commit("ada", commit)
            assert everything(storage, "ada") == before

    @pytest.mark.parametrize("command", ["zadd", "zrem", "hdel", "hset"])
    def test_a_role_without_a_command_refuses_a_commit_whole(self, redis_server: Server, command: str) -> None:
        with closing(open_redis(redis_server.url)) as storage, closing(client_at(redis_server.url)) as client:
            storage.setup()
            put(storage, "ada", record("a", 0), record("b", 1))
            before = everything(storage, "ada")
            client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", f"-{command}")
            url = redis_server.url.replace(f":{PASSWORD}", "app:pw", 1)
            with closing(open_redis(url)) as weak, pytest.raises(StorageError, match=f"(?i){command}|permissions"):
                weak.commit(
                    "ada", Commit(expected=2, clock=3, epoch=EPOCH, put=[record("c", 2)], remove=[("task", "a")])
                )
            assert everything(storage, "ada") == before

    def test_a_replica_is_not_read(self, redis_server: Server) -> None:
        with closing(open_redis(redis_server.url)) as storage, closing(client_at(redis_server.url)) as client:
            put(storage, "ada", record("a", 0))
            client.execute_command("REPLICAOF", "127.0.0.1", free_port())
            with pytest.raises(StorageUnavailable):
                storage.load("ada", since=0)
            with pytest.raises(StorageUnavailable):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH))


class TestCluster:
    @pytest.mark.parametrize("owner", BRACES)
    def test_all_keys_of_an_owner_lie_in_one_slot(self, redis_cluster_url: str, owner: str) -> None:
        with closing(_cluster_client(redis_cluster_url)) as client:
            slots = {client.cluster_keyslot(key) for key in keys_of("mobync", owner)}
        assert len(slots) == 1

    def test_owners_lie_on_all_nodes(self, redis_cluster_url: str) -> None:
        with closing(_cluster_client(redis_cluster_url)) as client:
            storage = RedisStorage(client, prefix=prefix_of(redis_cluster_url))
            storage.setup()
            for number in range(60):
                put(storage, f"owner {number}", record("a", 0))
            assert sorted(storage.owners()) == sorted(f"owner {number}" for number in range(60))
            on_each = [
                len(list(client.get_redis_connection(node).scan_iter(match=f"{prefix_of(redis_cluster_url)}:*:head")))
                for node in client.get_primaries()
            ]
            assert sum(on_each) == 60
            assert min(on_each) > 5
            storage.close()
            assert client.ping()

    def test_a_cluster_that_was_killed_has_what_was_committed(self, redis_cluster_server: Server) -> None:
        with closing(open_redis(redis_cluster_server.url)) as storage:
            storage.setup()
            put(storage, "ada", record("a", 0))
            redis_cluster_server.kill()
            with pytest.raises(StorageUnavailable):
                storage.load("ada", since=0)
            redis_cluster_server.start()
            assert [found.id for found in storage.load("ada", since=0).changed] == ["a"]

    def test_one_node_alone_says_how_to_open_the_cluster(self, redis_cluster_url: str) -> None:
        login, _, hosts = urlsplit(redis_cluster_url).netloc.rpartition("@")
        with closing(open_redis(f"redis://{login}@{hosts.split(',')[0]}?prefix=other")) as storage:
            said = []
            for number in range(50):
                try:
                    storage.load(f"owner {number}", since=0)
                except StorageError as error:
                    said.append(str(error))
        assert 10 < len(said) < 50
        assert all("redis+cluster://" in message for message in said)

    def test_a_commit_whose_answer_is_lost_is_not_sent_again(self, redis_cluster_url: str) -> None:
        with ExitStack() as stack:
            proxies: dict[int, Losing] = {}

            def by_proxy(address: tuple[str, int]) -> tuple[str, int]:
                if address[1] not in proxies and address[1] not in {proxy.port for proxy in proxies.values()}:
                    proxies[address[1]] = stack.enter_context(closing(Losing(address[1])))
                return address[0], proxies[address[1]].port if address[1] in proxies else address[1]

            # With redis-py's own retries, of which it has three.
            client = stack.enter_context(closing(_cluster_client(redis_cluster_url, address_remap=by_proxy)))
            storage = RedisStorage(client, prefix=prefix_of(redis_cluster_url))
            put(storage, "ada", record("a", 0))
            for proxy in proxies.values():
                proxy.loses = b"EVALSHA"
            with pytest.raises(StorageUnavailable):
                storage.commit("ada", Commit(expected=1, clock=2, epoch=EPOCH, put=[record("b", 1)]))
            assert sum(proxy.lost for proxy in proxies.values()) == 1
            for proxy in proxies.values():
                proxy.loses = None
            assert storage.load("ada", since=0).clock == 2


def _cluster_client(url: str, **options: Any) -> Any:
    login, _, hosts = urlsplit(url).netloc.rpartition("@")
    host, _, port = hosts.split(",")[0].rpartition(":")
    node = ClusterNode(host, int(port))  # type: ignore[no-untyped-call]
    return RedisCluster(startup_nodes=[node], password=login.rpartition(":")[2] or None, **options)
