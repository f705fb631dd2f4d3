"""What an offer to a waiting buyer obeys: the waiting room, the hold budget, the cool-down, the limit."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.test_waiting_list import PATIENCE_SECONDS, join, offered, restock, see
from tests.support.service import Answer, Service

ROOM = {"mode": "fifo", "admit_per_second": 1000.0, "max_active": 1000, "session_seconds": 60}


async def test_nothing_is_kept_for_whom_the_room_did_not_admit_while_units_are_free(service: Service):
    sale = await service.create_sale(stock=3, waiting_list=10, waiting_room=ROOM)
    inside = [await admission(service, sale, who) for who in ("ann", "bob", "eve")]
    (await buy_with(service, sale, "ann", inside[0])).ok(201)
    (await join(service, sale, "outsider", 3)).problem(403, "queue-required")
    for who, admitted in zip(("bob", "eve"), inside[1:], strict=True):
        (await buy_with(service, sale, who, admitted)).ok(201)
    await service.audit(sale)


async def test_whom_the_room_did_not_admit_is_offered_units_once_nobody_is_in_it(service: Service):
    sale = await service.create_sale(
        stock=1, waiting_list=10, waiting_list_hold_seconds=300, waiting_room=ROOM
    )
    ann = await admission(service, sale, "ann")
    (await buy_with(service, sale, "ann", ann)).ok(201)
    entry = (await join(service, sale, "outsider")).ok(201)
    ticket = (await take(service, sale, "late")).ok(201)["id"]
    await restock(service, sale, 1)
    late = await admission(service, sale, "late")
    await asyncio.sleep(1.0)  # the recorder's beat has come several times
    assert (await see(service, entry))["status"] == "waiting"
    (await buy_with(service, sale, "late", late)).ok(201)
    await service.call("POST", f"/v1/sales/{sale}/tickets/{ticket}/leave")
    await restock(service, sale, 1)
    assert (await offered(service, entry))["reservation"]["customer"] == "outsider"
    await service.audit(sale)


async def test_who_waits_for_all_units_past_the_room_has_none_set_aside_or_offered(service: Service):
    """99 of 100 were set aside for a buyer whom the room had not admitted, who was then offered all 100."""
    sale = await service.create_sale(
        stock=100, waiting_list=10, waiting_list_hold_seconds=300, waiting_room=ROOM
    )
    ann, bob = [await admission(service, sale, who) for who in ("ann", "bob")]
    many, last = [(await take_units(service, sale, "reservations", "ann", ann, n)).ok(201) for n in (99, 1)]
    outsider = (await join(service, sale, "outsider", 100)).ok(201)  # nothing is free now
    for held, free in ((many, 99), (last, 100)):
        (await service.verb(held["id"], "release")).ok()
        await asyncio.sleep(1.0)  # the recorder's beat has come several times
        assert (await service.item(sale))["available"] == free
        assert (await see(service, outsider))["status"] == "waiting"
        (await join(service, sale, f"late-{free}", 100)).problem(403, "queue-required")
    (await take_units(service, sale, "orders", "bob", bob, 1)).ok(201)
    await service.verb(
        (await take_units(service, sale, "reservations", "bob", bob, 99)).ok(201)["id"], "release"
    )
    await asyncio.sleep(1.0)
    assert (await see(service, outsider))["status"] == "waiting", (
        "only 99 are left, for whom the room lets in"
    )
    assert (await service.item(sale))["available"] == 99
    await service.audit(sale)


async def test_an_offer_waits_for_the_customers_hold_budget_and_the_next_in_line_is_served(service: Service):
    sale = await service.create_sale(
        stock=1,
        skus=("unit", "other"),
        max_held_per_customer=1,
        waiting_list=10,
        waiting_list_hold_seconds=300,
    )
    order = (await service.buy(sale, "first")).ok(201)
    waits = (await join(service, sale, "waits")).ok(201)
    after = (await join(service, sale, "after")).ok(201)
    own = (await hold_other(service, sale, "waits")).ok(201)
    await refund(service, order)
    assert (await offered(service, after))["reservation"]["customer"] == "after"
    assert ((now := await see(service, waits))["status"], now["place"]) == ("waiting", 1)
    await restock(service, sale, 1)
    await asyncio.sleep(0.5)
    assert (await see(service, waits))["status"] == "waiting", "the budget is still used up"
    (await service.verb(own["id"], "release")).ok()
    assert (await offered(service, waits))["reservation"]["customer"] == "waits"
    await service.audit(sale)


async def test_an_offer_waits_for_the_end_of_the_customers_cool_down(service: Service):
    cool_down = 4
    sale = await service.create_sale(
        stock=1, skus=("unit", "other"), cool_down_seconds=cool_down, cool_down_after=1, waiting_list=10,
        waiting_list_hold_seconds=300,
    )  # fmt: skip
    order = (await service.buy(sale, "first")).ok(201)
    waits = (await join(service, sale, "waits")).ok(201)
    own = (await hold_other(service, sale, "waits")).ok(201)
    before = datetime.now(UTC)
    (await service.verb(own["id"], "release")).ok()
    await refund(service, order)
    assert (await see(service, waits))["status"] == "waiting"
    offer = (await offered(service, waits))["reservation"]
    waited = datetime.fromisoformat(offer["created_at"]) - before
    assert waited > timedelta(seconds=cool_down, milliseconds=-1), (
        "times of the kernel are whole milliseconds"
    )
    await service.audit(sale)


async def take(service: Service, sale: str, customer: str) -> Answer:
    return await service.call("POST", f"/v1/sales/{sale}/tickets", {"customer": customer})


async def admission(service: Service, sale: str, customer: str) -> str:
    ticket = (await take(service, sale, customer)).body["id"]
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            place = (await service.call("GET", f"/v1/sales/{sale}/tickets/{ticket}")).ok()
            if place["status"] == "admitted":
                return str(place["admission"])
            await asyncio.sleep(0.05)


async def buy_with(service: Service, sale: str, customer: str, admitted: str) -> Answer:
    return await take_units(service, sale, "orders", customer, admitted, 1)


async def take_units(
    service: Service, sale: str, noun: str, customer: str, admitted: str, quantity: int
) -> Answer:
    body = {"customer": customer, "items": [{"sku": "unit", "quantity": quantity}], "admission": admitted}
    return await service.call("POST", f"/v1/sales/{sale}/{noun}", body)


async def hold_other(service: Service, sale: str, customer: str) -> Answer:
    body = {"customer": customer, "items": [{"sku": "other", "quantity": 1}]}
    return await service.call("POST", f"/v1/sales/{sale}/reservations", body)


async def refund(service: Service, order: dict[str, Any]) -> None:
    body = {"restock": True, "reason": "refund"}
    (await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)).ok()


async def test_an_own_hold_that_ended_and_is_not_swept_yet_costs_nobody_the_place(service: Service):
    """The customer's hold ends a moment before the unit comes back, again and again."""
    for _ in range(5):
        sale = await service.create_sale(
            stock=1,
            skus=("unit", "other"),
            hold_seconds=1,
            limit=1,
            waiting_list=10,
            waiting_list_hold_seconds=300,
        )
        order = (await service.buy(sale, "first")).ok(201)
        entry = (await join(service, sale, "waits")).ok(201)
        hold = (await hold_other(service, sale, "waits")).ok(201)
        until = datetime.fromisoformat(hold["expires_at"]) - datetime.now(UTC)
        await asyncio.sleep(max(0.0, until.total_seconds()) + 0.01)
        await refund(service, order)
        assert (await offered(service, entry))["reservation"]["customer"] == "waits"
