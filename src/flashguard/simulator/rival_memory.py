"""Connects rivals to Valkey/Redis with redis-py, which has a client for each topology."""

from typing import Any, Final
from urllib.parse import parse_qs

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode

from flashguard.valkey.address import Address, TopologyKind, read_topology

CONNECTIONS: Final = 50
WAIT_SECONDS: Final = 60.0


def connect_rival(url: str) -> Any:
    """Return a client of redis-py for the topology of FLASHGUARD_REDIS_URL."""
    topology = read_topology(url)
    match topology.kind:
        case TopologyKind.CLUSTER:
            nodes = [ClusterNode(each.host, each.port) for each in topology.seeds]
            return RedisCluster(
                startup_nodes=nodes, max_connections=CONNECTIONS, **_login(topology.server), **_tls(url)
            )
        case TopologyKind.SENTINEL:
            watching = Sentinel(  # type: ignore[no-untyped-call]
                [(each.host, each.port) for each in topology.seeds],
                sentinel_kwargs={**_login(topology.seeds[0]), **_tls(url)},
                **_login(topology.server), **_tls(url),
            )  # fmt: skip
            return watching.master_for(topology.service, max_connections=CONNECTIONS)
    return Redis(
        connection_pool=BlockingConnectionPool.from_url(
            url, max_connections=CONNECTIONS, timeout=WAIT_SECONDS
        )
    )


def _login(server: Address) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, *more in server.greeting:
        if name == "SELECT":
            options["db"] = more[0]
        else:
            options |= dict(
                zip(("username", "password") if len(more) == 2 else ("password",), more, strict=True)
            )
    return options


def _tls(url: str) -> dict[str, Any]:
    if not url.startswith("rediss"):
        return {}
    query = parse_qs(url.partition("?")[2])
    return {"ssl": True} | {name: values[0] for name, values in query.items() if name.startswith("ssl_")}
