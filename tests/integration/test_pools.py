"""Pools: items that draw from the same units, over HTTP, with a real recorder."""

import asyncio
import os
import random
from typing import Any

import aiohttp
import pytest

from tests.integration.test_spread import customers_of
from tests.integration.test_waiting_list import join, offered, see
from tests.support.eventually import eventually
from tests.support.service import Answer, Service, unique
from tests.support.streams import stream

LONG = os.environ.get("FLASHGUARD_LONG") == "1"
BUYERS = 5_000 if LONG else 600
"""Of the race, each on a connection of their own."""
STOCK = {"friday": BUYERS // 10, "saturday": BUYERS * 4 // 50}
AT_ONCE = 250
"""Buyers of the race that have a connection at the same moment."""
TRIES = 5
"""Of a buyer whose connection is closed: on a busy machine it may send too late for the API."""
PATIENT = aiohttp.ClientTimeout(total=120)
"""Also for the connection: by default it has 30 s, which a busy machine exceeds."""


def item(sku: str, *uses: tuple[str, int], stock: int | None = None) -> dict[str, Any]:
    drawn = [{"pool": pool, "quantity": quantity} for pool, quantity in uses]
    return {
        "sku": sku, "name": sku, "price_minor": 100, "currency": "EUR", "stock": stock, "uses": drawn,
    }  # fmt: skip


def pool(id_: str, stock: int) -> dict[str, Any]:
    return {"id": id_, "name": id_, "stock": stock}


async def festival(service: Service, friday: int = 5, saturday: int = 4, **more: Any) -> str:
    """A sale of single days and of a pass for both."""
    items = [
        item("fri", ("friday", 1)),
        item("sat", ("saturday", 1)),
        item("pass", ("friday", 1), ("saturday", 1)),
    ]
    pools = [pool("friday", friday), pool("saturday", saturday)]
    return await service.create_sale(**{"items": items, "pools": pools} | more)


async def take(
    service: Service, sale: str, what: str, customer: str, key: str | None = None, **basket: int
) -> Answer:
    lines = [{"sku": sku.replace("_", "-"), "quantity": quantity} for sku, quantity in basket.items()]
    body = {"customer": customer, "items": lines}
    return await service.call("POST", f"/v1/sales/{sale}/{what}", body, key=key)


async def buy(service: Service, sale: str, customer: str, key: str | None = None, **basket: int) -> Answer:
    return await take(service, sale, "orders", customer, key, **basket)


async def hold(service: Service, sale: str, customer: str, key: str | None = None, **basket: int) -> Answer:
    return await take(service, sale, "reservations", customer, key, **basket)


async def pools_of(service: Service, sale: str) -> dict[str, tuple[int, int, int, int]]:
    """Stock, available, held and sold of each pool."""
    found = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    for each in found["pools"]:
        assert each["stock"] == each["available"] + each["held"] + each["sold"]
    return {
        each["id"]: tuple(each[name] for name in ("stock", "available", "held", "sold"))
        for each in found["pools"]
    }


async def available(service: Service, sale: str) -> dict[str, int]:
    found = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    return {each["sku"]: each["available"] for each in found["items"]}


async def restock(service: Service, sale: str, name: str, **body: Any) -> Answer:
    path = f"/v1/sales/{sale}/pools/{name}/restock"
    return await service.call("POST", path, {"reason": "why"} | body, key=unique("key"), admin=True)


async def test_an_item_has_what_its_pools_have_and_counts_itself(service: Service) -> None:
    sale = await festival(service)
    assert await available(service, sale) == {"fri": 5, "sat": 4, "pass": 4}
    held = (await hold(service, sale, "ann", **{"pass": 1, "fri": 2})).ok(201)
    assert await pools_of(service, sale) == {"friday": (5, 2, 3, 0), "saturday": (4, 3, 1, 0)}
    assert await available(service, sale) == {"fri": 2, "sat": 3, "pass": 2}
    order = (await service.verb(held["id"], "confirm")).ok()
    assert [line["sku"] for line in order["items"]] == ["pass", "fri"]
    (await buy(service, sale, "bob", sat=2)).ok(201)
    assert await pools_of(service, sale) == {"friday": (5, 2, 0, 3), "saturday": (4, 1, 0, 3)}
    both = await service.item(sale, "pass")
    assert (both["stock"], both["available"], both["held"], both["sold"]) == (None, 1, 0, 1)
    let_go = (await hold(service, sale, "cat", **{"pass": 1})).ok(201)
    (await service.verb(let_go["id"], "release")).ok()
    for restocked, left in ((True, (5, 5, 0, 0)), (False, (5, 5, 0, 0))):
        body = {"restock": restocked, "reason": "refund"}
        (await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)).ok()
        assert (await pools_of(service, sale))["friday"] == left  # the second cancel changes nothing
    report = await service.audit(sale)
    assert [(row["sku"], row["kind"], row["stock"]) for row in report["items"]] == [
        ("fri", "item", None), ("sat", "item", None), ("pass", "item", None),
        ("friday", "pool", 5), ("saturday", "pool", 4),
    ]  # fmt: skip


