"""Locations after memory or the ledger lost something: units stay where they were, and none is sold twice."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.ledger import Ledger
from flashguard.model import SaleId
from tests.faults.test_ledger_fell_back import recover, set_back, trimmed
from tests.faults.test_pools_survive import SHORT, flushed
from tests.integration.test_locations import at, buy, hold, shop, where
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def bought(stack: Stack, sale: str, customer: str, *lines: tuple[Any, ...]) -> dict[str, Any]:
    answer = await stack.retried(lambda: buy(stack.service, sale, customer, *lines, key=customer))
    return answer.ok(201)


async def test_units_stay_where_they_were_through_a_rebuild(stack: Stack) -> None:
    service = stack.service
    sale = await shop(service, split=True)
    held = (await hold(service, sale, "ann", ("shoe", 1, "hamburg"), ("bag", 1))).ok(201)
    order = await bought(stack, sale, "bob", ("shoe", 4))
    await flushed(stack, sale)
    places = {"shoe": {"hamburg": 1}, "bag": {"hamburg": 1}}
    path = f"/v1/reservations/{held['id']}"
    again = (await service.call("GET", path)).ok()
    assert (where(again), again["receipt"]) == (places, held["receipt"])
    assert where((await service.call("GET", f"/v1/orders/{order['id']}", admin=True)).ok()) == {
        "shoe": {"berlin": 2, "hamburg": 2}
    }
    assert await at(service, sale, "shoe") == {"berlin": (2, 0, 0, 2), "hamburg": (3, 0, 1, 2)}
    await stack.confirm(held["id"])
    assert where((await service.call("GET", path)).ok()) == places
    body = {"restock": False, "reason": "torn"}
    (await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)).ok()
    assert await at(service, sale, "shoe") == {"berlin": (0, 0, 0, 0), "hamburg": (1, 0, 0, 1)}
    await service.audit(sale)


async def test_a_location_that_memory_lost_sells_nothing_until_it_is_there_again(stack: Stack) -> None:
    sale = await shop(stack.service)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    name = keys.sale(stack.partition(sale), SaleId(sale)).sale
    await stack.memory.hdel(name, "item:shoe\x1fberlin")
    order = await bought(stack, sale, "ann", ("shoe", 1))
    assert where(order) == {"shoe": {"berlin": 1}}
    await stack.rebuilt(sale, before)
    await stack.service.audit(sale)


async def test_the_ledger_has_a_late_confirm_where_its_units_are_then(stack: Stack) -> None:
    """The hold ends and is confirmed elsewhere in one group of the recorder."""
    sale = await shop(stack.service, hold_seconds=1)
    held = (await hold(stack.service, sale, "ann", ("shoe", 2))).ok(201)
    assert where(held) == {"shoe": {"berlin": 2}}

    async def expired() -> bool:
        return (await stack.service.item(sale, "shoe"))["available"] == 5

    await eventually(expired, "the hold's units are back")
    await bought(stack, sale, "bob", ("shoe", 1))
    path, body = f"/v1/reservations/{held['id']}/confirm", {"receipt": held["receipt"]}
    assert where((await stack.service.call("POST", path, body)).ok()) == {"shoe": {"hamburg": 2}}
    await stack.recorded(sale)
    await flushed(stack, sale)
    assert await at(stack.service, sale, "shoe") == {"berlin": (2, 1, 0, 1), "hamburg": (3, 1, 0, 2)}
    ledger = await Ledger.connect(stack.servers.database_url)
    async with ledger.connection() as connection:
        text = await connection.fetchval(
            "SELECT details FROM flashguard.reservations WHERE sale_id = $1 AND customer = 'ann'", sale
        )
    await ledger.close()
    assert json.loads(text)["takes"] == ["shoe", 2, "shoe\x1fhamburg", 2]
    await stack.service.audit(sale)


async def test_a_ledger_that_lost_the_sale_gets_its_locations_from_the_journal(http) -> None:
    async with started(http) as stack:
        async with set_back(stack):
            sale = await shop(stack.service)
            await bought(stack, sale, "ann", ("shoe", 1), ("bag", 1))
            await stack.recorded(sale)
        await stack.ready()
        await stack.recorded(sale)
        await flushed(stack, sale)
        order = await bought(stack, sale, "bob", ("shoe", 2))
        assert where(order) == {"shoe": {"berlin": 2}}
        assert await at(stack.service, sale, "shoe") == {"berlin": (2, 0, 0, 2), "hamburg": (3, 2, 0, 1)}
        await stack.service.audit(sale)


async def test_an_operator_takes_the_memory_of_a_sale_that_only_memory_has(http) -> None:
    """Its creation is no longer in the journal: its locations come from memory too."""
    async with started(http, **SHORT) as stack:
        async with set_back(stack):
            sale = await shop(stack.service)
            held = (await hold(stack.service, sale, "ann", ("shoe", 2))).ok(201)
            for customer in "bcd":
                await bought(stack, sale, customer, ("shoe", 1))
            await stack.recorded(sale)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")

        async def fenced() -> bool:
            return "why" in await stack.head(sale)

        await eventually(fenced, "the partition waits for an operator")
        code, _ = recover(stack, "--take", "memory")
        assert code == 0
        await stack.ready()
        assert (await at(stack.service, sale, "shoe"))["berlin"] == (2, 0, 2, 0)
        await stack.confirm(held["id"])
        order = await bought(stack, sale, "eve", ("bag", 1))
        assert where(order) == {"bag": {"hamburg": 1}}
        await stack.service.audit(sale)
