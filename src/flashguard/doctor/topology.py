"""Valkey/Redis as a whole: its topology, what takes over when a server is lost, and each server."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.valkey.address import Address
from flashguard.valkey.client import ValkeyClient
from flashguard.valkey.cluster import ClusterClient
from flashguard.valkey.connection import visiting
from flashguard.valkey.errors import RedisError
from flashguard.valkey.sentinel import SentinelClient

from .finding import Finding, State, check, ok
from .memory import Wanted, examine_memory
from .permissions import examine_permissions

SENTINELS_LEAST: Final = 3
"""A majority must agree: of two Sentinels, none may be lost."""
ANSWER_SECONDS: Final = 2.0
LOCAL: Final = ("127.", "::1", "localhost")


async def examine_topology(kernel: Kernel, wanted: Wanted) -> list[Finding]:
    """Check everything about memory.

    Raises:
        MemoryAway: it does not answer.
    """
    client = kernel.client
    if isinstance(client, ClusterClient):
        return await _cluster(kernel, client, wanted)
    found = await examine_memory(kernel, wanted)
    if len(found) == 1:  # it is none
        return found
    found += [*await examine_permissions(kernel), *_tls(_at(client))]
    if isinstance(client, SentinelClient):
        return [*await _sentinels(client), *found]
    return found


def _at(client: ValkeyClient) -> list[Address]:
    link = client.link("")
    return [link.address] if link is not None and link.address is not None else []


def _tls(servers: list[Address]) -> list[Finding]:
    far = [each for each in servers if each.path is None and not each.host.startswith(LOCAL)]
    open_ = [each.name for each in far if each.tls is None]
    if not far:
        return []
    return [
        check(
            "memory: TLS", not open_, "on" if not open_ else f"off: {', '.join(sorted(open_))}",
            "Use rediss:// where the network is not yours alone.", otherwise=State.WARNING,
        )
    ]  # fmt: skip


async def _sentinels(client: SentinelClient) -> list[Finding]:
    said = await asyncio.gather(*(_quorum(each, client.service) for each in client.sentinels))
    good = [each for each in said if each is None]
    bad = [each for each in said if each is not None]
    primary = ", ".join(each.name for each in _at(client)) or "?"
    return [
        ok("memory: topology", f"primary {primary} ({client.service}), watched by {len(said)} Sentinels"),
        check(
            "memory: Sentinels", len(good) >= SENTINELS_LEAST and not bad,
            f"{len(good)} of {len(said)} have their quorum{''.join(f'; {each}' for each in bad)}",
            "Name at least three Sentinels, on hosts of their own: a failover needs most of them.",
            otherwise=State.WARNING if len(good) * 2 > len(said) else State.FAILED,
        ),
    ]  # fmt: skip


async def _quorum(sentinel: Address, service: str) -> str | None:
    """Return why this Sentinel sees no failover possible; None when it sees one."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS), visiting(sentinel) as connection:
            await connection.ask(("SENTINEL", "CKQUORUM", service), ANSWER_SECONDS)
    except (RedisError, OSError, TimeoutError) as error:
        return f"{sentinel.name}: {error or 'no answer'}"
    return None


async def _cluster(kernel: Kernel, client: ClusterClient, wanted: Wanted) -> list[Finding]:
    await kernel.ping()
    nodes = client.nodes()
    replicas: dict[str, set[str]] = {}
    for shard in client.shards:
        replicas.setdefault(shard.primary.name, set()).update(each.name for each in shard.replicas)
    lonely = sorted(name for name, some in replicas.items() if not some)
    found = [
        ok("memory: topology", f"cluster, {len(replicas)} primaries, {len(nodes) - len(replicas)} replicas"),
        check(
            "memory: replicas", not lonely,
            "every primary has one" if not lonely else f"none of {', '.join(lonely)}",
            "Give every primary a replica on another host: else its partitions wait for that host.",
            otherwise=State.WARNING,
        ),
        *await _coverage(nodes),
        *await examine_permissions(kernel),
        *_tls([each.primary for each in client.shards]),
    ]  # fmt: skip
    return [*found, *await _every_node(nodes, set(replicas), wanted)]


async def _coverage(nodes: Mapping[str, ValkeyClient]) -> list[Finding]:
    name, what = "memory: one shard lost", "cluster-require-full-coverage"
    try:
        values = {(await Kernel(each).config(what)).get(what) for each in nodes.values()}
    except MemoryAway:
        return [Finding(name, State.WARNING, f"{what} can't be read", f"Make sure that {what} is no.")]
    return [
        check(
            name, values == {"no"}, f"{what} {', '.join(sorted(map(str, values)))}",
            f"{what} no, on every node: else one shard that is lost closes the partitions of all.",
            otherwise=State.WARNING,
        )
    ]  # fmt: skip


async def _every_node(
    nodes: Mapping[str, ValkeyClient], primaries: set[str], wanted: Wanted
) -> list[Finding]:
    """Check each node; a finding that all nodes share is reported once."""
    said: dict[tuple[str, State, str, str], list[str]] = defaultdict(list)
    for name, client in sorted(nodes.items()):
        try:
            found = await examine_memory(Kernel(client), wanted, replica=name not in primaries)
        except MemoryAway as error:
            found = [
                Finding("memory: node", State.FAILED, str(error), "Start it, or take it out of the cluster.")
            ]
        for each in found:
            said[each.name, each.state, each.found, each.todo].append(name)
    return [
        Finding(name, state, text if len(who) == len(nodes) else f"{text} ({_few(who, primaries)})", todo)
        for (name, state, text, todo), who in said.items()
    ]


def _few(who: list[str], primaries: set[str]) -> str:
    if set(who) == primaries:
        return "every primary"
    return ", ".join(who)
