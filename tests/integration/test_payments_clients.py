"""Payments by both clients, against the real service over a line that fails."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from flashguard.client import AsyncClient, Client, OrderPayment, ProblemError, Refused
from flashguard.errors import Code
from tests.integration.test_client import QUICK, Awaited
from tests.integration.test_payments import PRICE
from tests.integration.test_typescript_client import CLIENT, needs_the_built_client
from tests.support.eventually import eventually
from tests.support.faulty import FaultyLine
from tests.support.real_stack import Stack, started
from tests.support.service import ADMIN_KEY
from tests.support.stand_in import StandIn, standing_in


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    async with started(http, **provider.settings()) as it:
        it.start("deliverer")
        provider.webhook_url = it.service.url
        yield it


@pytest.fixture
async def line(stack: Stack, provider: StandIn) -> AsyncIterator[FaultyLine]:
    await stack.ready()
    provider.plan.clear()
    async with FaultyLine(stack.service.url).open() as opened:
        yield opened


class Sync(Awaited):
    """The client that waits: its payments, too."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.payments = Awaited(client.payments)  # type: ignore[arg-type]


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, line: FaultyLine) -> AsyncIterator[Any]:
    if request.param == "async":
        async with AsyncClient(line.url, ADMIN_KEY, retry=QUICK) as awaited:
            yield awaited
    else:
        with Client(line.url, ADMIN_KEY, retry=QUICK) as waiting:
            yield Sync(waiting)


async def hold(client: Any, sale: str, customer: str = "ann") -> str:
    return str((await client.reserve(sale, customer, {"unit": 1})).reservation.id)


async def test_a_hold_is_paid_and_becomes_an_order_over_a_line_that_fails(
    stack: Stack, provider: StandIn, line: FaultyLine, http: aiohttp.ClientSession, client: Any
) -> None:
    sale = await stack.service.create_sale()
    held = await hold(client, sale)
    line.next_requests_meet("cut-after", "502")
    assert await client.payments.providers() == ("signed",)
    line.next_requests_meet("cut-after", "502", "503-now")
    begun = await client.payments.begin(held, "signed", success_url="https://shop.example/thanks")
    assert (begun.status, begun.amount_minor, begun.currency) == ("open", PRICE, "EUR")
    assert await client.payments.begin(held, "signed") == begun
    async with http.post(begun.url) as paid:
        assert paid.status == 200
    (payment,) = await client.payments.of_reservation(held)
    assert (payment.id, payment.status, payment.paid_minor) == (begun.id, "order", PRICE)
    assert await client.payments.get(begun.id) == payment
    shown = OrderPayment(
        id=begun.id, provider="signed", status="order", amount_minor=PRICE, currency="EUR", refunded_minor=0
    )
    assert [order.payment async for order in client.orders(sale)] == [shown]
    assert (await client.order(held)).payment == shown


async def test_payments_are_listed_page_by_page_by_what_they_are(
    stack: Stack, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashguard.client.payments.PAGE", 2)
    sale = await stack.service.create_sale()
    holds = [await hold(client, sale, f"c{number}") for number in range(5)]
    begun = [(await client.payments.begin(held, "signed")).id for held in holds]

    async def listed(**which: str) -> list[str]:
        return [payment.id async for payment in client.payments.list(**which)]

    assert await listed(sale=sale) == begun[::-1]
    assert await listed(reservation=holds[1]) == [begun[1]]
    assert await listed(sale=sale, status="order") == []
    assert await listed(sale=sale, refund="failed") == []


async def test_a_refund_that_failed_is_asked_for_again_and_made_once(
    stack: Stack, provider: StandIn, line: FaultyLine, http: aiohttp.ClientSession, client: Any
) -> None:
    held = await hold(client, await stack.service.create_sale())
    payment = await client.payments.begin(held, "signed")
    async with http.post(payment.url) as paid:
        assert paid.status == 200
    provider.plan["refunds"] = ["failed"]
    await client.cancel(held, restock=True)

    async def refunds() -> list[str]:
        return [refund.status for refund in (await client.payments.get(payment.id)).refunds]

    async def failed() -> bool:
        return await refunds() == ["failed"]

    async def done() -> bool:
        return await refunds() == ["failed", "done"]

    await eventually(failed, "the refund failed", 30)
    line.next_requests_meet("cut-after", "502")
    retried = await client.payments.retry_refunds(payment.id)
    assert [refund.retried_as for refund in retried.refunds] == [f"{payment.id}-2", None]
    await eventually(done, "the new refund is done", 30)
    assert provider.kept(payment.id) == 0


async def test_what_a_buyer_can_cause_is_a_value_and_the_rest_is_raised(stack: Stack, client: Any) -> None:
    sale = await stack.service.create_sale()
    held = await hold(client, sale)
    await client.release(held)
    over = await client.payments.begin(held, "signed")
    assert isinstance(over, Refused)
    assert over.code == Code.RESERVATION_RELEASED
    assert (await client.payments.begin(await hold(client, sale), "paypal")).code == Code.UNKNOWN_PROVIDER
    for call in (client.payments.get, client.payments.retry_refunds):
        with pytest.raises(ProblemError) as unknown:
            await call("pay_none")
        assert unknown.value.code == Code.UNKNOWN_PAYMENT
    with pytest.raises(ProblemError, match="success_url"):
        await client.payments.begin(await hold(client, sale), "signed", success_url="no address")


@needs_the_built_client
async def test_the_typescript_client_takes_payments(line: FaultyLine) -> None:
    env = os.environ | {"FLASHGUARD_URL": line.url, "FLASHGUARD_KEY": ADMIN_KEY, "FLASHGUARD_PAYMENTS": "yes"}
    done = await asyncio.to_thread(
        subprocess.run, ["node", "--test", "test/payments.test.mjs"], cwd=CLIENT, env=env,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout
