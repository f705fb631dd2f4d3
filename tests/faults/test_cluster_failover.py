"""A real cluster whose primaries die or hand over, under real load, through the real API and recorder."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flashguard.embedded import EmbeddedPostgres
from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from tests.support import stacks
from tests.support.eventually import eventually
from tests.support.service import Answer, Service, serving
from tests.support.stacks import Stack, cluster
from tests.support.stacks.cluster import Cluster
from tests.support.stacks.nodes import Node

LONG = pytest.mark.skipif(os.environ.get("FLASHGUARD_LONG") != "1", reason="make failovers")
ROOT = Path(__file__).parents[2]
SECONDS_MOST = 30.0


@pytest.fixture
async def on_a_cluster(http) -> AsyncIterator[tuple[Service, Cluster]]:
    with stacks.folder() as place:
        async with cluster.started(place / "memory") as nodes, EmbeddedPostgres(place / "data") as ledger:
            await stacks.migrate(ledger.url)
            async with serving(Stack(nodes.url, ledger.url), http) as service:
                yield service, nodes


def home(sale: str) -> str:
    return keys.partition(partition_of(SaleId(sale), stacks.PARTITIONS))


async def sales_apart(service: Service, nodes: Cluster) -> tuple[str, str, Node]:
    """Two sales whose partitions are on two primaries, and the first one's primary."""
    first = await service.create_sale(stock=100_000)
    primary, _ = await nodes.of(home(first))
    while True:
        other = await service.create_sale(stock=100_000)
        if (await nodes.of(home(other)))[0] is not primary:
            return first, other, primary


async def test_a_primary_that_dies_closes_only_its_own_partitions_and_not_for_long(on_a_cluster) -> None:
    service, nodes = on_a_cluster
    sale, other, primary = await sales_apart(service, nodes)
    ends = asyncio.Event()
    told: dict[str, list[Answer]] = {sale: [], other: []}
    keys_of: Counter[str] = Counter()
    served_since: dict[str, float] = {}
    """When the newest confirmed order of a sale was first asked for."""

    async def shop(where: str, number: int) -> None:
        while not ends.is_set():
            keys_of[where] += 1
            key, first_asked = f"{where}-{number}-{keys_of[where]}", time.monotonic()
            while True:  # as a client that retries as told
                answer = await service.buy(where, f"c{number}", key=key)
                told[where].append(answer)
                if answer.status == 201:
                    served_since[where] = max(served_since.get(where, 0.0), first_asked)
                    break
                assert answer.status in (409, 503), answer
                assert answer.body["code"] in ("recovering", "overloaded", "request-in-flight"), answer
                assert "Retry-After" in answer.headers
                await asyncio.sleep(0.05)

    buyers = [asyncio.create_task(shop(where, number)) for where in (sale, other) for number in range(4)]
    await asyncio.sleep(0.5)
    await primary.kill()
    struck = time.monotonic()

    async def degraded() -> bool:
        seen = (await service.call("GET", "/readyz")).body["components"]["memory"]
        mine = partition_of(SaleId(sale), stacks.PARTITIONS)
        return mine in seen.get("away_partitions", ()) and f":{primary.port}" in seen["detail"]

    await eventually(degraded, "readiness tells which node's partitions are away")

    async def served() -> bool:
        """Orders that were decided before the strike may be confirmed after it: only new ones count."""
        return served_since.get(sale, 0.0) > struck

    await eventually(served, "the partition is served by its replica", SECONDS_MOST)
    assert time.monotonic() - struck < SECONDS_MOST
    ends.set()
    await asyncio.gather(*buyers)
    assert {answer.status for answer in told[other]} == {201}  # nothing of it was on that node
    for where in (sale, other):
        confirmed = {answer.body["id"] for answer in told[where] if answer.status == 201}
        assert len(confirmed) == keys_of[where]
        report = await service.audit(where)
        assert (await service.item(where))["sold"] == len(confirmed), report
    await eventually(service.ready, "all is well")


@LONG
def test_a_replica_that_takes_over_loses_doubles_and_oversells_nothing(tmp_path: Path) -> None:
    """Killed with a replica that may be behind, and handed over by hand: the campaign's checker compares."""
    kinds = ["--kind", "cluster primary killed", "--kind", "cluster failover by hand"]
    words = ["--seed", "make-test", "--rounds", "2", *kinds, "--keep", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.campaign", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 rounds, 0 with a broken promise" in done.stdout
