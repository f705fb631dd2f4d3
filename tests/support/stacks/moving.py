"""Moves a slot of a cluster from one primary to another, as operators do: key by key, or atomically."""

import asyncio

from flashguard.valkey.errors import ResponseError
from flashguard.valkey.slots import slot_of
from tests.support.eventually import eventually
from tests.support.stacks.cluster import Cluster
from tests.support.stacks.nodes import HOST, Node

MOVE_MS = 5_000


async def primaries(cluster: Cluster) -> list[Node]:
    """The nodes that have slots now."""
    return list({id(node): node for node in [cluster.at(s.primary) for s in await cluster.shards()]}.values())


async def key_by_key(cluster: Cluster, key: str, target: Node, *, pause: float = 0.0) -> None:
    """The classic way: SETSLOT, then MIGRATE of each key, `pause` seconds between them."""
    slot = slot_of(key)
    source, _ = await cluster.of(key)
    ids = {id(node): (await node.ask("CLUSTER", "MYID")).decode() for node in (source, target)}
    await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[id(source)])
    await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[id(target)])
    while found := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
        await source.ask("MIGRATE", HOST, target.port, found[0], 0, MOVE_MS)
        await asyncio.sleep(pause)
    for node in (target, source, *await primaries(cluster)):
        await node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[id(target)])
    await _has(cluster, key, target)


async def atomically(cluster: Cluster, key: str, target: Node) -> None:
    """Valkey 9's way: the whole slot at once."""
    slot = slot_of(key)
    source, _ = await cluster.of(key)
    name = (await target.ask("CLUSTER", "MYID")).decode()
    await source.ask("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)
    await _has(cluster, key, target)


async def can_move_atomically(node: Node) -> bool:
    """Whether this server knows MIGRATESLOTS."""
    try:
        await node.ask("CLUSTER", "GETSLOTMIGRATIONS")
    except ResponseError:
        return False
    return True


async def _has(cluster: Cluster, key: str, target: Node) -> None:
    async def everybody_knows() -> bool:
        for node in cluster.nodes:
            shards = await cluster.shards(node)
            mine = next(each for each in shards if each.first <= slot_of(key) <= each.last)
            if mine.primary.port != target.port:
                return False
        return True

    await eventually(everybody_knows, f"the slot of {key} is on {target.port}")
