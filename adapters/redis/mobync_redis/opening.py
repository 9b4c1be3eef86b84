"""Opens a storage by its URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from redis import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry

from mobync_core.errors import InvalidURL
from mobync_core.urls import redact
from mobync_redis.keys import check_prefix
from mobync_redis.servers import Cluster, Server, Standalone
from mobync_redis.storage import PREFIX, RedisStorage

CONNECT_OPTIONS: dict[str, Any] = {
    "socket_connect_timeout": 5.0,
    "socket_timeout": 20.0,
    "socket_keepalive": True,
    "client_name": "mobync",
    "protocol": 2,  # under 3 redis-py does not notice that an idle connection was closed
}
"""What redis-py is told where the URL says nothing: times are in seconds."""

CLUSTER_TIMEOUT = 5.0
"""How long a node of a cluster may be silent, in seconds: redis-py then asks the others, one after another."""

POOL_SIZE = 20
"""The most connections at a time of one process to one server; they are opened when needed."""

POOL_SECONDS = 10
"""How long a call waits for one of them to become free."""

_OPTIONS: dict[str, Any] = {
    "prefix": str,
    "client_name": str,
    "socket_connect_timeout": float,
    "socket_timeout": float,
}
_TLS_OPTIONS: dict[str, Any] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_cert_reqs": str,
    "ssl_check_hostname": lambda text: {"true": True, "false": False}[text.lower()],
}
_PORT = 6379


def open_redis(url: str) -> RedisStorage:
    """Open what `url` names, without `setup`; `close` of the storage closes it.

    Forms: ``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``unix:///path/to/socket?db=0``, and
    ``redis+cluster://user:password@host:7000,host:7001`` or ``rediss+cluster://`` for a cluster, of which some nodes
    are named. Options follow a ``?``. Nothing connects yet. Raises `InvalidURL`.
    """
    try:
        parts = urlsplit(url)
        if "@" in parts.path + parts.query + parts.fragment:
            raise ValueError
    except ValueError:  # its message would quote what may be a part of the password
        raise InvalidURL(
            f"{redact(url)} cannot be opened: percent-encode @, :, /, ?, # and all that is not ASCII in a user name or "
            "password, and @ in an option"
        ) from None
    try:
        server, prefix = _server(parts)
    except (ValueError, KeyError) as error:
        raise InvalidURL(f"{redact(url)} cannot be opened: {redact(str(error))}") from None
    hosts = parts.netloc.rpartition("@")[2]
    db = f"?db={dict(parse_qsl(parts.query)).get('db', 0)}" if parts.scheme == "unix" else ""
    return RedisStorage.on(server, f"{parts.scheme}://{hosts}{parts.path}{db}", prefix)


def _server(parts: SplitResult) -> tuple[Server, str]:
    scheme, _, variant = parts.scheme.partition("+")
    if variant not in {"", "cluster"} or (scheme == "unix" and variant):
        raise ValueError(f"{parts.scheme}:// is not known, but redis+cluster:// and rediss+cluster:// are")
    if parts.fragment:
        raise ValueError("a # must be percent-encoded")
    options = _options(parts, scheme)
    prefix = options.pop("prefix", PREFIX)
    check_prefix(prefix)
    if variant:
        if parts.path.strip("/") not in {"", "0"}:
            raise ValueError("a cluster has no database but 0")
        return _cluster(_hosts(parts), scheme == "rediss", options), prefix
    kind: type[Any] = {"redis": Connection, "rediss": SSLConnection, "unix": UnixDomainSocketConnection}[scheme]
    if scheme == "unix":
        if parts.netloc.rpartition("@")[2] or not parts.path.strip("/"):
            raise ValueError("it should be as unix:///path/to/socket")
        options["path"] = unquote(parts.path)
        del options["socket_keepalive"]
    else:
        ((options["host"], options["port"]),) = _hosts(parts, most=1)
        number = parts.path.strip("/") or "0"
        if not (number.isascii() and number.isdecimal()):
            raise ValueError("the database is a number, as in redis://host:6379/0")
        options["db"] = int(number)
    pool = BlockingConnectionPool(  # type: ignore[no-untyped-call]
        connection_class=kind, max_connections=POOL_SIZE, timeout=POOL_SECONDS, retry=Retry(NoBackoff(), 0), **options
    )
    return Standalone(Redis(connection_pool=pool)), prefix


def _cluster(hosts: list[tuple[str, int]], tls: bool, options: dict[str, Any]) -> Server:
    def connect() -> RedisCluster:
        nodes = [ClusterNode(host, port) for host, port in hosts]  # type: ignore[no-untyped-call]
        given: dict[str, Any] = {"socket_timeout": CLUSTER_TIMEOUT, **options}
        return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 0), ssl=tls, max_connections=1000, **given)

    return Cluster(connect)


def _options(parts: SplitResult, scheme: str) -> dict[str, Any]:
    known = _OPTIONS | (_TLS_OPTIONS if scheme == "rediss" else {}) | ({"db": int} if scheme == "unix" else {})
    options = dict(CONNECT_OPTIONS)
    if parts.scheme.endswith("+cluster"):
        del options["socket_timeout"]
    for name, value in parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)):
        if name not in known:
            raise ValueError(f"unknown option {name}, known are {', '.join(sorted(known))}")
        try:
            options[name] = known[name](value)
        except (ValueError, KeyError):
            raise ValueError(f"the option {name} cannot be read") from None
    if "@" in parts.netloc:
        user, _, password = parts.netloc.rpartition("@")[0].partition(":")
        options |= {"username": unquote(user) or None, "password": unquote(password) or None}
    return options


def _hosts(parts: SplitResult, most: int = 1000) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        one = urlsplit(f"//{text}")
        try:
            port = one.port
        except ValueError:
            # Its message would quote what may be a part of the password.
            raise ValueError("the port is no number; in a password, percent-encode @, : and /") from None
        found.append((one.hostname or "localhost", _PORT if port is None else port))
    if len(found) > most:
        raise ValueError("several hosts make a cluster: redis+cluster://")
    return found
