"""A graceful stop: what is under way is answered; a rolling restart shows no error to who retries as told."""

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started
from tests.support.service import unique


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


@pytest.mark.parametrize("what", ["api", "recorder"])
async def test_sigterm_lets_what_is_under_way_be_answered(stack: Stack, what: str) -> None:
    sale = await stack.service.create_sale(stock=1_000)
    buys = [asyncio.create_task(stack.service.buy(sale, "ann", key=unique("k"))) for _ in range(200)]
    await asyncio.wait(buys, return_when=asyncio.FIRST_COMPLETED)
    if what == "recorder":  # the next one takes over where it stopped
        stack.start("recorder-2", "recorder")
    await stack.end(what, signal.SIGTERM)
    answers = await asyncio.gather(*buys, return_exceptions=True)
    answered = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert {answer.status for answer in answered} == {201}
    if what == "recorder":
        assert len(answered) == 200
        await stack.recorded(sale)
        assert (await stack.service.audit(sale))["orders"] == 200
        await stack.end("recorder-2", signal.SIGTERM)
    stack.start(what)
    await stack.ready()
    await stack.recorded(sale)
    report = await stack.service.audit(sale)
    assert report["orders"] >= len(answered)


async def test_units_that_wait_to_come_back_are_counted_and_do(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=9, hold_seconds=1)
    (await stack.service.hold(sale, "ann", 4)).ok(201)
    await stack.recorded(sale)
    await stack.end("recorder")

    async def out() -> bool:
        return await stack.metric("flashguard_units_returning") == 4

    await eventually(out, "the ended hold's units are counted")
    assert await stack.metric("flashguard_units_leaked") == 0
    item = (await stack.service.audit(sale))["items"][0]
    assert item["returning"] == 4
    assert item["returning_seconds"] > 0
    stack.start("recorder")

    async def back() -> bool:
        return await stack.metric("flashguard_units_returning") == 0

    await eventually(back, "they are back")
    await stack.recorded(sale)
    item = (await stack.service.audit(sale))["items"][0]
    assert (item["returning"], item["held"], item["available"]) == (0, 0, 9)


async def test_a_rolling_restart_shows_no_error_to_a_client_that_retries_as_told(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=100_000)
    first, second = stack.service.url, f"http://127.0.0.1:{(port := free_port())}"
    stack.start("api-2", "api", FLASHGUARD_PORT=str(port))
    urls, done = [first, second], asyncio.Event()

    async def client() -> list[str]:
        """Tries the next address when one does not answer, always with the same key."""
        orders = []
        while not done.is_set():
            key, customer = unique("k"), unique("c")
            for attempt in range(400):
                service = stack.at(urls[attempt % 2])
                answer = await stack.once(partial(service.buy, sale, customer, key=key))
                if answer is not None and answer.status not in (503, 409):
                    break
                await asyncio.sleep(0.05)
            assert answer is not None
            orders.append(answer.ok(201)["id"])
        return orders

    async def restart(name: str, url: str, **env: str) -> None:
        await stack.end(name, signal.SIGTERM)
        stack.start(name, "api", **env)
        await eventually(stack.at(url).ready, f"{name} is back")

    await eventually(stack.at(second).ready, "the second api is ready")
    clients = [asyncio.create_task(client()) for _ in range(16)]
    try:
        for _ in range(2):
            await restart("api", first)
            await restart("api-2", second, FLASHGUARD_PORT=str(port))
        await stack.end("recorder", signal.SIGTERM)
        stack.start("recorder")
    finally:
        await asyncio.sleep(0.5)
        done.set()
        orders = [id_ for ids in await asyncio.gather(*clients) for id_ in ids]
        await stack.end("api-2", signal.SIGTERM)
    assert len(set(orders)) == len(orders)
    await stack.ready()
    await stack.recorded(sale)
    assert (await stack.service.audit(sale))["orders"] == len(orders)
