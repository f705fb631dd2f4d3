"""One broken sale in memory stops no other sale of its partition, is noticed, repaired and reported."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from flashguard.kernel import keys
from flashguard.model import SaleId
from flashguard.model.shards import shard_ids
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import unique

BACK_SECONDS = 6.0
"""A hold of one second and a sweep every quarter of one, on a busy machine."""


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


def names(stack: Stack, sale: str) -> keys.SaleKeys:
    return keys.sale(stack.partition(sale), SaleId(sale))


async def lose_an_item(stack: Stack, sale: str) -> None:
    await stack.memory.hdel(names(stack, sale).sale, "item:unit")


async def spoil_an_item(stack: Stack, sale: str) -> None:
    await stack.memory.hset(names(stack, sale).sale, "item:unit", "many")


async def spoil_the_deadlines(stack: Stack, sale: str) -> None:
    await stack.memory.set(names(stack, sale).deadlines, "no set")


async def spoil_the_reservations(stack: Stack, sale: str) -> None:
    await stack.memory.set(names(stack, sale).reservations, "no hash")


@pytest.mark.parametrize("spoil", [lose_an_item, spoil_an_item, spoil_the_deadlines, spoil_the_reservations])
async def test_neighbours_holds_come_back_in_time_and_the_broken_sale_is_repaired(
    stack: Stack, spoil: Callable[[Stack, str], Awaitable[None]]
):
    service = stack.service
    await stack.ready()
    broken = await service.create_sale(stock=5, hold_seconds=1)
    beside = []
    while len(beside) < 2:  # one before it and one behind it, as the sweep goes
        name = ("0" if beside else "z") + unique()
        if stack.partition(name) == stack.partition(broken):
            beside.append(await service.create_sale(stock=5, hold_seconds=1, id=name))
    await stack.recorded(broken)
    before = await stack.epoch(broken)
    for sale in (broken, *beside):
        (await service.hold(sale, "ann")).ok(201)
    held_at = time.monotonic()
    await spoil(stack, broken)
    for sale in beside:

        async def back(sale: str = sale) -> bool:
            answer = await service.call("GET", f"/v1/sales/{sale}")
            return answer.status == 200 and answer.body["items"][0]["held"] == 0

        await eventually(back, "the neighbour's unit is back")
    assert time.monotonic() - held_at < BACK_SECONDS
    await stack.rebuilt(broken, before)

    async def repaired() -> bool:
        answer = await service.call("GET", f"/v1/sales/{broken}")
        return answer.status == 200 and answer.body["items"][0]["held"] == 0

    await eventually(repaired, "the broken sale gave its unit back, too")
    for sale in (broken, *beside):
        await service.audit(sale)


async def test_a_lost_item_without_any_hold_is_noticed_within_seconds(stack: Stack):
    await stack.ready()
    sale = await stack.service.create_sale(stock=5)
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await lose_an_item(stack, sale)
    await stack.rebuilt(sale, before)
    (await stack.service.buy(sale, "ann")).ok(201)
    await stack.service.audit(sale)


async def test_the_audit_is_not_ok_while_memory_lacks_an_item(stack: Stack):
    await stack.ready()
    sale = await stack.service.create_sale(stock=5)
    await stack.recorded(sale)
    await stack.end("recorder")  # nobody repairs it
    try:
        await lose_an_item(stack, sale)
        report = (await stack.service.call("GET", f"/v1/sales/{sale}/audit", admin=True)).ok()
        assert not report["ok"]
        [item] = report["items"]
        assert (item["ok"], item["memory_stock"]) == (False, None)
        assert "not this item" in item["differences"][0]
    finally:
        stack.start("recorder")
    await stack.ready()


async def test_an_item_that_memory_lost_is_recovering_and_never_unknown(stack: Stack):
    await stack.ready()
    service = stack.service
    sale = await service.create_sale(stock=5, waiting_list=10)
    order = (await service.buy(sale, "ann")).ok(201)["id"]
    await stack.recorded(sale)
    await stack.end("recorder")  # nobody repairs it
    try:
        await lose_an_item(stack, sale)
        basket = {"customer": "bob", "items": [{"sku": "unit", "quantity": 1}]}
        more = {"delta": 1, "reason": "more"}
        for path, body in (
            (f"sales/{sale}/reservations", basket),
            (f"sales/{sale}/orders", basket),
            (f"sales/{sale}/waiting-list", basket),
            (f"sales/{sale}/items/unit/restock", more),
            (f"orders/{order}/cancel", {"restock": True}),
        ):
            answer = await service.call("POST", f"/v1/{path}", body, admin=True)
            assert answer.problem(503, "recovering")["retry_after_seconds"] > 0
    finally:
        stack.start("recorder")
    await stack.ready()

    async def known_again() -> bool:
        return (await service.call("POST", f"/v1/sales/{sale}/orders", basket)).status == 201

    await eventually(known_again, "the item is back")
    other = {"customer": "bob", "items": [{"sku": "other", "quantity": 1}]}
    (await service.call("POST", f"/v1/sales/{sale}/orders", other)).problem(404, "unknown-item")


@pytest.mark.parametrize("spread", [1, 2])
async def test_an_item_that_memory_cant_read_stops_no_page_and_is_recovering(stack: Stack, spread: int):
    """Its counters are the ledger's; no unit of it is given, and none is counted."""
    await stack.ready()
    service = stack.service
    sale = await service.create_sale(stock=8, skus=("bad", "good"), spread=spread)
    for sku in ("bad", "good"):
        body = {"customer": "ann", "items": [{"sku": sku, "quantity": 1}]}
        (await service.call("POST", f"/v1/sales/{sale}/orders", body)).ok(201)
    shards = shard_ids(SaleId(sale), spread)
    for shard in shards:
        await stack.recorded(shard)
    await stack.end("recorder")  # nobody repairs it
    try:
        last = shards[-1]
        counters = "4 -1 0" if spread == 2 else "8 -1 1"
        await stack.memory.hset(names(stack, last).sale, "item:bad", counters)
        listed = (await service.call("GET", "/v1/sales?limit=500", admin=True)).ok()
        [of_list] = [each for each in listed["data"] if each["id"] == sale]
        for page in (of_list, (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()):
            counters = [(item["stock"], item["held"], item["sold"]) for item in page["items"]]
            assert counters == [(8, 0, 1)] * 2
        good = {"customer": "bob", "items": [{"sku": "good", "quantity": 1}]}
        (await service.call("POST", f"/v1/sales/{sale}/reservations", good)).ok(201)
        path = f"/v1/sales/{sale}/items/bad/restock"
        counted = await service.call("POST", path, {"stock": 20, "reason": "counted"}, admin=True)
        counted.problem(503, "recovering")
        report = (await service.call("GET", f"/v1/sales/{sale}/audit", admin=True)).ok()
        assert not report["ok"]
    finally:
        stack.start("recorder")
    await stack.ready()
