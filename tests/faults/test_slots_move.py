"""Slots move to another primary while their partitions sell, in both ways that operators have."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator

import pytest

from flashguard.embedded import EmbeddedPostgres
from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from tests.support import stacks
from tests.support.eventually import eventually
from tests.support.service import Answer, Service, serving
from tests.support.stacks import Stack, cluster, moving
from tests.support.stacks.cluster import Cluster

PAUSE_SECONDS = 0.05
"""Between two keys: the partition is on two nodes for a while."""


@pytest.fixture(scope="module")
async def on_a_cluster(http) -> AsyncIterator[tuple[Service, Cluster]]:
    with stacks.folder() as place:
        async with cluster.started(place / "memory") as nodes, EmbeddedPostgres(place / "data") as ledger:
            await stacks.migrate(ledger.url)
            async with serving(Stack(nodes.url, ledger.url), http) as service:
                yield service, nodes


@pytest.mark.parametrize("how", ["key by key", "atomically"])
async def test_a_partition_moves_while_it_sells_and_buyers_get_retries_at_most(on_a_cluster, how) -> None:
    service, nodes = on_a_cluster
    if how == "atomically" and not await moving.can_move_atomically(nodes.nodes[0]):
        pytest.skip("this server does not know MIGRATESLOTS")
    sale = await service.create_sale(stock=100_000)
    key = keys.partition(partition_of(SaleId(sale), stacks.PARTITIONS))
    source, _ = await nodes.of(key)
    target = next(node for node in await moving.primaries(nodes) if node is not source)
    before = {node.port: await node.ask("INFO", "errorstats") for node in (source, target)}
    told: list[Answer] = []
    ends = asyncio.Event()

    async def shop(number: int) -> int:
        bought = 0
        while not ends.is_set():
            bought += 1
            while True:
                answer = await service.buy(sale, f"c{number}", key=f"{number}-{bought}")
                told.append(answer)
                if answer.status == 201:
                    break
                assert answer.status in (409, 503), answer
                assert answer.body["code"] in ("recovering", "overloaded", "request-in-flight"), answer
                assert "Retry-After" in answer.headers
                await asyncio.sleep(0.02)
        return bought

    buyers = [asyncio.create_task(shop(number)) for number in range(6)]
    await asyncio.sleep(0.3)
    started = time.monotonic()
    if how == "atomically":
        await moving.atomically(nodes, key, target)
    else:
        await moving.key_by_key(nodes, key, target, pause=PAUSE_SECONDS)
    took, moved = time.monotonic() - started, len(told)
    while not any(answer.status == 201 for answer in told[moved:]):
        assert time.monotonic() - started < took + 20, told[-1]
        await asyncio.sleep(0.02)
    ends.set()
    bought = sum(await asyncio.gather(*buyers))
    assert (await nodes.of(key))[0] is target
    after = await source.ask("INFO", "errorstats")
    assert after.get("errorstat_MOVED", "") != before[source.port].get("errorstat_MOVED", "")
    assert len({answer.body["id"] for answer in told if answer.status == 201}) == bought
    await service.audit(sale)
    assert (await service.item(sale))["sold"] == bought


async def test_a_replicated_hold_waits_for_the_replica_of_its_own_partition_alone(on_a_cluster) -> None:
    service, nodes = on_a_cluster
    sale = await service.create_sale(hold_durability="replicated")
    _, [replica] = await nodes.of(keys.partition(partition_of(SaleId(sale), stacks.PARTITIONS)))
    while True:
        other = await service.create_sale(hold_durability="replicated")
        _, replicas = await nodes.of(keys.partition(partition_of(SaleId(other), stacks.PARTITIONS)))
        if replica not in replicas:
            break
    for each in (sale, other):
        (await service.hold(each, "ann")).ok(201)
    os.kill(replica.pid, signal.SIGSTOP)
    try:
        waits, passes = await asyncio.gather(
            service.hold(sale, "bob", key="again"), service.hold(other, "bob", key="other")
        )
        waits.problem(503, "overloaded")
        passes.ok(201)
    finally:
        os.kill(replica.pid, signal.SIGCONT)

    async def kept() -> bool:
        return (await service.hold(sale, "bob", key="again")).status == 201

    await eventually(kept, "the replica has it, and the same key says so")
