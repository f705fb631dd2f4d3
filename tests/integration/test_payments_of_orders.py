"""Orders are read with their payments."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.test_amend import amend, cancel
from tests.integration.test_payments import PRICE, Till
from tests.support.real_stack import Stack, started
from tests.support.stand_in import StandIn, standing_in


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    async with started(http, **provider.settings()) as it:
        it.start("deliverer")
        yield it


@pytest.fixture
async def till(stack: Stack, provider: StandIn, http: aiohttp.ClientSession) -> Till:
    await stack.ready()
    provider.plan.clear()
    return Till(stack, provider, http)


def shown(payment: str, status: str, minor: int, refunded: int) -> dict[str, Any]:
    return {
        "id": payment, "provider": "signed", "status": status, "amount_minor": minor, "currency": "EUR",
        "refunded_minor": refunded,
    }  # fmt: skip


async def read(till: Till, order: str) -> Any:
    return (await till.service.call("GET", f"/v1/orders/{order}", admin=True)).ok()["payment"]


@pytest.mark.parametrize("spread", [0, 2], ids=["", "spread"])
async def test_an_order_carries_the_payment_that_pays_for_it(till: Till, spread: int) -> None:
    sale = await till.service.create_sale(stock=9, **({"spread": spread} if spread else {}))
    paid, payment = await till.held_and_begun(sale, 2)
    assert await till.send(till.provider.pay(payment))
    await till.until(paid, "order")
    assert await read(till, paid) == shown(payment, "order", 2 * PRICE, 0)
    (await cancel(till.service, paid, {"unit": 1})).ok()
    await till.until(paid, "order", "done")
    bought = str((await till.service.buy(sale, "bob")).ok(201)["id"])
    open_, begun = await till.held_and_begun(sale)
    (await till.service.verb(open_, "confirm")).ok()  # by the shop, while the buyer could pay
    expected = {
        paid: shown(payment, "order", 2 * PRICE, PRICE),
        bought: None,
        open_: shown(begun, "open", PRICE, 0),
    }
    await till.stack.recorded(sale)
    path = f"/v1/sales/{sale}/orders"
    for query in ("", "?newest=true"):
        page = (await till.service.call("GET", path + query, admin=True)).ok()["data"]
        assert {each["id"]: each["payment"] for each in page} == expected
    for order, payment_of in expected.items():
        assert await read(till, order) == payment_of
    text = (await till.service.call("GET", f"{path}?format=csv", admin=True)).body
    rows = {row["order_id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert {order: list(row.values())[-6:] for order, row in rows.items()} == {
        order: [str(value) for value in (payment_of or dict.fromkeys(range(6), "")).values()]
        for order, payment_of in expected.items()
    }
    (await cancel(till.service, paid)).ok()
    await till.until(paid, "order", "done", "done")
    assert await read(till, paid) == shown(payment, "order", 2 * PRICE, 2 * PRICE)


async def test_of_several_payments_the_one_that_took_money_is_shown(till: Till) -> None:
    sale = await till.service.create_sale()
    hold, first = await till.held_and_begun(sale)
    assert await till.send(till.provider.pay(first))
    await till.until(hold, "order")
    other, wrong = await till.held_and_begun(sale)
    assert await till.send(till.provider.pay(wrong, 5))
    await till.until(other, "refused", "done")
    (await amend(till.service, other, {"unit": 2})).ok()
    newest = (await till.begin(other))["id"]
    (await till.service.verb(other, "confirm")).ok()
    assert await read(till, other) == shown(wrong, "refused", PRICE, 5)
    assert await till.send(till.provider.pay(newest))
    await till.until(other, "order")
    assert await read(till, other) == shown(newest, "order", 2 * PRICE, 0)
