"""How each server is run in a container of its official image, or of one that takes the same command and variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PASSWORD = "s3cr3t-of-the-tests"


@dataclass(frozen=True)
class Recipe:
    """`url` and `command` may hold `{password}` and, by number, the ports under which the machine has the server's."""

    image: str
    ports: Sequence[int]
    """Those of the server; 0 for one that must be the same within and without."""
    url: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    script: str = ""
    """Run by the shell, with `command` as its arguments."""

    def url_for(self, host: str, ports: Sequence[int]) -> str:
        return self.url.format(*ports, host=host, password=PASSWORD)

    def command_for(self, ports: Sequence[int]) -> list[str]:
        words = [word.format(*ports, password=PASSWORD) for word in self.command]
        return ["sh", "-c", self.script, "script", *words] if self.script else words


# Here and below: safe against the death of the process, which is all that a test can bring about, not of the machine.
_POSTGRESQL = Recipe(
    image="postgres:18",
    ports=[5432],
    url="postgresql://mobync:{password}@{host}:{0}/postgres",
    command=["postgres", "-c", "max_connections=200", "-c", "fsync=off", "-c", "full_page_writes=off"],
    environment={"POSTGRES_USER": "mobync", "POSTGRES_PASSWORD": PASSWORD},
)

_MARIADB = Recipe(
    image="mariadb:11",
    ports=[3306],
    url="mariadb://root:{password}@{host}:{0}/mysql",
    command=["mariadbd", "--max-connections=200", "--innodb-flush-log-at-trx-commit=2"],
    environment={"MARIADB_ROOT_PASSWORD": PASSWORD},
)

_DURABLE = ["--requirepass", "{password}", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]

_REDIS = Recipe(
    image="redis:8",
    ports=[6379],
    url="redis://:{password}@{host}:{0}",
    command=["redis-server", *_DURABLE],
)

# Three servers in one container, which know each other by the addresses that clients outside know them by.
_CLUSTER_SCRIPT = """
password=$1 first=$2 bus=16379 pids= nodes=
new=$(test -e "node-$first" || echo yes)
shift
for port; do
    mkdir -p "node-$port"
    redis-server --port "$port" --dir "node-$port" --requirepass "$password" --masterauth "$password" \
        --cluster-enabled yes --cluster-node-timeout 5000 --cluster-port "$bus" --cluster-announce-ip 127.0.0.1 \
        --save "" --appendonly yes --appendfsync always &
    pids="$pids $!" nodes="$nodes 127.0.0.1:$port" bus=$((bus + 1))
done
trap "kill $pids" TERM
export REDISCLI_AUTH="$password"
for port; do
    until redis-cli -p "$port" ping; do sleep 0.05; done
done
[ -z "$new" ] || redis-cli --cluster create $nodes --cluster-yes
wait
wait
"""

_REDIS_CLUSTER = Recipe(
    image="redis:8",
    ports=[0, 0, 0],
    url="redis+cluster://:{password}@{host}:{0},{host}:{1},{host}:{2}",
    command=["{password}", "{0}", "{1}", "{2}"],
    script=_CLUSTER_SCRIPT,
)

_MONGODB = Recipe(
    image="mongo:8",
    ports=[27017],
    url="mongodb://mobync:{password}@{host}:{0}/?authSource=admin&directConnection=true",
    command=["mongod", "--bind_ip_all", "--setParameter", "enableTestCommands=1"],
    environment={"MONGO_INITDB_ROOT_USERNAME": "mobync", "MONGO_INITDB_ROOT_PASSWORD": PASSWORD},
)

RECIPES = {
    "postgresql": _POSTGRESQL,
    "mariadb": _MARIADB,
    "redis": _REDIS,
    "redis-cluster": _REDIS_CLUSTER,
    "mongodb": _MONGODB,
}
