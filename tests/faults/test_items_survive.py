"""Changes of items are facts of the journal: they survive deaths, rebuilds, and a ledger set back."""

import asyncio
from typing import Any

from tests.faults.test_ledger_fell_back import everything_recorded, recover, set_back, shown, trimmed
from tests.faults.test_recover import SHORT, waits_for_an_operator
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import Answer

CAP = {"sku": "cap", "name": "Cap", "price_minor": 500, "currency": "EUR", "stock": 3}
HALL = {"id": "hall", "name": "Hall", "stock": 9}


async def change(stack: Stack, sale: str, method: str, sku: str = "", body: Any = None) -> Answer:
    path = f"/v1/sales/{sale}/items/{sku}".removesuffix("/")
    return await stack.service.call(method, path, body, admin=True)


def basket(sku: str, quantity: int = 1) -> dict[str, Any]:
    return {"customer": "ann", "items": [{"sku": sku, "quantity": quantity}]}


async def buy(stack: Stack, sale: str, sku: str) -> dict[str, Any]:
    return (await stack.service.call("POST", f"/v1/sales/{sale}/orders", basket(sku))).ok(201)


async def edit(stack: Stack, sale: str) -> list[dict[str, Any]]:
    """Add, sell, change and remove items; return the orders."""
    (await change(stack, sale, "POST", body=CAP)).ok(201)
    orders = [await buy(stack, sale, "cap")]
    (await change(stack, sale, "PATCH", "cap", {"price_minor": 700, "name": "Hat"})).ok()
    orders.append(await buy(stack, sale, "cap"))
    drawn = CAP | {"sku": "day", "stock": None, "uses": [{"pool": "hall", "quantity": 2}]}
    (await change(stack, sale, "POST", body=drawn)).ok(201)
    orders.append(await buy(stack, sale, "day"))
    (await change(stack, sale, "PATCH", "unit", {"on_sale": False})).ok()
    assert (await change(stack, sale, "DELETE", "other")).status == 204
    (await change(stack, sale, "POST", body=CAP | {"sku": "other", "stock": 8})).ok(201)
    more = {"delta": 4, "reason": "more"}
    await stack.service.admin("POST", f"/v1/sales/{sale}/items/other/restock", more)
    orders.append(await buy(stack, sale, "other"))
    return orders


async def check(stack: Stack, sale: str, orders: list[dict[str, Any]]) -> None:
    for order in orders:
        path = f"/v1/reservations/{order['id']}"
        assert (await stack.service.call("GET", path)).ok()["items"] == order["items"]
    assert (await buy(stack, sale, "cap"))["items"][0]["price_minor"] == 700
    unit = await stack.service.call("POST", f"/v1/sales/{sale}/orders", basket("unit"))
    unit.problem(409, "item-not-on-sale")
    assert (await stack.service.item(sale, "other"))["stock"] == 12
    await stack.service.audit(sale)


async def a_sale(stack: Stack) -> str:
    return await stack.service.create_sale(skus=("unit", "other"), stock=5, spread=1, pools=[HALL])


async def test_what_became_of_items_comes_back_with_a_ledger_that_fell_back(http) -> None:
    async with started(http) as stack:
        old = await a_sale(stack)
        await everything_recorded(stack)
        async with set_back(stack):
            new = await a_sale(stack)
            orders = {sale: await edit(stack, sale) for sale in (old, new)}
            await everything_recorded(stack)
            before = [await shown(stack, sale) for sale in orders]
            epochs = [await stack.epoch(sale) for sale in orders]
        await everything_recorded(stack)
        assert [await shown(stack, sale) for sale in orders] == before
        assert [await stack.epoch(sale) for sale in orders] == epochs  # replayed, not rebuilt
        for sale, made in orders.items():
            await check(stack, sale, made)


