"""A cluster of three Valkey or Redis servers that the tests start."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

from redis.cluster import ClusterNode, RedisCluster

from tests.servers.processes import free_port, plain_directory
from tests.servers.redis import PASSWORD, WAY_OUT, Redis, binary, is_there, named

__all__ = ["BACKEND", "WAY_OUT", "fresh_database", "is_there", "own_server", "version"]

BACKEND = "redis-cluster"

_SLOTS = 16384


class Cluster:
    """A cluster of our own, which tests may kill and start again; its ports stay."""

    def __init__(self, nodes: list[Redis]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://:{PASSWORD}@{hosts}"

    def make(self) -> None:
        """Join the running servers, each with a share of the slots."""
        share = -(-_SLOTS // len(self.nodes))
        for number, node in enumerate(self.nodes):
            with _client(node) as client:
                first, last = number * share, min((number + 1) * share, _SLOTS) - 1
                # ADDSLOTSRANGE is newer than some servers.
                client.execute_command("CLUSTER ADDSLOTS", *range(first, last + 1))
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        with _client(self.nodes[0]) as client:
            for node in self.nodes[1:]:
                client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, int(node.settings["cluster_port"]))
        self._wait()

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        self._wait()

    def stop(self) -> None:
        """Stop in good order."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """End all servers with SIGKILL."""
        for node in self.nodes:
            node.kill()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while not all(self._is_well(node) for node in self.nodes):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster is not ready")
            time.sleep(0.05)

    def _is_well(self, node: Redis) -> bool:
        with _client(node) as client:
            found = client.execute_command("CLUSTER INFO")
        return bool(found["cluster_state"] == "ok" and int(found["cluster_known_nodes"]) == len(self.nodes))


@contextmanager
def _client(node: Redis) -> Iterator[Any]:
    with closing(node.client()) as client:
        yield client


@contextmanager
def own_server() -> Iterator[Cluster]:
    """A cluster that lives as long as the `with`."""
    program = binary()
    if program is None:
        raise FileNotFoundError(WAY_OUT)
    with ExitStack() as stack:
        nodes = []
        for _ in range(3):
            node = Redis(
                stack.enter_context(plain_directory("mobync-redis-cluster-")),
                program,
                masterauth=PASSWORD,
                cluster_enabled="yes",
                cluster_node_timeout="5000",
                cluster_port=str(free_port()),
            )
            node.start()
            stack.callback(node.stop)
            nodes.append(node)
        cluster = Cluster(nodes)
        cluster.make()
        yield cluster


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """The URL of a prefix of keys in the cluster that only one test has; the keys are removed at the end."""
    prefix = f"mobync-test-{uuid.uuid4().hex}"
    parts = urlsplit(server_url)
    yield f"{server_url}{'&' if parts.query else '?'}prefix={prefix}"
    with _connected(server_url) as client:
        for primary in client.get_primaries():
            connection = primary.redis_connection
            keys = list(connection.scan_iter(match=f"{prefix}:*", count=1000))
            with connection.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.unlink(key)
                pipeline.execute()


def version(server_url: str) -> str:
    """What its servers say they are. Raises `ConnectionError` if one of them has not yet found the others."""
    names = []
    with _connected(server_url) as client:
        for primary in client.get_primaries():
            state = primary.redis_connection.execute_command("CLUSTER INFO")["cluster_state"]
            if state != "ok":
                raise ConnectionError(f"the cluster's state is {state}")
            names.append(named(primary.redis_connection.info("server")))
    return f"{len(names)} x {' and '.join(sorted(set(names)))}"


@contextmanager
def _connected(server_url: str) -> Iterator[Any]:
    login, _, hosts = urlsplit(server_url).netloc.rpartition("@")
    first = urlsplit(f"//{hosts.split(',')[0]}")
    node = ClusterNode(first.hostname or "localhost", first.port or 6379)  # type: ignore[no-untyped-call]
    with closing(RedisCluster(startup_nodes=[node], password=login.rpartition(":")[2] or None)) as client:
        yield client
