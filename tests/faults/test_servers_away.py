"""A server that is dead, hangs or is slow: a 503 within a set time, outcomes known by key, nothing lost."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import asyncpg
import pytest

from tests.support.real_stack import Stack, started
from tests.support.service import Answer, unique

RECORD_SECONDS = 2.0
MEMORY_SECONDS = 1.0
SLACK_SECONDS = 6.0
"""For a machine that is busy with other tests."""


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(
        http,
        FLASHGUARD_RECORD_TIMEOUT_SECONDS=str(RECORD_SECONDS),
        FLASHGUARD_LEDGER_TIMEOUT_SECONDS=str(RECORD_SECONDS),
        FLASHGUARD_MEMORY_TIMEOUT_SECONDS=str(MEMORY_SECONDS),
    ) as running:
        yield running


async def open_sale(stack: Stack, stock: int = 1_000) -> str:
    await stack.ready()  # every partition, after what the test before did to them
    sale = await stack.service.create_sale(stock=stock)
    await stack.recorded(sale)
    return sale


async def timed(call: Awaitable[Answer]) -> tuple[Answer, float]:
    begun = time.monotonic()
    return await call, time.monotonic() - begun


Fault = tuple[Callable[[Stack], Awaitable[None]], Callable[[Stack], Awaitable[None]]]


def killed(which: str) -> Fault:
    async def kill(stack: Stack) -> None:
        await getattr(stack.servers, which).kill()

    async def start(stack: Stack) -> None:
        await getattr(stack.servers, which).restart()

    return kill, start


def hanging(*which: str) -> Fault:
    async def hang(stack: Stack) -> None:
        for name in which:
            stack.hang(getattr(stack.servers, name).pid)

    async def go_on(stack: Stack) -> None:
        for name in which:
            stack.go_on(getattr(stack.servers, name).pid)

    return hang, go_on


def slow_ledger() -> Fault:
    held: list[asyncpg.Connection] = []

    async def lock(stack: Stack) -> None:
        connection = await asyncpg.connect(stack.servers.database_url)
        await connection.execute("BEGIN; LOCK TABLE flashguard.items IN ACCESS EXCLUSIVE MODE")
        held.append(connection)

    async def let_go(_: Stack) -> None:
        await held.pop().close()

    return lock, let_go


MEMORY_AWAY = {
    "killed": killed("valkey"),
    "hanging": hanging("valkey"),
    "hanging with the ledger": hanging("valkey", "postgres"),
}
LEDGER_AWAY = {"killed": killed("postgres"), "hanging": hanging("postgres"), "slow": slow_ledger()}


@pytest.mark.parametrize("fault", MEMORY_AWAY)
async def test_while_memory_is_away_everybody_is_told_at_once_and_then_served_again(
    stack: Stack, fault: str
) -> None:
    sale = await open_sale(stack)
    before = (await stack.service.buy(sale, "ann", key="before")).ok(201)
    kept = (await stack.service.hold(sale, "ann", key="kept")).ok(201)
    fail, mend = MEMORY_AWAY[fault]
    await fail(stack)
    try:
        asked = [unique("k") for _ in range(50)]
        crowd = await asyncio.gather(*(timed(stack.service.buy(sale, "bob", key=key)) for key in asked))
        for answer, seconds in crowd:
            answer.problem(503, "recovering")
            assert answer.headers["Retry-After"]
            assert seconds < MEMORY_SECONDS + SLACK_SECONDS
        begun = time.monotonic()
        for _ in range(100):  # one by one: waiting for memory each time would take as many seconds
            (await stack.service.hold(sale, "carol")).problem(503, "recovering")
        assert time.monotonic() - begun < 10 * MEMORY_SECONDS + SLACK_SECONDS
    finally:
        await mend(stack)
    answers = await asyncio.gather(
        *(stack.retried(partial(stack.service.buy, sale, "bob", key=key)) for key in asked)
    )
    assert {answer.status for answer in answers} == {201}
    again = await stack.retried(lambda: stack.service.buy(sale, "ann", key="before"))
    assert again.ok(201)["id"] == before["id"]
    assert (await stack.confirm(kept["id"]))["status"] == "confirmed"
    await stack.ready()
    await stack.recorded(sale)
    report = await stack.service.audit(sale)
    assert report["orders"] == 2 + len(asked)


@pytest.mark.parametrize("fault", LEDGER_AWAY)
async def test_while_the_ledger_is_away_holds_go_on_and_orders_are_known_by_their_keys_later(
    stack: Stack, fault: str
) -> None:
    sale = await open_sale(stack)
    held = (await stack.service.hold(sale, "ann", key="held")).ok(201)
    await stack.recorded(sale)
    fail, mend = LEDGER_AWAY[fault]
    await fail(stack)
    try:
        keys = [unique("k") for _ in range(50)]
        holds = await asyncio.gather(*(timed(stack.service.hold(sale, "bob", key=unique("h"))) for _ in keys))
        assert {answer.status for answer, _ in holds} == {201}
        buys = await asyncio.gather(*(timed(stack.service.buy(sale, "bob", key=key)) for key in keys))
        confirm = await timed(stack.service.verb(held["id"], "confirm"))
        for answer, seconds in [*buys, confirm]:
            answer.problem(503, "overloaded")
            assert answer.headers["Retry-After"]
            assert seconds < 2 * RECORD_SECONDS + SLACK_SECONDS
        for key in keys[:5]:  # what nobody knows yet is not asked for twice
            answer = await stack.service.buy(sale, "bob", key=key)
            assert answer.body["code"] in ("request-in-flight", "recovering")
    finally:
        await mend(stack)
    answers = await asyncio.gather(
        *(stack.retried(partial(stack.service.buy, sale, "bob", key=key)) for key in keys)
    )
    assert {answer.status for answer in answers} == {201}
    assert all(answer.replayed for answer in answers)
    assert (await stack.confirm(held["id"]))["status"] == "confirmed"
    await stack.ready()
    await stack.recorded(sale)
    report = await stack.service.audit(sale)
    assert report["orders"] == 1 + len(keys)
    assert (await stack.service.item(sale))["held"] == len(holds)


async def test_the_backlog_is_bounded_and_drains(http) -> None:
    async with started(http, FLASHGUARD_MAX_BACKLOG_ENTRIES="100") as stack:
        sale = await open_sale(stack, 10_000)
        await stack.servers.postgres.kill()
        held = 0
        answer = await stack.service.hold(sale, "ann")
        while answer.status == 201 and held < 1_000:
            held += 1
            answer = await stack.service.hold(sale, "ann")
        answer.problem(503, "overloaded")
        assert answer.headers["Retry-After"]
        assert 90 <= held <= 110
        await stack.servers.postgres.restart()
        await stack.retried(lambda: stack.service.hold(sale, "ann"))
        await stack.recorded(sale)
        await stack.service.audit(sale)


async def test_a_buy_whose_answer_never_came_is_known_by_its_key_after_the_api_died(
    stack: Stack,
) -> None:
    sale = await open_sale(stack)
    keys = [unique("k") for _ in range(100)]

    async def cut_off(key: str) -> bool:
        try:
            return (await stack.service.buy(sale, "ann", key=key)).status == 201
        except (TimeoutError, OSError, Exception):
            return False

    buys = [asyncio.create_task(cut_off(key)) for key in keys]
    await asyncio.wait(buys, return_when=asyncio.FIRST_COMPLETED)
    await stack.end("api", signal.SIGKILL)
    told = dict(zip(keys, await asyncio.gather(*buys), strict=True))
    stack.start("api")
    await stack.ready()
    for lost in (False, True):
        if lost:
            await stack.recorded(sale)
            before = await stack.epoch(sale)
            await stack.memory.flushall()
            await stack.rebuilt(sale, before)
        answers = {key: await stack.retried(partial(stack.service.buy, sale, "ann", key=key)) for key in keys}
        assert {answer.status for answer in answers.values()} == {201}
        assert all(answers[key].replayed for key in keys if told[key] or lost)
    await stack.recorded(sale)
    assert (await stack.service.audit(sale))["orders"] == len(keys)
    assert (await stack.service.item(sale))["sold"] == len(keys)


async def test_orders_are_answered_when_their_announcements_are_lost(stack: Stack) -> None:
    sale = await open_sale(stack)
    stop = asyncio.Event()

    async def cut_subscribers() -> None:
        while not stop.is_set():
            await stack.memory.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.02)

    cutting = asyncio.create_task(cut_subscribers())
    answers = await asyncio.gather(*(stack.service.buy(sale, f"c{n}", key=unique("k")) for n in range(20)))
    restocked = await stack.service.admin(
        "POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 5, "reason": "more"}
    )
    stop.set()
    await cutting
    assert {answer.status for answer in answers} == {201}
    assert restocked["stock"] == 1_005
    await stack.service.audit(sale)
