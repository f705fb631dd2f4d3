"""Locations: items whose units are at several places, over HTTP, with a real recorder."""

import csv
import io
import json
from typing import Any

import asyncpg
import pytest

from tests.integration.test_facts import now, told
from tests.integration.test_waiting_list import join, offered, see
from tests.support.eventually import eventually
from tests.support.service import Answer, Service, unique
from tests.support.streams import stream

PLACES = [{"id": "berlin", "name": "Warehouse Berlin"}, {"id": "hamburg", "name": "Shop Hamburg"}]


def item(sku: str, **stock: int) -> dict[str, Any]:
    """An item with this stock by location."""
    return {"sku": sku, "name": sku, "price_minor": 100, "currency": "EUR", "stock_by_location": stock}


async def shop(service: Service, split: bool = False, **more: Any) -> str:
    """A sale of shoes and bags in Berlin and Hamburg."""
    items = [item("shoe", berlin=2, hamburg=3), item("bag", hamburg=2)]
    return await service.create_sale(**{"items": items, "locations": PLACES, "split": split} | more)


async def take(
    service: Service, sale: str, what: str, customer: str, *lines: tuple[Any, ...], key: str | None = None
) -> Answer:
    """A basket of (sku, quantity) or (sku, quantity, location)."""
    names = ("sku", "quantity", "location")
    body = {"customer": customer, "items": [dict(zip(names, line, strict=False)) for line in lines]}
    return await service.call("POST", f"/v1/sales/{sale}/{what}", body, key=key)


async def buy(
    service: Service, sale: str, customer: str, *lines: tuple[Any, ...], key: str | None = None
) -> Answer:
    return await take(service, sale, "orders", customer, *lines, key=key)


async def hold(
    service: Service, sale: str, customer: str, *lines: tuple[Any, ...], key: str | None = None
) -> Answer:
    return await take(service, sale, "reservations", customer, *lines, key=key)


async def at(service: Service, sale: str, sku: str) -> dict[str, tuple[int, int, int, int]]:
    """Stock, available, held and sold of an item at each location."""
    found = await service.item(sale, sku)
    names = ("stock", "available", "held", "sold")
    for name in names:
        assert found[name] == sum(each[name] for each in found["locations"])
    for each in (found, *found["locations"]):
        assert each["stock"] == each["available"] + each["held"] + each["sold"]
    return {each["id"]: tuple(each[name] for name in names) for each in found["locations"]}


def where(reservation: dict[str, Any]) -> dict[str, dict[str, int]]:
    """The units of each line by location."""
    return {
        line["sku"]: {each["location"]: each["quantity"] for each in line["allocations"]}
        for line in reservation["items"]
    }


async def restock(service: Service, sale: str, sku: str, **body: Any) -> Answer:
    path = f"/v1/sales/{sale}/items/{sku}/restock"
    return await service.call("POST", path, {"reason": "why"} | body, key=unique("key"), admin=True)


async def test_a_basket_is_taken_from_the_first_location_that_has_all_of_it(service: Service) -> None:
    sale = await shop(service)
    found = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert (found["locations"], found["split"]) == (PLACES, False)
    held = (await hold(service, sale, "ann", ("shoe", 2))).ok(201)
    assert where(held) == {"shoe": {"berlin": 2}}
    assert await at(service, sale, "shoe") == {"berlin": (2, 0, 2, 0), "hamburg": (3, 3, 0, 0)}
    (await service.verb(held["id"], "release")).ok()
    order = (await buy(service, sale, "bob", ("shoe", 1), ("bag", 1))).ok(201)
    assert where(order) == {"shoe": {"hamburg": 1}, "bag": {"hamburg": 1}}
    assert await at(service, sale, "shoe") == {"berlin": (2, 2, 0, 0), "hamburg": (3, 2, 0, 1)}
    refused = (await buy(service, sale, "cat", ("shoe", 3))).problem(409, "sold-out")
    assert (refused["sku"], refused["available"]) == ("shoe", 2)
    refused = (await buy(service, sale, "cat", ("shoe", 2), ("bag", 2))).problem(409, "sold-out")
    assert (refused["sku"], refused["available"]) == ("bag", 1)
    await service.audit(sale)


