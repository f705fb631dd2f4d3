"""A spread sale through deaths in the middle of a move: every unit is sold once, none is lost on its way."""

import asyncio
import signal
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from flashguard import FlashGuard, Settings
from flashguard.kernel import keys
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started
from tests.support.service import Answer, Service, unique

SPREAD = 4


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http, FLASHGUARD_RECORD_TIMEOUT_SECONDS="1.5") as running:
        yield running


def customer_of(home: int) -> str:
    while zlib.crc32((name := unique("c")).encode()) % SPREAD != home:
        pass
    return name


async def api(stack: Stack, name: str) -> Service:
    """One more API process."""
    port = free_port()
    stack.start(name, "api", FLASHGUARD_PORT=str(port))
    service = stack.at(f"http://127.0.0.1:{port}")
    await eventually(service.ready, f"{name} is ready", 60)
    return service


async def settled(stack: Stack, sale: str) -> dict[str, object]:
    """The audit, once nothing is on its way."""
    report: dict[str, object] = {}

    async def arrived() -> bool:
        nonlocal report
        answer = await stack.retried(lambda: stack.service.call("GET", f"/v1/sales/{sale}/audit", admin=True))
        report = answer.ok()
        return not report["items"][0]["in_transit"]  # type: ignore[index]

    await eventually(arrived, "all units arrived")
    assert report["ok"], report
    return report


async def rush(
    stack: Stack, services: list[Service], sale: str, buyers: int, hurt: Callable[[], Awaitable[None]]
) -> list[str]:
    """All of one shard's customers at once while something is hurt; the orders they were told of."""
    told: list[str] = []

    async def buyer(number: int) -> None:
        customer, key = customer_of(3), unique("key")
        turn = number

        async def press() -> Answer:
            nonlocal turn
            turn += 1
            return await services[turn % len(services)].buy(sale, customer, key=key)

        answer = await stack.retried(press, 60.0)
        if answer.status == 201:
            told.append(answer.body["id"])
        else:
            assert answer.problem(409, "sold-out")["available"] == 0

    async with asyncio.TaskGroup() as tasks:
        for number in range(buyers):
            tasks.create_task(buyer(number))
        await hurt()
    return told


async def test_every_unit_is_sold_once_though_the_rebalancers_are_killed(stack: Stack) -> None:
    await stack.ready()
    services = [stack.service, await api(stack, "api-2"), await api(stack, "api-3")]
    sale = await stack.service.create_sale(stock=300, spread=SPREAD)

    async def kill_rebalancers() -> None:
        for name in ("api-2", "api-3"):

            async def moving() -> bool:
                return int((await stack.service.item(sale))["sold"]) > 80

            await eventually(moving, "units are moved")
            await stack.end(name, signal.SIGKILL)

    told = await rush(stack, services, sale, 330, kill_rebalancers)
    assert len(set(told)) == 300
    report = await settled(stack, sale)
    assert (report["orders"], report["items"][0]["sold"]) == (300, 300)  # type: ignore[index]


async def test_every_unit_is_sold_once_though_memory_is_lost_while_they_move(stack: Stack) -> None:
    await stack.ready()
    sale = await stack.service.create_sale(stock=200, spread=SPREAD)
    await stack.recorded(sale)

    async def flush() -> None:
        for _ in range(2):
            sold = int((await stack.service.item(sale))["sold"])

            async def further(sold: int = sold) -> bool:
                item = await stack.retried(lambda: stack.service.call("GET", f"/v1/sales/{sale}"))
                now = int(item.ok()["items"][0]["sold"])
                return now > sold + 30 or now == 200

            await eventually(further, "units are moved")
            await stack.memory.flushall()
            await stack.ready()

    told = await rush(stack, [stack.service], sale, 220, flush)
    report = await settled(stack, sale)
    assert set(told) <= await orders_of(stack, sale)
    assert (report["orders"], report["items"][0]["oversold"]) == (200, 0)  # type: ignore[index]


async def orders_of(stack: Stack, sale: str) -> set[str]:
    page = await stack.service.admin("GET", f"/v1/sales/{sale}/orders?limit=500")
    return {order["id"] for order in page["data"]}


async def test_a_unit_that_left_before_the_recorder_died_is_not_called_sold_out(stack: Stack) -> None:
    """While nobody can say where it is, a buyer is told to come again; once the recorder is back, it is
    theirs."""
    await stack.ready()
    sale = SaleId(await stack.service.create_sale(stock=1, spread=SPREAD))
    await stack.recorded(sale)
    settings = Settings(redis_url=stack.servers.redis_url, database_url=stack.servers.database_url)
    async with await FlashGuard.connect(settings) as guard:
        await stack.end("recorder", signal.SIGKILL)
        request = (0, "unit", -1, f"{sale}~2", "transfer:left-and-died:out", 7, 10)
        partition = guard.decisions.partition(sale)
        reply = await guard.kernel.run(Verb.RESTOCK, partition, [sale], [request])
        assert reply.results[0][0] == "restocked"
    buying = (stack.service.buy(sale, customer_of(home)) for home in range(SPREAD))
    for answer in await asyncio.gather(*buying):
        answer.problem(503, "overloaded")
    stack.start("recorder")
    answer = await stack.retried(lambda: stack.service.buy(sale, customer_of(1), key="served"))
    answer.ok(201)
    await settled(stack, sale)


async def test_units_arrive_only_once_the_ledger_has_that_they_left(stack: Stack) -> None:
    await stack.ready()
    sale = await stack.service.create_sale(stock=1, spread=SPREAD)
    await stack.end("recorder", signal.SIGKILL)
    (await stack.service.hold(sale, customer_of(2))).problem(
        503, "overloaded"
    )  # a hold itself needs no ledger
    stack.start("recorder")
    (await stack.retried(lambda: stack.service.hold(sale, customer_of(2), key="k"))).ok(201)
    (await stack.service.hold(sale, customer_of(1))).problem(409, "sold-out")
    await settled(stack, sale)


async def test_a_part_that_was_built_again_still_counts_what_left_it(stack: Stack) -> None:
    await stack.ready()
    sale = await stack.service.create_sale(stock=8, spread=SPREAD)
    for _ in range(8):
        (await stack.service.buy(sale, customer_of(3))).ok(201)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.delete(keys.partition(stack.partition(sale)))
    await stack.rebuilt(sale, before)
    await stack.ready()
    (await stack.service.buy(sale, customer_of(3))).problem(409, "sold-out")
    await settled(stack, sale)


async def test_parts_follow_the_first_when_whoever_opened_it_died(stack: Stack) -> None:
    await stack.ready()
    sale = SaleId(await stack.service.create_sale(stock=8, spread=SPREAD, opened=False))
    settings = Settings(redis_url=stack.servers.redis_url, database_url=stack.servers.database_url)
    async with await FlashGuard.connect(settings) as guard:
        partition = guard.decisions.partition(sale)
        await guard.kernel.run(Verb.CHANGE_SALE, partition, [sale], [(0, "open", {"limit": 2}, "")])
    for home in range(SPREAD):
        customer = customer_of(home)

        async def opened(customer: str = customer) -> bool:
            answer = await stack.service.buy(sale, customer, key=customer)
            return answer.status == 201

        await eventually(opened, f"shard {home} is open")
        (await stack.service.buy(sale, customer, 2)).problem(409, "limit-reached")
    await settled(stack, sale)


async def test_a_part_whose_memory_is_away_is_told_and_never_sold_out(stack: Stack) -> None:
    await stack.ready()
    sale = await stack.service.create_sale(stock=1, spread=SPREAD)
    (await stack.service.buy(sale, customer_of(0))).ok(201)
    stack.hang(stack.servers.valkey.pid)
    try:
        for home in range(SPREAD):
            try:
                answer = await stack.service.buy(sale, customer_of(home))
            except (aiohttp.ClientError, TimeoutError):
                continue
            answer.problem(503, "recovering")
    finally:
        stack.go_on(stack.servers.valkey.pid)
    await stack.ready()
    answer = await stack.retried(lambda: stack.service.buy(sale, customer_of(2)))
    answer.problem(409, "sold-out")
