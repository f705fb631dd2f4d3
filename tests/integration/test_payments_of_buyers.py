"""Where a payment provider is set, a buyer's token makes no order that costs money: only its payment does."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from tests.support.real_stack import Stack, started
from tests.support.service import Answer, Service, unique
from tests.support.stand_in import StandIn, standing_in

ITEMS = [
    {"sku": "unit", "name": "Unit", "price_minor": 1999, "currency": "EUR", "stock": 10},
    {"sku": "free", "name": "Free", "price_minor": 0, "currency": "EUR", "stock": 10},
]
COMPRESSED_NOT = {"Content-Encoding": "identity"}
"""A request with this header is answered by the framework, not by the lane."""


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    async with started(http, **provider.settings()) as it:
        it.start("deliverer")
        yield it


class Buyer:
    """A buyer's browser, with a token for one sale."""

    def __init__(self, service: Service, sale: str, token: str, more: Mapping[str, str]) -> None:
        self._service, self._sale = service, sale
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **more}

    async def call(self, method: str, path: str, body: Any = None) -> Answer:
        return await self._service.call(method, path, body, headers=self._headers)

    async def take(self, noun: str, sku: str) -> Answer:
        body = {"customer": "ann", "items": [{"sku": sku, "quantity": 1}]}
        return await self.call("POST", f"/v1/sales/{self._sale}/{noun}", body)

    async def hold(self, sku: str = "unit") -> dict[str, Any]:
        return (await self.take("reservations", sku)).ok(201)


async def buyer(stack: Stack, more: Mapping[str, str]) -> Buyer:
    service, sale = stack.service, unique()
    await service.admin("POST", "/v1/sales", {"id": sale, "name": "Paid", "items": ITEMS})
    await service.admin("POST", f"/v1/sales/{sale}/open")
    minted = await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
    return Buyer(service, sale, minted["token"], more)


@pytest.mark.parametrize("more", [{}, COMPRESSED_NOT], ids=["lane", "framework"])
async def test_a_buyer_confirms_and_buys_only_what_is_free(stack: Stack, more: dict[str, str]):
    ann = await buyer(stack, more)
    (await ann.take("orders", "unit")).problem(403, "forbidden")
    hold = await ann.hold()
    refused = (await ann.call("POST", f"/v1/reservations/{hold['id']}/confirm")).problem(403, "forbidden")
    assert "/payment" in refused["detail"]
    shown = {"receipt": hold["receipt"]}
    (await ann.call("POST", f"/v1/reservations/{hold['id']}/confirm", shown)).problem(403, "forbidden")
    assert (await ann.call("GET", f"/v1/reservations/{hold['id']}")).ok()["status"] == "held"
    assert (await ann.take("orders", "free")).ok(201)["status"] == "confirmed"
    free = await ann.hold("free")
    assert (await ann.call("POST", f"/v1/reservations/{free['id']}/confirm")).ok()["status"] == "confirmed"


async def test_a_receipt_of_a_hold_that_has_ended_needs_its_payment_too(stack: Stack):
    ann = await buyer(stack, {})
    hold = await ann.hold()
    (await ann.call("POST", f"/v1/reservations/{hold['id']}/release")).ok()
    late = await ann.call("POST", f"/v1/reservations/{hold['id']}/confirm", {"receipt": hold["receipt"]})
    late.problem(403, "forbidden")
    other = await ann.call("POST", f"/v1/reservations/{hold['id']}/confirm")
    other.problem(409, "reservation-released")


async def test_the_shops_own_key_confirms_and_buys_as_before(stack: Stack):
    ann = await buyer(stack, {})
    hold = await ann.hold()
    done = await stack.service.call("POST", f"/v1/reservations/{hold['id']}/confirm", admin=True)
    assert done.ok()["status"] == "confirmed"
    again = await ann.call("POST", f"/v1/reservations/{hold['id']}/confirm")
    assert again.ok()["status"] == "confirmed"  # it is an order already
