"""Several recorders: each takes its share, hands it over when it ends, and is followed when it is killed."""

import asyncio
import contextlib
import itertools
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import SaleId, partition_of
from flashguard.recorder.meters import Meters
from flashguard.recorder.partition import PartitionRecorder
from flashguard.recorder.states import OTHER_RECORDER_SECONDS
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.eventually import eventually
from tests.support.forked import Flashguard
from tests.support.ports import free_port
from tests.support.service import Service, clean_env, migrated_servers, serving, stop
from tests.support.stacks import Stack

SOCKET_NAME = ".s.PGSQL.5432"
SALES = 12
BUYS = 2_000
BUYS_AT_LEAST = 200
TAKEN_SECONDS = 30.0
"""Generous: how long it takes is printed, that it happens is promised."""


class Recorders:
    """Recorders in processes of their own, and what their metrics say they have taken."""

    def __init__(self, stack: Stack, http: aiohttp.ClientSession) -> None:
        self._stack = stack
        self._http = http
        self.running: dict[int, Flashguard] = {}

    def start(self) -> int:
        port = free_port()
        env = clean_env(
            FLASHGUARD_REDIS_URL=self._stack.redis_url,
            FLASHGUARD_DATABASE_URL=self._stack.database_url,
            FLASHGUARD_RECORDER_METRICS_PORT=str(port),
            FLASHGUARD_LOG_LEVEL="info",
        )
        self.running[port] = Flashguard("recorder", env=env)
        return port

    async def taken(self, port: int) -> set[int]:
        try:
            async with self._http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                text = await answer.text()
        except aiohttp.ClientError:
            return set()
        return {
            int(sample.labels["partition"])
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "flashguard_recorder_takes_partition"
        }

    async def shared(self, *ports: int) -> None:
        """Waits until these recorders have all partitions, each exactly one of them, and none too many."""
        seen: list[set[int]] = []

        async def done() -> bool:
            nonlocal seen
            seen = [await self.taken(port) for port in ports]
            whole = sorted(number for one in seen for number in one) == list(range(16))
            return whole and max(map(len, seen)) <= -(-16 // len(ports))

        await eventually(done, lambda: str(seen))


class Shoppers:
    """Buy from every sale all the time: a partition that rests shows as a long wait."""

    def __init__(self, service: Service, sales: list[str]) -> None:
        self._service = service
        self._sales = sales
        self.answers: Counter[int] = Counter()
        self.gap_seconds = 0.0
        self.over = False

    async def shop(self, sale: str) -> None:
        for number in itertools.count():
            if self.over:
                return
            asked = time.monotonic()
            answer = await self._service.buy(sale, f"c{number}", key=f"{sale}-{number}")
            self.answers[answer.status] += 1
            self.gap_seconds = max(self.gap_seconds, time.monotonic() - asked)
            await asyncio.sleep(0.02)

    async def run(self) -> None:
        await asyncio.gather(*map(self.shop, self._sales))


@pytest.fixture
async def stack(http) -> AsyncIterator[Stack]:
    async with migrated_servers() as servers:
        yield Stack(servers.redis_url, servers.database_url)


async def test_partitions_are_shared_handed_over_and_followed_while_buyers_buy(stack, http):
    recorders = Recorders(stack, http)
    async with serving(stack, http) as service:
        first, second = recorders.start(), recorders.start()
        try:
            sales = [await service.create_sale(stock=100_000) for _ in range(SALES)]
            shoppers = Shoppers(service, sales)
            own = int(urlsplit(service.recorder_metrics_url).port or 0)
            await recorders.shared(own, first, second)
            ready = (await service.call("GET", "/readyz")).ok()["components"]["recorder"]
            assert sorted(map(len, ready["recorder_partitions"]))[0] > 0
            assert sorted(number for one in ready["recorder_partitions"] for number in one) == list(range(16))
            assert len(ready["recorder_partitions"]) == 3
            buying = asyncio.create_task(shoppers.run())

            recorders.running[first].send_signal(signal.SIGTERM)
            await recorders.shared(own, second)
            handed_over, shoppers.gap_seconds = shoppers.gap_seconds, 0.0
            assert await asyncio.to_thread(recorders.running[first].wait, TAKEN_SECONDS) == 0

            recorders.running[second].kill()
            await recorders.shared(own)
            await asyncio.sleep(0.5)
            shoppers.over = True
            await buying
            print(f"longest wait: SIGTERM {handed_over:.2f} s, kill -9 {shoppers.gap_seconds:.2f} s")
            assert set(shoppers.answers) == {201}, shoppers.answers
            for sale in sales:
                await service.audit(sale)
        finally:
            for child in recorders.running.values():
                child.kill()
                await stop(child)


class Link:
    """A way to PostgreSQL that can go deaf: it takes everything, and passes nothing on."""

    def __init__(self, upstream: Path, folder: Path) -> None:
        self._upstream = upstream / SOCKET_NAME
        self._place = folder / SOCKET_NAME
        self._passing = asyncio.Event()
        self._passing.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = f"postgresql://flashguard@/flashguard?host={folder}"

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Link"]:
        server = await asyncio.start_unix_server(self._serve, self._place)
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def go_deaf(self) -> None:
        self._passing.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(str(self._upstream))
        for pair in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass(*pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    await self._passing.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.close()


async def test_a_recorder_that_the_ledger_does_not_answer_leaves_its_share_to_the_others(
    stack, http, tmp_path
):
    """Its heart beats in memory, but it could not write: who reaches the ledger must have its share."""
    upstream = Path(parse_qs(urlsplit(stack.database_url).query)["host"][0])
    async with Link(upstream, tmp_path).open() as link, serving(stack, http) as service:
        recorders = Recorders(replace(stack, database_url=link.url), http)
        cut_off = recorders.start()
        try:
            own = int(urlsplit(service.recorder_metrics_url).port or 0)
            await recorders.shared(own, cut_off)
            sales = [await service.create_sale(stock=1_000) for _ in range(SALES)]
            link.go_deaf()
            await recorders.shared(own)
            for sale in sales:
                (await service.buy(sale, "ann")).ok(201)
                await service.audit(sale)
        finally:
            recorders.running[cut_off].kill()
            await stop(recorders.running[cut_off])


async def test_three_recorders_that_all_try_one_partition_apply_each_group_once(stack, http):
    """Whatever the sharing says: the position, moved by compare-and-set, is what keeps them apart."""
    settings = Settings(redis_url=stack.redis_url, database_url=stack.database_url)
    memory, ledger = connect_kernel(stack.redis_url, settings), await Ledger.connect(stack.database_url)
    meters = [Meters(), Meters()]
    async with serving(stack, http) as service:
        sale = await service.create_sale(stock=BUYS)
        rivals = [
            asyncio.create_task(
                PartitionRecorder(
                    partition_of(SaleId(sale), 16), Kernel(memory), ledger, settings, its_meters
                ).run()
            )
            for its_meters in meters
        ]

        def written() -> float:
            """Return how many transitions the rivals wrote; the service's recorder wrote the others."""
            return sum(value(its_meters, "flashguard_recorder_transitions_total") for its_meters in meters)

        try:
            bought = 0
            while bought < BUYS and not (bought >= BUYS_AT_LEAST and 0 < written() < bought):
                some = range(bought, bought + 10)
                answers = await asyncio.gather(*(service.buy(sale, f"c{number}") for number in some))
                assert {answer.status for answer in answers} == {201}
                bought += len(some)
                # A recorder that lost steps back; after a random pause it waits for the next group too.
                await asyncio.sleep(random.uniform(0.05, OTHER_RECORDER_SECONDS))
            assert (await service.item(sale))["sold"] == bought
            assert (await service.audit(sale))["orders"] == bought
            assert 0 < written() < bought, "they did not contend"
        finally:
            for rival in rivals:
                rival.cancel()
            await asyncio.gather(*rivals, return_exceptions=True)
            await memory.aclose()
            await ledger.close()


def value(meters: Meters, name: str) -> float:
    """What this recorder counted."""
    found = next(family for family in meters.families({}) if family.name == name)
    return sum(sample.value for sample in found.samples)