async def test_a_basket_that_no_location_has_is_split_where_the_sale_says_so(service: Service) -> None:
    sale = await shop(service, split=True)
    order = (await buy(service, sale, "ann", ("shoe", 4), ("bag", 1))).ok(201)
    assert where(order) == {"shoe": {"berlin": 2, "hamburg": 2}, "bag": {"hamburg": 1}}
    refused = (await buy(service, sale, "bob", ("shoe", 2))).problem(409, "sold-out")
    assert (refused["sku"], refused["available"]) == ("shoe", 1)
    await service.audit(sale)


async def test_a_line_is_picked_up_where_it_says(service: Service) -> None:
    sale = await shop(service)
    held = (await hold(service, sale, "ann", ("shoe", 1, "hamburg"))).ok(201)
    assert where(held) == {"shoe": {"hamburg": 1}}
    refused = (await buy(service, sale, "bob", ("shoe", 3, "berlin"))).problem(409, "sold-out")
    assert (refused["sku"], refused["available"]) == ("shoe", 2)
    both = (await buy(service, sale, "cat", ("shoe", 1), ("bag", 1, "hamburg"))).ok(201)
    assert where(both) == {"shoe": {"berlin": 1}, "bag": {"hamburg": 1}}
    odd = (await buy(service, sale, "dan", ("shoe", 1, "munich"))).problem(404, "unknown-location")
    assert "munich" in odd["detail"]
    twice = [("shoe", 1, "berlin"), ("shoe", 1, "hamburg")]
    (await buy(service, sale, "dan", *twice)).problem(422, "invalid-request")
    await service.audit(sale)


async def test_a_location_of_a_sale_without_any_is_told(service: Service) -> None:
    sale = await service.create_sale()
    sku = (await service.call("GET", f"/v1/sales/{sale}")).ok()["items"][0]["sku"]
    (await hold(service, sale, "ann", (sku, 1, "berlin"))).problem(404, "unknown-location")


async def test_allocations_stay_from_the_hold_to_the_order(service: Service) -> None:
    sale = await shop(service, split=True)
    key = unique("key")
    held = (await hold(service, sale, "ann", ("shoe", 3), ("bag", 1), key=key)).ok(201)
    places = {"shoe": {"hamburg": 3}, "bag": {"hamburg": 1}}
    assert where(held) == places
    path = f"/v1/reservations/{held['id']}"
    assert where((await service.call("GET", path)).ok()) == places
    again = await hold(service, sale, "ann", ("shoe", 3), ("bag", 1), key=key)
    assert (where(again.ok(201)), again.replayed) == (places, True)
    assert where((await service.verb(held["id"], "extend")).ok()) == places
    assert where((await service.verb(held["id"], "confirm")).ok()) == places
    again = await hold(service, sale, "ann", ("shoe", 3), ("bag", 1), key=key)
    assert (where(again.ok(201)), again.replayed) == (places, True)
    assert where((await service.call("GET", path)).ok()) == places
    orders = (await service.call("GET", f"/v1/sales/{sale}/orders", admin=True)).ok()["data"]
    assert [where(order) for order in orders] == [places]
    bought = unique("key")
    for replayed in (False, True):
        order = await buy(service, sale, "bob", ("shoe", 1), key=bought)
        assert (where(order.ok(201)), order.replayed) == ({"shoe": {"berlin": 1}}, replayed)
    await service.audit(sale)


