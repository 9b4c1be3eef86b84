"""How a command reaches one server, or that node of a cluster which has its key.

No command is sent twice after it may have been executed: redis-py's own retries are passed by, also those of a client
that was handed in. A script that a lost answer made it send again would meet the clock that it wrote itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from redis import Redis
from redis.client import NEVER_DECODE
from redis.cluster import RedisCluster

Call = Callable[..., Any]


class Server(Protocol):
    """Where the storage sends its commands. Answers are bytes, whatever the client decodes."""

    def call(self, _key: bytes, /, *words: bytes | int | str) -> Any:
        """Do a command on the primary that has `_key`."""

    def primaries(self) -> list[Call]:
        """A way to do a command on each primary."""

    def close(self) -> None:
        """Close all connections."""


class Standalone:
    """One server, or what Sentinel says is the primary."""

    def __init__(self, client: Redis) -> None:
        self._client: Any = client

    def call(self, _key: bytes, *words: bytes | int | str) -> Any:
        return self.here(*words)

    def primaries(self) -> list[Call]:
        return [self.here]

    def close(self) -> None:
        self._client.connection_pool.disconnect()

    def here(self, *words: bytes | int | str) -> Any:
        """Do a command on this server, whatever it is about."""
        pool = self._client.connection_pool
        connection = pool.get_connection()  # a new one for one that the server closed meanwhile
        try:
            connection.send_command(*words)
            return self._client.parse_response(connection, words[0], **{NEVER_DECODE: []})
        finally:
            pool.release(connection)


class Cluster:
    """A cluster. `connect` is called when it is first needed, for a `RedisCluster` asks a node when it is made."""

    def __init__(self, connect: Callable[[], RedisCluster]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._made: Any = None

    def call(self, _key: bytes, *words: bytes | int | str) -> Any:
        client = self._client
        # With its node named, a command is not retried but where the node refused it: MOVED, ASK, TRYAGAIN.
        return client.execute_command(*words, target_nodes=client.get_node_from_key(_key), **{NEVER_DECODE: []})

    def primaries(self) -> list[Call]:
        # By each node's own client: that of the cluster would make something else of the answers.
        client = self._client
        return [Standalone(client.get_redis_connection(node)).here for node in client.get_primaries()]

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.close()

    @property
    def _client(self) -> Any:
        if self._made is None:
            made = self._connect()  # not under the lock: threads would wait for one another's time-outs
            with self._lock:
                if self._made is None:
                    self._made = made
            if made is not self._made:
                made.close()
        return self._made


def server_of(client: Redis | RedisCluster) -> Server:
    """Raises `ValueError` if `client` is of another kind, such as an asynchronous one."""
    if isinstance(client, RedisCluster):
        return Cluster(lambda: client)
    if isinstance(client, Redis):
        return Standalone(client)
    kind = type(client)
    raise ValueError(f"the client must be a redis.Redis or a RedisCluster, not {kind.__module__}.{kind.__qualname__}")


def name_of(client: Redis | RedisCluster) -> str:
    """Where `client` goes, without its secrets."""
    if isinstance(client, RedisCluster):
        return "redis+cluster://" + ",".join(sorted(client.nodes_manager.startup_nodes))
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return f"unix://{options['path']}?db={options.get('db') or 0}"
    if "host" in options:
        return f"redis://{options['host']}:{options.get('port', 6379)}/{options.get('db') or 0}"
    return "redis://"