async def test_changes_that_one_recorder_left_are_written_in_order_by_the_next(http) -> None:
    async with started(http) as stack:
        sale = await a_sale(stack)
        await everything_recorded(stack)
        await stack.end("recorder")
        seq = int((await stack.head(sale))["seq"])
        calls: list[asyncio.Task[Any]] = []
        more = {"delta": 4, "reason": "more"}
        hold = stack.service.call("POST", f"/v1/sales/{sale}/reservations", basket("cap"))
        for number, call in enumerate((
            change(stack, sale, "POST", body=CAP),
            change(stack, sale, "PATCH", "cap", {"price_minor": 700}),
            hold,
            stack.service.call("POST", f"/v1/sales/{sale}/items/other/restock", more, admin=True),
            change(stack, sale, "DELETE", "other"),
            change(stack, sale, "POST", body=CAP | {"sku": "other", "stock": 8}),
            stack.service.call("POST", f"/v1/sales/{sale}/items/other/restock", more, admin=True),
            change(stack, sale, "PATCH", "unit", {"on_sale": False}),
        )):  # fmt: skip
            calls.append(asyncio.create_task(call))

            async def decided(number: int = number) -> bool:
                return int((await stack.head(sale))["seq"]) > seq + number

            await eventually(decided, "memory has decided it")
        stack.start("recorder")
        answers = await asyncio.gather(*calls)
        assert {answer.status for answer in answers} <= {200, 201, 204, 409, 503}, answers
        await everything_recorded(stack)
        found = {item["sku"]: item for item in (await shown(stack, sale))["items"]}
        assert {sku: item["stock"] for sku, item in found.items()} == {"unit": 5, "cap": 3, "other": 12}
        assert found["cap"]["price_minor"] == 700
        assert [item["on_sale"] for item in found.values()] == [False, True, True]
        await stack.service.audit(sale)


async def test_a_rebuild_keeps_prices_and_what_is_off_sale(http) -> None:
    async with started(http) as stack:
        sale = await a_sale(stack)
        orders = await edit(stack, sale)
        hold = await stack.service.call("POST", f"/v1/sales/{sale}/reservations", basket("cap"))
        held = hold.ok(201)
        (await change(stack, sale, "PATCH", "cap", {"price_minor": 900})).ok()
        await everything_recorded(stack)
        before, epoch = await shown(stack, sale), await stack.epoch(sale)
        await stack.memory.flushall()

        async def rebuilt() -> bool:
            return await stack.epoch(sale) > epoch

        await eventually(rebuilt, "memory is rebuilt")
        await stack.ready()
        assert await shown(stack, sale) == before
        confirmed = (await stack.service.verb(held["id"], "confirm")).ok()
        assert confirmed["items"][0]["price_minor"] == 700
        (await change(stack, sale, "PATCH", "cap", {"price_minor": 700})).ok()
        restock = {"delta": 1, "reason": "for the check"}
        await stack.service.admin("POST", f"/v1/sales/{sale}/items/cap/restock", restock)
        await check(stack, sale, orders)


async def test_an_operators_choice_for_memory_keeps_its_items(http) -> None:
    async with started(http, **SHORT) as stack:
        sale = await a_sale(stack)
        await everything_recorded(stack)
        async with set_back(stack):
            (await change(stack, sale, "PATCH", "unit", {"on_sale": False})).ok()
            (await change(stack, sale, "POST", body=CAP)).ok(201)
            (await change(stack, sale, "PATCH", "cap", {"price_minor": 700})).ok()
            assert (await change(stack, sale, "DELETE", "other")).status == 204
            await everything_recorded(stack)
            await eventually(lambda: trimmed(stack, sale), "the journal's tail is short")

        await waits_for_an_operator(stack, sale)
        assert recover(stack, "--take", "memory")[0] == 0
        await stack.ready()
        await everything_recorded(stack)
        found = {item["sku"]: item for item in (await shown(stack, sale))["items"]}
        assert found.keys() == {"unit", "cap"}
        assert (found["unit"]["on_sale"], found["cap"]["price_minor"]) == (False, 700)
        assert (await buy(stack, sale, "cap"))["items"][0]["price_minor"] == 700