async def test_an_amend_keeps_units_where_they_are(service: Service) -> None:
    sale = await shop(service, split=True)
    held = (await hold(service, sale, "ann", ("shoe", 4))).ok(201)
    assert where(held) == {"shoe": {"berlin": 2, "hamburg": 2}}

    async def amend(*lines: tuple[Any, ...]) -> dict[str, Any]:
        names = ("sku", "quantity", "location")
        body = {"items": [dict(zip(names, line, strict=False)) for line in lines]}
        path = f"/v1/reservations/{held['id']}/amend"
        return (await service.call("POST", path, body, key=unique("key"), admin=True)).ok()

    assert where(await amend(("shoe", 3))) == {"shoe": {"berlin": 2, "hamburg": 1}}
    assert where(await amend(("shoe", 3), ("bag", 2))) == {
        "shoe": {"berlin": 2, "hamburg": 1},
        "bag": {"hamburg": 2},
    }
    assert where(await amend(("shoe", 3, "hamburg"))) == {"shoe": {"hamburg": 3}}
    assert await at(service, sale, "shoe") == {"berlin": (2, 2, 0, 0), "hamburg": (3, 0, 3, 0)}
    assert where(await amend(("shoe", 5))) == {"shoe": {"hamburg": 3, "berlin": 2}}
    order = (await service.verb(held["id"], "confirm")).ok()
    assert where(order) == {"shoe": {"berlin": 2, "hamburg": 3}}
    body = {"restock": True, "items": [{"sku": "shoe", "quantity": 4}]}
    path = f"/v1/orders/{order['id']}/cancel"
    left = (await service.call("POST", path, body, key=unique("key"), admin=True)).ok()
    assert where(left) == {"shoe": {"berlin": 1}}
    assert await at(service, sale, "shoe") == {"berlin": (2, 1, 0, 1), "hamburg": (3, 3, 0, 0)}
    (await service.call("POST", path, {"restock": False, "reason": "torn"}, admin=True)).ok()
    assert await at(service, sale, "shoe") == {"berlin": (1, 1, 0, 0), "hamburg": (3, 3, 0, 0)}
    await service.audit(sale)


async def test_a_late_confirm_takes_units_where_the_hold_had_them_or_where_there_are_some(
    service: Service,
) -> None:
    sale = await shop(service, hold_seconds=1)
    kept = (await hold(service, sale, "ann", ("shoe", 1, "hamburg"))).ok(201)
    gone = (await hold(service, sale, "bob", ("shoe", 2))).ok(201)
    assert where(gone) == {"shoe": {"berlin": 2}}

    async def expired() -> bool:
        return (await service.item(sale, "shoe"))["available"] == 5

    await eventually(expired, "the holds have expired")
    (await buy(service, sale, "cat", ("shoe", 1))).ok(201)

    async def confirm(held: dict[str, Any]) -> Answer:
        path = f"/v1/reservations/{held['id']}/confirm"
        return await service.call("POST", path, {"receipt": held["receipt"]})

    assert where((await confirm(gone)).ok()) == {"shoe": {"hamburg": 2}}
    assert where((await service.call("GET", f"/v1/reservations/{gone['id']}")).ok()) == {
        "shoe": {"hamburg": 2}
    }
    assert where((await confirm(kept)).ok()) == {"shoe": {"hamburg": 1}}
    assert await at(service, sale, "shoe") == {"berlin": (2, 1, 0, 1), "hamburg": (3, 0, 0, 3)}
    await service.audit(sale)


async def test_a_restock_says_where(service: Service) -> None:
    sale = await shop(service)
    after = (await restock(service, sale, "shoe", delta=3, location="berlin")).ok()
    assert (after["stock"], after["available"]) == (8, 8)
    assert (await restock(service, sale, "bag", stock=7, location="berlin")).ok()["stock"] == 9
    refused = (await restock(service, sale, "shoe", delta=1)).problem(422, "invalid-request")
    assert "location" in refused["detail"]
    (await restock(service, sale, "shoe", delta=1, location="munich")).problem(404, "unknown-location")
    (await restock(service, sale, "shoe", delta=-6, location="berlin")).problem(422, "invalid-request")
    plain = await service.create_sale()
    sku = (await service.call("GET", f"/v1/sales/{plain}")).ok()["items"][0]["sku"]
    (await restock(service, plain, sku, delta=1, location="berlin")).problem(404, "unknown-location")
    report = await service.audit(sale)
    assert [(row["sku"], row["kind"], row["location"], row["stock"]) for row in report["items"]] == [
        ("shoe", "item", None, None), ("bag", "item", None, None),
        ("shoe", "location", "berlin", 5), ("shoe", "location", "hamburg", 3),
        ("bag", "location", "berlin", 7), ("bag", "location", "hamburg", 2),
    ]  # fmt: skip