async def test_an_order_that_leaves_the_stock_takes_its_units_of_the_pools_along(service: Service) -> None:
    sale = await festival(service)
    order = (await buy(service, sale, "ann", **{"pass": 2})).ok(201)
    body = {"restock": False, "reason": "torn"}
    (await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)).ok()
    assert await pools_of(service, sale) == {"friday": (3, 3, 0, 0), "saturday": (2, 2, 0, 0)}
    assert (await service.item(sale, "pass"))["stock"] is None
    (await buy(service, sale, "bob", **{"pass": 2})).ok(201)
    await service.audit(sale)


async def test_a_basket_is_one_vector(service: Service) -> None:
    """A kit and its component share one pool: their needs add up before the check."""
    items = [
        item("kit", ("bulb", 2), ("lamp", 1)),
        item("bulb-alone", ("bulb", 1)),
        item("early", ("lamp", 1), stock=1),
    ]
    pools = [pool("bulb", 5), pool("lamp", 3)]
    sale = await service.create_sale(items=items, pools=pools)
    assert await available(service, sale) == {"kit": 2, "bulb-alone": 5, "early": 1}
    refused = (await hold(service, sale, "ann", kit=2, bulb_alone=2)).problem(409, "sold-out")
    assert (refused["sku"], refused["available"], refused["pool"]) == ("kit", 2, "bulb")
    assert (await pools_of(service, sale))["bulb"] == (5, 5, 0, 0)
    (await buy(service, sale, "ann", kit=2, bulb_alone=1)).ok(201)
    refused = (await buy(service, sale, "bob", early=2)).problem(409, "sold-out")
    assert (refused["sku"], refused["available"]) == ("early", 1)
    assert "pool" not in refused  # its own stock is short
    (await buy(service, sale, "bob", early=1)).ok(201)
    early = await service.item(sale, "early")
    assert (early["stock"], early["available"], early["sold"]) == (1, 0, 1)
    await service.audit(sale)


async def test_a_pool_is_restocked_as_an_item_is(service: Service) -> None:
    sale = await festival(service)
    (await buy(service, sale, "ann", **{"pass": 2})).ok(201)
    after = (await restock(service, sale, "friday", delta=3)).ok()
    assert after == {"id": "friday", "name": "friday", "stock": 8, "available": 6, "held": 0, "sold": 2}
    assert (await restock(service, sale, "friday", stock=2)).ok()["available"] == 0
    (await restock(service, sale, "friday", delta=-1)).problem(422, "invalid-request")
    assert (await available(service, sale))["pass"] == 0
    (await restock(service, sale, "sunday", delta=1)).problem(404, "unknown-pool")
    (await restock(service, sale, "pass", delta=1)).problem(404, "unknown-pool")
    more = {"delta": 1, "reason": "why"}
    path = f"/v1/sales/{sale}/items/%s/restock"
    (await service.call("POST", path % "friday", more, admin=True)).problem(404, "unknown-item")
    refused = (await service.call("POST", path % "pass", more, admin=True)).problem(422, "invalid-request")
    assert "pool" in refused["detail"]
    await service.audit(sale)


