"""The waiting list over HTTP, with a real recorder: units that come back are for who waits, in order."""

import asyncio
from typing import Any

import msgspec

from flashguard.kernel import keys
from flashguard.model import SaleId, partition_of
from flashguard.settings import Settings
from flashguard.valkey.connect import connect_kernel
from tests.support.service import Answer, Service, unique

PATIENCE_SECONDS = 30


async def join(
    service: Service,
    sale: str,
    customer: str,
    quantity: int = 1,
    *,
    key: str | None = None,
    sku: str = "unit",
) -> Answer:
    body = {"customer": customer, "items": [{"sku": sku, "quantity": quantity}]}
    return await service.call("POST", f"/v1/sales/{sale}/waiting-list", body, key=key)


async def see(service: Service, entry: dict[str, Any]) -> dict[str, Any]:
    return (await service.call("GET", f"/v1/waiting-list/{entry['id']}")).ok()


async def restock(service: Service, sale: str, units: int) -> None:
    answer = await service.call(
        "POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": units, "reason": "came back"}, admin=True
    )
    answer.ok()


async def offered(service: Service, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry, once it was offered its units."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (now := await see(service, entry))["status"] == "waiting":
            await asyncio.sleep(0.02)
    assert now["status"] == "offered", now
    return now


async def test_who_waits_is_offered_what_comes_back_and_confirms_it(service: Service):
    sale = await service.create_sale(stock=1, waiting_list=10, waiting_list_hold_seconds=300)
    held = (await service.hold(sale, "first")).ok(201)
    (await service.hold(sale, "late")).problem(409, "sold-out")
    entry = (await join(service, sale, "late")).ok(201)
    assert (entry["status"], entry["place"], entry["reservation"]) == ("waiting", 1, None)
    assert (await join(service, sale, "later")).ok(201)["place"] == 2
    (await service.verb(held["id"], "release")).ok()
    (await service.hold(sale, "somebody")).problem(409, "sold-out")
    now = await see(service, entry)
    assert (now["status"], now["place"]) == ("offered", None)
    offer = now["reservation"]
    assert (offer["id"], offer["status"], offer["customer"]) == (entry["id"], "held", "late")
    assert offer["receipt"]
    (await service.verb(offer["id"], "confirm")).ok()
    assert (await see(service, entry))["reservation"]["status"] == "confirmed"
    await service.audit(sale)


async def test_an_offer_that_lapses_or_is_left_goes_to_the_next_in_line(service: Service):
    sale = await service.create_sale(stock=1, waiting_list=10, waiting_list_hold_seconds=1)
    order = (await service.hold(sale, "first")).ok(201)
    entries = [(await join(service, sale, f"c{n}")).ok(201) for n in range(3)]
    (await service.verb(order["id"], "release")).ok()
    await offered(service, entries[0])
    last = await offered(service, entries[1])  # c0 did nothing
    left = (await service.call("DELETE", f"/v1/waiting-list/{last['id']}")).ok()
    assert left["reservation"]["status"] in ("released", "expired")
    assert (await offered(service, entries[2]))["reservation"]["customer"] == "c2"
    await service.audit(sale)


async def test_a_request_for_several_waits_for_several_and_is_not_passed(service: Service):
    sale = await service.create_sale(stock=3, waiting_list=10, waiting_list_hold_seconds=300)
    first = [(await service.hold(sale, f"h{n}")).ok(201) for n in range(3)]
    two = (await join(service, sale, "two", 2)).ok(201)
    one = (await join(service, sale, "one")).ok(201)
    (await service.verb(first[0]["id"], "release")).ok()
    assert (await see(service, two))["status"] == "waiting"
    assert (await see(service, one))["status"] == "waiting"
    assert (await service.hold(sale, "open")).problem(409, "sold-out")["available"] == 0
    (await service.verb(first[1]["id"], "release")).ok()
    assert (await see(service, two))["status"] == "offered"
    assert (await see(service, one))["place"] == 1
    (await service.verb(first[2]["id"], "release")).ok()
    assert (await see(service, one))["status"] == "offered"
    await service.audit(sale)


async def test_who_asks_for_more_than_can_come_back_does_not_hold_the_others_up(service: Service):
    sale = await service.create_sale(stock=2, waiting_list=10)
    held = (await service.hold(sale, "first")).ok(201)
    (await service.buy(sale, "buyer")).ok(201)
    two = (await join(service, sale, "two", 2)).ok(201)
    one = (await join(service, sale, "one")).ok(201)
    (await service.verb(held["id"], "release")).ok()
    assert (await see(service, one))["status"] == "offered"
    assert (await see(service, two))["place"] == 1
    await restock(service, sale, 2)  # now there are enough
    assert (await see(service, two))["status"] == "offered"


async def test_a_place_is_taken_once_per_customer_and_once_per_key_and_the_list_has_an_end(service: Service):
    sale = await service.create_sale(stock=1, limit=1, waiting_list=2)
    (await service.buy(sale, "buyer")).ok(201)
    entry = (await join(service, sale, "Ann", key="mine")).ok(201)
    again = await join(service, sale, "Ann", key="mine")
    assert again.replayed
    assert again.ok(201)["id"] == entry["id"]
    (await join(service, sale, "Ann", 2, key="mine")).problem(422, "idempotency-mismatch")
    (await join(service, sale, "ann")).problem(409, "already-waiting")
    (await join(service, sale, "ann", 2)).problem(409, "limit-reached")
    (await join(service, sale, "buyer")).problem(409, "limit-reached")
    (await join(service, sale, "bob", sku="nothing")).problem(404, "unknown-item")
    (await join(service, sale, "bob")).ok(201)
    assert (await join(service, sale, "carl")).problem(409, "waiting-list-full")["limit"] == 2
    gone = await service.call("DELETE", f"/v1/waiting-list/{entry['id']}")
    assert gone.ok()["status"] == "left"
    assert (await service.call("DELETE", f"/v1/waiting-list/{entry['id']}")).ok()["status"] == "left"
    assert (await join(service, sale, "carl")).ok(201)["place"] == 2
    (await service.call("GET", f"/v1/waiting-list/{sale}.{'0' * 24}")).problem(404, "unknown-entry")
    await service.admin("POST", f"/v1/sales/{sale}/close")
    (await join(service, sale, "dora")).problem(409, "sale-not-open")


async def test_a_sale_without_a_list_says_so_and_entries_end_with_their_sale(service: Service):
    sale = await service.create_sale(stock=1)
    (await join(service, sale, "c")).problem(409, "no-waiting-list")
    shown = await service.admin("PATCH", f"/v1/sales/{sale}", {"waiting_list": 5})
    assert shown["waiting_list"] == 5
    held = (await service.hold(sale, "first")).ok(201)
    entry = (await join(service, sale, "c")).ok(201)
    await service.admin("PATCH", f"/v1/sales/{sale}", {"waiting_list": None})
    (await join(service, sale, "d")).problem(409, "no-waiting-list")
    await service.admin("POST", f"/v1/sales/{sale}/close")
    ended = await see(service, entry)
    assert (ended["status"], ended["place"]) == ("ended", None)
    (await service.verb(held["id"], "release")).ok()
    assert (await see(service, entry))["status"] == "ended"


async def test_fifty_wait_and_nobody_of_the_open_sale_gets_a_unit_while_they_do(service: Service):
    """Units come back by release, by expiry and by restock, while other buyers press without a pause."""
    waiting = 50
    sale = await service.create_sale(
        stock=20, hold_seconds=2, waiting_list=100, waiting_list_hold_seconds=3_600
    )
    held = [(await service.hold(sale, f"h{n}")).ok(201) for n in range(20)]
    entries = await asyncio.gather(*(join(service, sale, f"w{n}") for n in range(waiting)))
    entries = sorted(  # who came after a hold had ended, on a slow machine, has an offer in place of a place
        (entry.ok(201) for entry in entries),
        key=lambda entry: (entry["place"] or 0, (entry["reservation"] or {}).get("created_at", "")),
    )
    done, got = asyncio.Event(), []

    async def press() -> None:
        while not done.is_set():
            answer = await service.hold(sale, unique("open"))
            if answer.status == 201:
                got.append(answer.body)

    crowd = [asyncio.create_task(press()) for _ in range(10)]
    for one in held[:8]:
        await service.verb(one["id"], "release")  # or it has expired meanwhile: then that brought it back
    for units in (5, 10, 15):
        await restock(service, sale, units)
        await asyncio.sleep(0.05)
    offers = [await offered(service, entry) for entry in entries]
    assert got == [], "somebody of the open sale was served before who waited"
    begun = [offer["reservation"]["created_at"] for offer in offers]
    assert begun == sorted(begun)
    assert {offer["reservation"]["customer"] for offer in offers} == {f"w{n}" for n in range(waiting)}
    await restock(service, sale, 3)  # nobody waits any more
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(got) < 3:
            await asyncio.sleep(0.02)
    done.set()
    await asyncio.gather(*crowd)
    assert len(got) == 3
    await service.audit(sale)


async def test_no_key_of_a_buyer_leads_to_the_shops_entry_for_them(service: Service):
    """Both once hashed to one id: the offer overwrote the hold, and the ledger refused it without end."""
    items = [
        {"sku": sku, "name": sku, "price_minor": 1, "currency": "EUR", "stock": 1} for sku in ("unit", "b")
    ]
    sale = await service.create_sale(items=items, waiting_list=10, waiting_list_hold_seconds=300)
    minted = await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
    held = (await service.hold(sale, "first")).ok(201)
    entry = (await join(service, sale, "ann", key="ann")).ok(201)
    body = {"customer": "ann", "items": [{"sku": "b", "quantity": 1}]}
    own = {"Authorization": f"Bearer {minted['token']}"}
    path = f"/v1/sales/{sale}/reservations"
    hold = (await service.call("POST", path, body, key="waiting-list", headers=own)).ok(201)
    assert hold["id"] != entry["id"]
    (await service.verb(held["id"], "release")).ok()
    offer = (await offered(service, entry))["reservation"]
    for each in (hold, offer):
        (await service.verb(each["id"], "confirm")).ok()
    await service.audit(sale)


async def test_an_offer_whose_id_is_taken_ends_its_entry_and_the_next_in_line_is_served(service: Service):
    sale = await service.create_sale(stock=1, waiting_list=10, waiting_list_hold_seconds=300)
    held = (await service.hold(sale, "first")).ok(201)
    unlucky, lucky = [(await join(service, sale, f"c{n}")).ok(201) for n in range(2)]
    client = connect_kernel(service.redis_url, Settings())
    try:
        part, _, short = unlucky["id"].partition(".")
        head = await service.admin("GET", "/v1/system")
        partition = partition_of(SaleId(part), head["partitions"])
        records = keys.sale(partition, SaleId(part))[1]
        taken = b"".join(map(msgspec.msgpack.encode, (3, 1, 1, 1000, 1, 0)))  # a hold that was released
        await client.execute_command("HSET", records, short, taken)
    finally:
        await client.aclose()
    (await service.verb(held["id"], "release")).ok()
    assert (await offered(service, lucky))["reservation"]["customer"] == "c1"
    assert (await service.call("GET", f"/v1/waiting-list/{unlucky['id']}")).ok()["status"] == "ended"
    await service.audit(sale)


async def test_a_large_request_holds_smaller_ones_up_for_one_offers_time_and_no_longer(service: Service):
    sale = await service.create_sale(
        stock=3, hold_seconds=3_600, waiting_list=10, waiting_list_hold_seconds=2
    )
    held = [(await service.hold(sale, f"h{n}")).ok(201) for n in range(3)]
    large = (await join(service, sale, "large", 3)).ok(201)
    small = (await join(service, sale, "small")).ok(201)
    for one in held[:2]:
        (await service.verb(one["id"], "release")).ok()
    (await service.hold(sale, "open")).problem(409, "sold-out")
    assert (await see(service, small))["status"] == "waiting"
    await offered(service, small)
    (await service.hold(sale, "open")).ok(201)  # it fits nobody else who waits
    assert ((now := await see(service, large))["status"], now["place"]) == ("waiting", 1)
    (await service.call("DELETE", f"/v1/waiting-list/{large['id']}")).ok()
    await service.audit(sale)
