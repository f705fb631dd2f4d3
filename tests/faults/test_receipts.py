"""With a receipt a buyer gets the units while there are any, else a clear word; never two owners."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flashguard.kernel import keys
from flashguard.model import SaleId
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.service import Answer


@pytest.fixture(scope="module")
async def stack(http) -> AsyncIterator[Stack]:
    async with started(http) as running:
        yield running


async def confirm(stack: Stack, held: dict[str, Any], receipt: str | None = None) -> Answer:
    path = f"/v1/reservations/{held['id']}/confirm"
    body = None if receipt is None else {"receipt": receipt}
    return await stack.retried(lambda: stack.service.call("POST", path, body))


async def held_and_lost(
    stack: Stack, sale: str, customer: str = "ann", quantity: int = 1, **attached: Any
) -> dict[str, Any]:
    """A hold that was answered, and that memory lost before anybody recorded it."""
    await stack.recorded(sale)
    before = await stack.epoch(sale)
    await stack.end("recorder")
    basket = {"customer": customer, "items": [{"sku": "unit", "quantity": quantity}]} | attached
    held = (await stack.service.call("POST", f"/v1/sales/{sale}/reservations", basket)).ok(201)
    await stack.memory.flushall()
    stack.start("recorder")
    await stack.rebuilt(sale, before)
    await stack.ready()
    return held


async def test_a_hold_that_memory_lost_is_honoured_once_with_its_receipt(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=3, limit=2)
    held = await held_and_lost(stack, sale, quantity=2)
    (await confirm(stack, held)).problem(404, "unknown-reservation")
    order = (await confirm(stack, held, held["receipt"])).ok()
    assert (order["status"], order["items"]) == ("confirmed", held["items"])
    assert (await confirm(stack, held, held["receipt"])).ok()["confirmed_at"] == order["confirmed_at"]
    assert (await stack.service.item(sale))["sold"] == 2
    await stack.service.audit(sale)

    before = await stack.epoch(sale)
    await stack.memory.flushall()
    await stack.rebuilt(sale, before)
    await stack.ready()
    assert (await confirm(stack, held, held["receipt"])).ok()["status"] == "confirmed"
    (await stack.retried(lambda: stack.service.buy(sale, "ann"))).problem(409, "limit-reached")
    await stack.service.audit(sale)


async def test_an_order_from_a_hold_that_was_lost_by_both_has_the_shops_reference(stack: Stack) -> None:
    """The shop finds it by its own number; metadata are only in the ledger, and lost with the hold."""
    sale = await stack.service.create_sale(stock=3)
    attached = {"reference": "Cart №7", "metadata": {"channel": "app"}}
    held = await held_and_lost(stack, sale, **attached)
    order = (await confirm(stack, held, held["receipt"])).ok()
    assert order["reference"] == "Cart №7"
    assert "metadata" not in order
    found = await stack.service.admin("GET", f"/v1/sales/{sale}/orders?reference=Cart%20%E2%84%967")
    assert [each["id"] for each in found["data"]] == [held["id"]]
    await stack.service.audit(sale)


async def test_a_lost_hold_whose_units_went_to_others_says_sold_out_and_what_to_refund(
    stack: Stack,
) -> None:
    sale = await stack.service.create_sale(stock=1)
    held = await held_and_lost(stack, sale)
    (await stack.retried(lambda: stack.service.buy(sale, "bob"))).ok(201)
    refused = (await confirm(stack, held, held["receipt"])).problem(409, "sold-out")
    assert refused["refund"] == {
        "items": [{"sku": "unit", "quantity": 1}],
        "amounts": [{"currency": "EUR", "amount_minor": 1999}],
    }
    assert (await stack.service.item(sale))["sold"] == 1
    await stack.service.audit(sale)


async def test_a_receipt_gives_nobody_more_than_the_limit(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=9, limit=2)
    held = await held_and_lost(stack, sale, quantity=2)
    (await stack.retried(lambda: stack.service.buy(sale, "ann"))).ok(201)
    (await confirm(stack, held, held["receipt"])).problem(409, "limit-reached")
    await stack.service.audit(sale)


async def test_one_lost_hold_confirmed_by_many_at_once_is_sold_once(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=9)
    held = await held_and_lost(stack, sale)
    answers = await asyncio.gather(*(confirm(stack, held, held["receipt"]) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["confirmed_at"] for answer in answers}) == 1
    assert (await stack.service.item(sale))["sold"] == 1
    await stack.service.audit(sale)


async def test_a_receipt_that_was_not_signed_here_or_is_anothers_is_refused(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=9)
    mine, other = [(await stack.service.hold(sale, "ann")).ok(201) for _ in range(2)]
    payload, signature = mine["receipt"].split(".")
    end = "A" if signature[-2] != "A" else "B"
    for receipt in (
        other["receipt"],
        f"{payload}.{signature[:-2]}{end}{signature[-1]}",
        f"{other['receipt'].split('.')[0]}.{signature}",
        payload,
        "",
        "é.é",
    ):
        refused = (await confirm(stack, mine, receipt)).problem(422, "invalid-request")
        assert refused["detail"].startswith("receipt:")
    (await confirm(stack, mine, "x" * 20_000)).problem(422, "invalid-request")
    assert (await stack.service.item(sale))["sold"] == 0


@pytest.mark.parametrize("flushed", [False, True])
async def test_a_receipt_revives_nothing_that_was_released_and_sells_nothing_twice(
    stack: Stack, flushed: bool
) -> None:
    sale = await stack.service.create_sale(stock=9)
    released, sold = [(await stack.service.hold(sale, "ann")).ok(201) for _ in range(2)]
    (await stack.service.verb(released["id"], "release")).ok()
    order = (await stack.service.verb(sold["id"], "confirm")).ok()
    await stack.recorded(sale)
    if flushed:
        before = await stack.epoch(sale)
        await stack.memory.flushall()
        await stack.rebuilt(sale, before)
        await stack.ready()
    (await confirm(stack, released, released["receipt"])).problem(409, "reservation-released")
    again = (await confirm(stack, sold, sold["receipt"])).ok()
    assert again["confirmed_at"] == order["confirmed_at"]
    assert (await stack.service.item(sale))["sold"] == 1
    await stack.service.audit(sale)


async def ended(stack: Stack, sale: str, customer: str = "ann") -> dict[str, Any]:
    """A hold whose time is over and whose units are on sale again."""
    held = (await stack.service.hold(sale, customer)).ok(201)

    async def back() -> bool:
        return (await stack.service.item(sale))["held"] == 0

    await eventually(back, "the unit is back")
    return held


async def test_a_late_payment_is_honoured_while_units_are_left(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1, hold_seconds=1)
    held = await ended(stack, sale)
    await stack.recorded(sale)
    without = (await confirm(stack, held)).problem(409, "reservation-expired")
    assert without["refund"]["amounts"] == [{"currency": "EUR", "amount_minor": 1999}]
    assert "receipt" in without["detail"]
    order = (await confirm(stack, held, held["receipt"])).ok()
    assert order["status"] == "confirmed"
    assert (await stack.service.call("GET", f"/v1/reservations/{held['id']}")).ok()["status"] == "confirmed"
    (await stack.service.buy(sale, "bob")).problem(409, "sold-out")
    report = await stack.service.audit(sale)
    assert report["orders"] == 1


async def test_a_late_payment_for_units_that_are_gone_says_what_to_refund(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1, hold_seconds=1)
    held = await ended(stack, sale)
    (await stack.service.buy(sale, "bob")).ok(201)
    refused = (await confirm(stack, held, held["receipt"])).problem(409, "reservation-expired")
    assert refused["refund"]["amounts"] == [{"currency": "EUR", "amount_minor": 1999}]
    assert "sold" in refused["detail"]
    await stack.service.audit(sale)


async def test_a_late_payment_after_the_sale_closed_says_what_to_refund(stack: Stack) -> None:
    sale = await stack.service.create_sale(stock=1, hold_seconds=1)
    held = await ended(stack, sale)
    await stack.service.admin("POST", f"/v1/sales/{sale}/close")
    refused = (await confirm(stack, held, held["receipt"])).problem(409, "reservation-expired")
    assert refused["refund"]["items"] == [{"sku": "unit", "quantity": 1}]
    assert (await stack.service.item(sale))["sold"] == 0
    await stack.service.audit(sale)


async def forget(stack: Stack, sale: str, held: dict[str, Any]) -> None:
    """Memory loses a key, while no recorder is there that would notice it."""
    name = keys.sale(stack.partition(sale), SaleId(sale)).reservations
    assert await stack.memory.hdel(name, held["id"].partition(".")[2]) == 1


async def confirm_uncommitted(stack: Stack, held: dict[str, Any], receipt: str | None = None) -> None:
    """Memory decides it, no recorder commits it."""
    path = f"/v1/reservations/{held['id']}/confirm"
    body = None if receipt is None else {"receipt": receipt}
    (await stack.service.call("POST", path, body)).problem(503, "overloaded")


async def recorded_and_sound(stack: Stack, sale: str, before: int) -> None:
    """The recorder comes back, and the ledger refuses what memory granted without knowing better."""
    stack.start("recorder")
    await stack.rebuilt(sale, before)
    await stack.recorded(sale)
    await stack.service.audit(sale)


@pytest.mark.parametrize("recorded", [True, False], ids=["expired in the ledger", "in one group"])
async def test_a_receipt_from_before_an_amend_confirms_nothing_when_memory_lost_the_hold(
    stack: Stack, recorded: bool
) -> None:
    """It names two units, and the ledger has a hold of one. A seed of the simulation found that two were
    counted as sold, with an order of one."""
    await stack.ready()
    sale = await stack.service.create_sale(stock=9, hold_seconds=1)
    held = (await stack.service.hold(sale, "ann", 2)).ok(201)
    body = {"items": [{"sku": "unit", "quantity": 1}]}
    amended = (await stack.service.call("POST", f"/v1/reservations/{held['id']}/amend", body)).ok()
    if not recorded:
        await stack.recorded(sale)
        await stack.end("recorder")

    async def over() -> bool:
        return (await stack.service.verb(held["id"], "confirm")).body.get("code") == "reservation-expired"

    await asyncio.sleep(1)
    await eventually(over, "the hold is over")
    if recorded:
        await stack.recorded(sale)
        await stack.end("recorder")
    before = await stack.epoch(sale)
    await forget(stack, sale, held)
    await confirm_uncommitted(stack, held, held["receipt"])
    await recorded_and_sound(stack, sale, before)
    item = await stack.service.item(sale)
    assert (item["held"], item["sold"], item["available"]) == (0, 0, 9)
    refused = (await confirm(stack, held, held["receipt"])).problem(409, "reservation-expired")
    assert "amended" in refused["detail"]
    assert (await confirm(stack, held, amended["receipt"])).ok()["items"] == amended["items"]
    assert (await stack.service.item(sale))["sold"] == 1
    await stack.service.audit(sale)


@pytest.mark.parametrize("then", ["stays held", "confirm", "release", "late confirm"])
async def test_a_receipt_moves_no_units_twice_when_memory_lost_the_hold_since_the_last_commit(
    stack: Stack, then: str
) -> None:
    """The recorder finds both in one group: what became of the hold, and its late confirm."""
    await stack.ready()
    late = then == "late confirm"
    sale = await stack.service.create_sale(stock=9, hold_seconds=1 if late else 60)
    if not late:
        await stack.end("recorder")
    held = await ended(stack, sale) if late else (await stack.service.hold(sale, "ann")).ok(201)
    if late:
        await stack.recorded(sale)
        await stack.end("recorder")
        await confirm_uncommitted(stack, held, held["receipt"])
    elif then != "stays held":
        (await stack.service.verb(held["id"], then)).problem(503, "overloaded")
    before = await stack.epoch(sale)
    await forget(stack, sale, held)
    await confirm_uncommitted(stack, held, held["receipt"])
    await recorded_and_sound(stack, sale, before)
    answer = await confirm(stack, held, held["receipt"])
    if then == "release":
        answer.problem(409, "reservation-released")
    else:
        assert answer.ok()["status"] == "confirmed"
    item = await stack.service.item(sale)
    assert (item["held"], item["sold"]) == (0, int(then != "release"))
    await stack.service.audit(sale)