async def test_nobody_buys_of_a_pool_alone(service: Service) -> None:
    sale = await festival(service, waiting_list=5)
    refused = (await buy(service, sale, "ann", friday=1)).problem(404, "unknown-item")
    assert refused["sku"] == "friday"
    (await hold(service, sale, "ann", fri=1, saturday=1)).problem(404, "unknown-item")
    (await join(service, sale, "ann", sku="friday")).problem(404, "unknown-item")
    assert await pools_of(service, sale) == {"friday": (5, 5, 0, 0), "saturday": (4, 4, 0, 0)}


NEEDS_NONE = "stock: only an item with uses or stock_by_location needs none"
NAMED_ONCE = "pools: every id may appear only once, and no sku may have it"
ODD: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], str]] = {
    "an unknown pool": (
        [item("a", ("ghost", 1))], [pool("p", 1)], "uses: there is no pool ghost",
    ),
    "a pool twice in one recipe": (
        [item("a", ("p", 1), ("p", 2))], [pool("p", 1)], "uses: every pool may appear only once in an item",
    ),
    "a quantity of 0": ([item("a", ("p", 0))], [pool("p", 1)], "items.0.uses.0.quantity"),
    "a quantity beyond the most": ([item("a", ("p", 1_001))], [pool("p", 1)], "items.0.uses.0.quantity"),
    "a pool and a sku of one name": ([item("a", stock=1)], [pool("a", 1)], NAMED_ONCE),
    "two pools of one name": ([item("a", ("p", 1))], [pool("p", 1), pool("p", 2)], NAMED_ONCE),
    "neither stock nor pools": ([item("a")], [pool("p", 1)], NEEDS_NONE),
    "nine pools": (
        [item("a", *((f"p{n}", 1) for n in range(9)))], [pool(f"p{n}", 1) for n in range(9)],
        "items.0.uses",
    ),
    "a pool of less than nothing": ([item("a", ("p", 1))], [pool("p", -1)], "pools.0.stock"),
    "a pool without a name": ([item("a", ("p", 1))], [pool("", 1)], "pools.0.id"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
async def test_what_can_not_be_a_recipe_is_told(service: Service, odd: str) -> None:
    items, pools, why = ODD[odd]
    body = {"id": unique(), "name": "odd", "items": items, "pools": pools}
    answer = await service.call("POST", "/v1/sales", body, admin=True)
    assert why in answer.problem(422, "invalid-request")["detail"]


async def test_a_creation_with_the_same_key_is_the_same_sale(service: Service) -> None:
    body = {"name": "kits", "items": [item("kit", ("part", 2))], "pools": [pool("part", 4)]}
    key = unique("key")
    first = (await service.call("POST", "/v1/sales", body, key=key, admin=True)).ok(201)
    again = await service.call("POST", "/v1/sales", body, key=key, admin=True)
    assert (again.body["id"], again.replayed) == (first["id"], True)
    other = body | {"pools": [pool("part", 5)]}
    (await service.call("POST", "/v1/sales", other, key=key, admin=True)).problem(422, "idempotency-mismatch")


async def test_each_pool_sells_exactly_its_stock(service: Service) -> None:
    """Half of the buyers want both days, half one day; there are fewer seats than buyers of any kind."""
    sale = await festival(service, STOCK["friday"], STOCK["saturday"])
    wants = ["pass", "fri", "pass", "sat"] * (BUYERS // 4)
    random.Random(15).shuffle(wants)
    turns, sold = asyncio.Semaphore(AT_ONCE), dict.fromkeys(("pass", "fri", "sat"), 0)

    async def one(number: int, sku: str) -> None:
        body = {"customer": f"c{number}", "items": [{"sku": sku, "quantity": 1}]}
        path, key = f"{service.url}/v1/sales/{sale}/orders", {"Idempotency-Key": unique("key")}
        for tries_left in reversed(range(TRIES)):
            try:
                async with (
                    turns,
                    aiohttp.ClientSession(timeout=PATIENT) as own,
                    own.post(path, json=body, headers=key) as answer,
                ):
                    assert answer.status in (201, 409), await answer.text()
                    problem = await answer.json()
                break
            except aiohttp.ClientConnectionError:
                if not tries_left:
                    raise
        if answer.status == 201:
            sold[sku] += 1
        else:
            assert problem["code"] == "sold-out"
            assert problem["available"] == 0

    await asyncio.gather(*(one(number, sku) for number, sku in enumerate(wants)))
    pools = await pools_of(service, sale)
    assert pools["friday"] == (STOCK["friday"], 0, 0, sold["fri"] + sold["pass"])
    assert pools["saturday"] == (STOCK["saturday"], 0, 0, sold["sat"] + sold["pass"])
    await service.audit(sale)


async def test_units_of_a_pool_go_to_who_waits_for_any_of_its_items_in_order(service: Service) -> None:
    sale = await festival(service, 2, 2, waiting_list=9, waiting_list_hold_seconds=300)
    held = (await hold(service, sale, "ann", **{"pass": 2})).ok(201)
    both = (await join(service, sale, "bob", sku="pass")).ok(201)
    many = (await join(service, sale, "cat", 2, sku="fri")).ok(201)
    single = (await join(service, sale, "dan", sku="fri")).ok(201)
    (await service.verb(held["id"], "release")).ok()
    assert (await offered(service, both))["reservation"]["items"] == [{"sku": "pass", "quantity": 1}]
    await offered(service, single)  # who wants two keeps the place, and is passed over
    assert (await see(service, many))["status"] == "waiting"
    assert await pools_of(service, sale) == {"friday": (2, 0, 2, 0), "saturday": (2, 1, 1, 0)}
    (await hold(service, sale, "eve", fri=1)).problem(409, "sold-out")
    (await restock(service, sale, "friday", delta=2)).ok()
    await offered(service, many)
    await service.audit(sale)


async def test_live_events_carry_the_pool_and_the_items_that_it_changes(service: Service) -> None:
    sale = await festival(service)
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        first = await events.next()
        assert first.data == (await service.call("GET", f"/v1/sales/{sale}")).ok()
        (await buy(service, sale, "ann", fri=2)).ok(201)
        data = (await events.until("stock")).data
        assert data["pools"] == [{"id": "friday", "stock": 5, "available": 3, "held": 0, "sold": 2}]
        assert {each["sku"]: each["available"] for each in data["items"]} == {"fri": 3, "pass": 3}


async def test_the_shop_hears_of_sold_out_when_no_item_can_be_had(service: Service) -> None:
    body = {"url": "https://shop.example/pools", "events": ["sale.sold_out"]}
    endpoint = (await service.call("POST", "/v1/webhooks", body, admin=True)).ok(201)["id"]
    path = f"/v1/webhooks/{endpoint}/deliveries?limit=100"

    async def told(sale: str) -> int:
        return sum(
            each["sale_id"] == sale for each in (await service.call("GET", path, admin=True)).ok()["data"]
        )

    try:
        items = [item("kit", ("bulb", 2)), item("lamp", stock=1)]
        sale = await service.create_sale(items=items, pools=[pool("bulb", 5)])
        (await buy(service, sale, "ann", kit=2)).ok(201)  # one bulb is left, which no item can use
        assert await told(sale) == 0
        (await buy(service, sale, "ann", lamp=1)).ok(201)
        assert await told(sale) == 1
    finally:
        await service.call("DELETE", f"/v1/webhooks/{endpoint}", admin=True)


@pytest.mark.parametrize("spread", [2, 3])
async def test_units_of_a_pool_move_to_the_shards_whose_buyers_need_them(
    service: Service, spread: int
) -> None:
    sale = await festival(service, 8, 7, spread=spread)
    customers = customers_of(1, spread, 3)
    assert await available(service, sale) == {"fri": 8, "sat": 7, "pass": 7}
    (await buy(service, sale, customers[0], **{"pass": 5})).ok(201)
    (await buy(service, sale, customers[1], fri=3)).ok(201)
    refused = (await buy(service, sale, customers[2], **{"pass": 1})).problem(409, "sold-out")
    assert (refused["sku"], refused["available"], refused["pool"]) == ("pass", 0, "friday")
    (await buy(service, sale, customers[2], sat=2)).ok(201)
    assert await pools_of(service, sale) == {"friday": (8, 0, 0, 8), "saturday": (7, 0, 0, 7)}
    assert (await restock(service, sale, "saturday", delta=2)).ok()["available"] == 2
    report = await service.audit(sale)
    assert [row["kind"] for row in report["items"]] == ["item"] * 3 + ["pool"] * 2


async def test_metrics_have_the_pools(service: Service) -> None:
    sale = await festival(service)
    (await buy(service, sale, "ann", **{"pass": 2})).ok(201)
    text = (await service.call("GET", "/metrics", admin=True)).body
    lines = [line for line in text.splitlines() if sale in line]

    def units(metric: str, *labels: str) -> list[str]:
        found = [line for line in lines if line.startswith(f"flashguard_{metric}{{")]
        return [line.rsplit(" ", 1)[1] for line in found if all(label in line for label in labels)]

    assert units("pool_units", 'pool="friday"', 'state="available"') == ["3.0"]
    assert units("item_units", 'sku="pass"', 'state="sold"') == ["2.0"]
    assert units("item_units", 'sku="friday"') == units("item_units", 'state="available"') == []


async def test_a_shadow_sale_counts_what_the_shop_drew_from_a_pool(service: Service) -> None:
    sale = await festival(service, 2, 2, opened=False)
    (await service.call("POST", f"/v1/sales/{sale}/shadow", admin=True)).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/open")

    def attempt(key: str, shop: str) -> dict[str, Any]:
        return {"key": key, "customer": key, "items": [{"sku": "pass", "quantity": 1}], "shop": shop}

    path = f"/v1/sales/{sale}/shadow/attempts"
    attempts = [attempt(key, "sold") for key in "abc"]
    told = (await service.call("POST", path, {"attempts": attempts}, admin=True)).ok()
    assert sorted(str(each["ours"]) for each in told["attempts"]) == ["confirmed", "confirmed", "sold-out"]
    (await service.call("POST", path, {"attempts": [attempt("a", "returned")]}, admin=True)).ok()
    report = (await service.call("GET", f"/v1/sales/{sale}/shadow", admin=True)).ok()
    rows = {row["sku"]: (row["stock"], row["shop_sold"], row["shop_oversold"]) for row in report["items"]}
    assert rows == {"friday": (2, 2, 0), "saturday": (2, 2, 0)}
    await service.audit(sale)


async def test_a_waiting_room_admits_to_pools_and_tells_when_they_are_sold(service: Service) -> None:
    room = {"mode": "fifo", "admit_per_second": 1000, "max_active": 1}
    sale = await festival(service, friday=1, saturday=1, waiting_room=room)
    tickets = f"/v1/sales/{sale}/tickets"
    ids = [(await service.call("POST", tickets, {"customer": who})).ok(201)["id"] for who in ("ann", "bea")]
    ann: dict[str, Any] = {}

    async def admitted() -> bool:
        ann.update((await service.call("GET", f"{tickets}/{ids[0]}")).ok())
        return bool(ann["status"] == "admitted")

    await eventually(admitted, "ann is admitted")
    body = {"customer": "ann", "items": [{"sku": "pass", "quantity": 1}], "admission": ann["admission"]}
    (await service.call("POST", f"/v1/sales/{sale}/orders", body)).ok(201)

    async def sold_out() -> bool:
        standing = (await service.call("GET", f"{tickets}/{ids[1]}")).ok()
        return bool(standing["outlook"] == "sold-out")

    await eventually(sold_out, "the room counts what the pools have left")
    (await service.call("GET", f"/v1/sales/{sale}/lottery")).ok()
