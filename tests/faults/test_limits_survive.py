"""What limits by item and by identity count survives the loss of memory, also of a hold that only its receipt
proves."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.faults.test_receipts import confirm
from tests.integration.test_amend import amend, cancel
from tests.integration.test_limits import buy, by, hold, item, over
from tests.support.real_stack import Stack, started
from tests.support.service import Answer, unique

CARD = {"card": "tok_ann"}


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def lost_and_rebuilt(stack: Stack, sale: str) -> None:
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    await stack.ready()


async def used(stack: Stack, sale: str, kind: str = "used") -> dict[bytes, bytes]:
    [name] = [key async for key in stack.memory.scan_iter(f"*}}:{kind}:{sale}")]
    return await stack.memory.hgetall(name)  # type: ignore[no-any-return]


async def test_memory_is_built_again_with_what_limits_counted(stack: Stack) -> None:
    service = stack.service
    items = [item("vip", limit_per_customer=3), item("seat")]
    limits: list[dict[str, Any]] = [by("card", 4, "vip"), by("tel", 9)]
    sale = await service.create_sale(items=items, limits=limits)
    who = CARD | {"tel": "1"}
    held = (await hold(service, sale, "ann", {"vip": 2, "seat": 1}, who)).ok(201)
    order = (await buy(service, sale, "ann", {"vip": 1}, who)).ok(201)
    (await buy(service, sale, "bob", {"seat": 2}, {"tel": "1"})).ok(201)
    (await amend(service, held["id"], {"vip": 1, "seat": 1})).ok()
    await stack.recorded(sale)
    before = await used(stack, sale)
    assert len(before) == 6  # the mark, two customers, an item of one, a card, a telephone of both
    await lost_and_rebuilt(stack, sale)
    assert await used(stack, sale) == before
    assert over(await buy(service, sale, "ann", {"vip": 2}, who)) == {"limit": 3, "used": 2, "sku": "vip"}
    assert over(await buy(service, sale, "eve", {"vip": 3}, who)) == {"limit": 4, "used": 2, "by": "card"}
    (await stack.confirm(held["id"]))
    (await cancel(service, order["id"], {"vip": 1})).ok()
    (await buy(service, sale, "eve", {"vip": 3}, who)).ok(201)
    await service.audit(sale)


async def test_a_lost_hold_is_counted_by_the_identities_of_its_receipt(stack: Stack) -> None:
    service = stack.service
    sale = await service.create_sale(stock=9, limits=[by("card", 2)])
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    one = (await hold(service, sale, "ann", {"unit": 1}, CARD)).ok(201)
    two = (await hold(service, sale, "bob", {"unit": 2}, {"card": "b"})).ok(201)
    await stack.memory.flushall()
    stack.start("recorder")
    await stack.rebuilt(sale, before)
    await stack.ready()
    (await stack.retried(lambda: buy(service, sale, "eve", {"unit": 1}, {"card": "b"}))).ok(201)
    (await confirm(stack, two, two["receipt"])).problem(409, "limit-reached")
    (await confirm(stack, one, one["receipt"])).ok()
    assert over(await buy(service, sale, "cid", {"unit": 2}, CARD)) == {"limit": 2, "used": 1, "by": "card"}
    await lost_and_rebuilt(stack, sale)
    assert over(await buy(service, sale, "cid", {"unit": 2}, CARD)) == {"limit": 2, "used": 1, "by": "card"}
    await service.audit(sale)


async def test_an_entry_waits_with_its_identity_after_memory_was_lost(stack: Stack) -> None:
    service = stack.service
    sale = await service.create_sale(stock=1, limits=[by("card", 1)], waiting_list=9)
    order = (await buy(service, sale, "a", {"unit": 1}, {"card": "a"})).ok(201)
    body = {"customer": "ann", "items": [{"sku": "unit", "quantity": 1}], "identities": CARD}
    (await service.call("POST", f"/v1/sales/{sale}/waiting-list", body)).ok(201)
    await lost_and_rebuilt(stack, sale)
    (await cancel(service, order["id"], {"unit": 1})).ok()
    assert over(await buy(service, sale, "eve", {"unit": 1}, CARD)) == {"limit": 1, "used": 1, "by": "card"}
    await service.audit(sale)


async def test_what_a_card_did_with_holds_counts_after_memory_is_lost(stack: Stack) -> None:
    service = stack.service
    sale = await service.create_sale(
        stock=50, max_held_per_customer=3, cool_down_seconds=3_600, cool_down_after=2,
        limits=[by("card", 40) | {"hold_rules": True}, by("tel", 40)],
    )  # fmt: skip

    async def ask(customer: str, card: str, units: int) -> Answer:
        who = {"card": card, "tel": "one"}
        return await stack.retried(lambda: hold(service, sale, customer, {"unit": units}, who, key=unique()))

    for customer, card in (("a", "farm"), ("b", "farm"), ("c", "once")):
        (await service.verb((await ask(customer, card, 1)).ok(201)["id"], "release")).ok()
    (await ask("d", "holds", 2)).ok(201)
    history = await used(stack, sale, "habits")
    assert len(history) == 8  # the mark, four customers, three cards; no telephone
    await lost_and_rebuilt(stack, sale)
    assert await used(stack, sale, "habits") == history
    assert (await ask("e", "farm", 1)).problem(429, "cooling-down")["by"] == "card"
    assert (await ask("f", "holds", 2)).problem(409, "hold-budget-reached")["by"] == "card"
    (await ask("f", "holds", 1)).ok(201)
    (await ask("g", "once", 3)).ok(201)