TWO = PLACES[0] | {"name": "again"}
ODD: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
    "a location unknown": ([item("a", munich=1)], PLACES),
    "no locations": ([item("a", berlin=1)], []),
    "two locations of one id": ([item("a", berlin=1)], [PLACES[0], TWO]),
    "less than nothing": ([item("a", berlin=-1)], PLACES),
    "a stock of its own": ([item("a", berlin=1) | {"stock": 1}], PLACES),
    "neither": ([item("a")], PLACES),
    "a location without an id": ([item("a", berlin=1)], [*PLACES, {"id": "", "name": "x"}]),
    "too many": ([item("a", p1=1)], [{"id": f"p{n}", "name": "x"} for n in range(21)]),
}


@pytest.mark.parametrize("odd", ODD)
async def test_what_can_not_be_at_locations_is_told(service: Service, odd: str) -> None:
    items, locations = ODD[odd]
    body = {"id": unique(), "name": "odd", "items": items, "locations": locations}
    (await service.call("POST", "/v1/sales", body, admin=True)).problem(422, "invalid-request")


async def test_a_sale_with_locations_is_not_spread(service: Service) -> None:
    body = {"id": unique(), "name": "odd", "items": [item("a", berlin=1)], "locations": PLACES, "spread": 2}
    refused = (await service.call("POST", "/v1/sales", body, admin=True)).problem(422, "invalid-request")
    assert "locations" in refused["detail"]


async def test_nobody_buys_a_location(service: Service) -> None:
    sale = await shop(service, waiting_list=5)
    (await buy(service, sale, "ann", ("berlin", 1))).problem(404, "unknown-item")
    (await buy(service, sale, "ann", ("shoe\x1fberlin", 1))).problem(422, "invalid-request")


async def test_units_that_come_back_at_a_location_go_to_who_waits(service: Service) -> None:
    sale = await shop(service, waiting_list=9, waiting_list_hold_seconds=300)
    held = (await hold(service, sale, "ann", ("shoe", 2))).ok(201)
    (await hold(service, sale, "bob", ("shoe", 3))).ok(201)
    many = (await join(service, sale, "cat", 3, sku="shoe")).ok(201)
    some = (await join(service, sale, "dan", 2, sku="shoe")).ok(201)
    (await service.verb(held["id"], "release")).ok()
    offer = (await offered(service, some))["reservation"]
    assert where(offer) == {"shoe": {"berlin": 2}}
    assert (await see(service, many))["status"] == "waiting"
    (await restock(service, sale, "shoe", delta=3, location="hamburg")).ok()
    assert where((await offered(service, many))["reservation"]) == {"shoe": {"hamburg": 3}}
    await service.audit(sale)


async def test_what_programs_read_carries_the_locations(service: Service) -> None:
    after = await now(service)
    sale = await shop(service, split=True)
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        first = await events.next()
        assert first.data == (await service.call("GET", f"/v1/sales/{sale}")).ok()
        (await buy(service, sale, "ann", ("shoe", 1))).ok(201)
        data = (await events.until("stock")).data
        [shoe] = [each for each in data["items"] if each["sku"] == "shoe"]
        assert (shoe["stock"], shoe["available"]) == (5, 4)
        assert [each["available"] for each in shoe["locations"]] == [1, 3]
    (await buy(service, sale, "bob", ("shoe", 4))).ok(201)
    answer = await service.call("GET", f"/v1/sales/{sale}/orders?format=csv", admin=True)
    rows = list(csv.DictReader(io.StringIO(answer.body)))
    first = [{"location": "berlin", "quantity": 1}]
    both = [*first, {"location": "hamburg", "quantity": 3}]
    assert [json.loads(row["allocations"]) for row in rows] == [first, both]
    facts = await told(service, after, sale, 3)
    items = [fact["data"]["items"] for fact in facts if fact["type"] == "order.confirmed"]
    assert [line["allocations"] for [line] in items] == [first, both]
    connection = await asyncpg.connect(service.database_url)
    try:
        query = "SELECT allocations FROM flashguard.orders_for_shop WHERE sale_id = $1 ORDER BY confirmed_at"
        seen = [json.loads(row["allocations"]) for row in await connection.fetch(query, sale)]
    finally:
        await connection.close()
    assert seen == [first, both]
