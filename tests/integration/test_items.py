"""Items are added, changed and removed while their sale sells; a reservation keeps the price of its hold."""

import asyncio
import csv
import io
from typing import Any

import pytest

from flashguard import Granted, Item, Line
from flashguard.client import AsyncClient
from flashguard.model import MinorUnits, Sku
from tests.support.service import Answer, Service, unique

CAP = {"sku": "cap", "name": "Cap", "price_minor": 500, "currency": "EUR", "stock": 3}


async def a_sale(service: Service, **more: Any) -> str:
    return await service.create_sale(**{"spread": 1} | more)


async def add(service: Service, sale: str, item: dict[str, Any], **more: Any) -> Answer:
    return await service.call("POST", f"/v1/sales/{sale}/items", item, admin=True, **more)


async def change(service: Service, sale: str, sku: str, what: dict[str, Any], **more: Any) -> Answer:
    return await service.call("PATCH", f"/v1/sales/{sale}/items/{sku}", what, admin=True, **more)


async def remove(service: Service, sale: str, sku: str, **more: Any) -> Answer:
    return await service.call("DELETE", f"/v1/sales/{sale}/items/{sku}", admin=True, **more)


def basket(sku: str, quantity: int = 1, customer: str = "ann") -> dict[str, Any]:
    return {"customer": customer, "items": [{"sku": sku, "quantity": quantity}]}


def prices(reservation: dict[str, Any]) -> list[int | None]:
    return [line.get("price_minor") for line in reservation["items"]]


async def test_an_item_is_added_to_an_open_sale_and_sold(service: Service) -> None:
    sale = await a_sale(service, stock=5)
    added = (await add(service, sale, CAP)).ok(201)
    assert {name: added[name] for name in CAP} == CAP
    assert (added["available"], added["on_sale"]) == (3, True)
    order = await service.call("POST", f"/v1/sales/{sale}/orders", basket("cap", 3))
    assert prices(order.ok(201)) == [500]
    (await service.call("POST", f"/v1/sales/{sale}/orders", basket("cap"))).problem(409, "sold-out")
    restock = {"delta": 2, "reason": "more"}
    assert (await service.admin("POST", f"/v1/sales/{sale}/items/cap/restock", restock))["stock"] == 5
    await service.audit(sale)


async def test_an_added_item_draws_from_the_pools_of_its_sale(service: Service) -> None:
    hall = {"id": "hall", "name": "Hall", "stock": 3}
    items = [CAP | {"sku": "day", "stock": None, "uses": [{"pool": "hall", "quantity": 1}]}]
    sale = await a_sale(service, items=items, pools=[hall])
    both = CAP | {"sku": "both", "stock": None, "uses": [{"pool": "hall", "quantity": 2}]}
    assert (await add(service, sale, both)).ok(201)["available"] == 1
    (await service.call("POST", f"/v1/sales/{sale}/orders", basket("both"))).ok(201)
    (await service.call("POST", f"/v1/sales/{sale}/orders", basket("day", 2))).problem(409, "sold-out")
    (await add(service, sale, CAP)).ok(201)  # one that draws from none
    (await service.call("POST", f"/v1/sales/{sale}/orders", basket("cap"))).ok(201)
    unknown = CAP | {"sku": "x", "stock": None, "uses": [{"pool": "room", "quantity": 1}]}
    (await add(service, sale, unknown)).problem(404, "unknown-pool")
    (await add(service, sale, unknown | {"uses": [{"pool": "day", "quantity": 1}]})).problem(
        404, "unknown-pool"
    )
    named = (await add(service, sale, CAP | {"sku": "hall"})).problem(422, "invalid-request")
    assert "a pool has the name" in named["detail"]
    (await change(service, sale, "hall", {"name": "x"})).problem(404, "unknown-item")
    (await remove(service, sale, "hall")).problem(404, "unknown-item")
    await service.audit(sale)


async def test_a_reservation_keeps_the_price_of_its_hold(service: Service) -> None:
    sale = await a_sale(service, skus=("unit", "other"), stock=9)
    path = f"/v1/sales/{sale}"
    changed = (await change(service, sale, "unit", {"price_minor": 700, "name": "Unit, late"})).ok()
    assert (changed["price_minor"], changed["name"]) == (700, "Unit, late")
    held = (await service.call("POST", f"{path}/reservations", basket("unit"))).ok(201)
    key = unique("key")
    order = (await service.call("POST", f"{path}/orders", basket("unit"), key=key)).ok(201)
    (await change(service, sale, "unit", {"price_minor": 900})).ok()
    assert (await service.item(sale, "unit"))["price_minor"] == 900
    assert prices(held) == prices(order) == [700]
    again = await service.call("POST", f"{path}/orders", basket("unit"), key=key)
    assert again.replayed
    assert again.ok(201) == order
    read = (await service.call("GET", f"/v1/reservations/{held['id']}")).ok()
    assert read == held
    extended = (await service.call("POST", f"/v1/reservations/{held['id']}/extend")).ok()
    assert prices(extended) == [700]
    more = {"items": [{"sku": "unit", "quantity": 2}, {"sku": "other", "quantity": 1}]}
    assert prices((await service.call("POST", f"/v1/reservations/{held['id']}/amend", more)).ok())[0] == 700
    confirmed = (await service.call("POST", f"/v1/reservations/{held['id']}/confirm")).ok()
    assert prices(confirmed)[0] == 700
    orders = await service.admin("GET", f"{path}/orders")
    assert {one["id"]: prices(one)[0] for one in orders["data"]} == {held["id"]: 700, order["id"]: 700}
    await service.audit(sale)


async def test_a_hold_of_before_the_first_change_shows_the_first_price(service: Service) -> None:
    sale = await a_sale(service, stock=9)
    path = f"/v1/sales/{sale}"
    held, other, released = [
        (await service.call("POST", f"{path}/reservations", basket("unit", customer=name))).ok(201)
        for name in "abc"
    ]
    order = (await service.call("POST", f"{path}/orders", basket("unit"))).ok(201)
    assert prices(held) == prices(order) == [None], "no price was ever changed"
    (await change(service, sale, "unit", {"price_minor": 700})).ok()
    for id_ in (held["id"], order["id"]):
        assert prices((await service.call("GET", f"/v1/reservations/{id_}")).ok()) == [1999]
    extended = (await service.call("POST", f"/v1/reservations/{held['id']}/extend")).ok()
    more = {"items": [{"sku": "unit", "quantity": 2}]}
    amended = (await service.call("POST", f"/v1/reservations/{other['id']}/amend", more)).ok()
    ended = (await service.call("POST", f"/v1/reservations/{released['id']}/release")).ok()
    confirmed = (await service.call("POST", f"/v1/reservations/{held['id']}/confirm")).ok()
    again = (await service.call("POST", f"/v1/reservations/{held['id']}/confirm")).ok()
    assert [prices(each) for each in (extended, amended, ended, confirmed, again)] == [[1999]] * 5
    dear = (await service.call("POST", f"{path}/orders", basket("unit", 3))).ok(201)
    text = (await service.call("GET", f"{path}/orders?format=csv", admin=True)).body
    rows = {row["order_id"]: row["price_minor"] for row in csv.DictReader(io.StringIO(text))}
    assert rows == {order["id"]: "1999", confirmed["id"]: "1999", dear["id"]: "700"}
    receipt = held["receipt"]
    assert (
        await service.call("POST", f"/v1/reservations/{held['id']}/confirm", {"receipt": receipt})
    ).replayed
    await service.audit(sale)


async def test_the_python_client_changes_items_and_reads_prices(service: Service) -> None:
    sale = await a_sale(service, stock=9)
    async with AsyncClient(service.url, service.admin_key) as client:
        cap = Item(sku=Sku("cap"), name="Cap", price_minor=MinorUnits(500), currency="EUR", stock=3)
        assert (await client.add_item(sale, cap))["stock"] == 3
        assert (await client.change_item(sale, "cap", price_minor=700))["price_minor"] == 700
        outcome = await client.buy(sale, "ann", {"cap": 1})
        assert isinstance(outcome, Granted)
        assert outcome.reservation.items == (Line(Sku("cap"), 1, price_minor=MinorUnits(700)),)
        assert not (await client.change_item(sale, "unit", on_sale=False))["on_sale"]
        await client.remove_item(sale, "unit")
        assert [item.sku for item in (await client.sale(sale)).items] == ["cap"]


async def test_an_item_off_sale_gets_no_new_holds_and_what_is_held_goes_on(service: Service) -> None:
    sale = await a_sale(service, stock=9)
    path = f"/v1/sales/{sale}"
    held = (await service.call("POST", f"{path}/reservations", basket("unit"))).ok(201)
    order = (await service.call("POST", f"{path}/orders", basket("unit", 2))).ok(201)
    assert (await change(service, sale, "unit", {"on_sale": False})).ok()["on_sale"] is False
    for call in ("reservations", "orders"):
        problem = (await service.call("POST", f"{path}/{call}", basket("unit"))).problem(
            409, "item-not-on-sale"
        )
        assert problem["sku"] == "unit"
    more, less = ({"items": [{"sku": "unit", "quantity": n}]} for n in (3, 1))
    amend = f"/v1/reservations/{order['id']}/amend"
    (await service.call("POST", amend, more, admin=True)).problem(409, "item-not-on-sale")
    (await service.call("POST", amend, less, admin=True)).ok()
    (await service.call("POST", f"/v1/reservations/{held['id']}/confirm")).ok()
    (await change(service, sale, "unit", {"on_sale": True})).ok()
    (await service.buy(sale, "bob")).ok(201)
    await service.audit(sale)


async def test_an_items_limit_begins_changes_and_ends(service: Service) -> None:
    sale = await a_sale(service, stock=9)
    assert (await add(service, sale, CAP | {"limit_per_customer": 2})).ok(201)["limit_per_customer"] == 2
    orders = f"/v1/sales/{sale}/orders"
    (await service.call("POST", orders, basket("cap", 2))).ok(201)
    refused = (await service.call("POST", orders, basket("cap"))).problem(409, "limit-reached")
    assert (refused["limit"], refused["used"], refused["sku"]) == (2, 2, "cap")
    (await change(service, sale, "cap", {"limit_per_customer": 3})).ok()
    (await service.call("POST", orders, basket("cap"))).ok(201)
    assert (await change(service, sale, "unit", {"limit_per_customer": 1})).ok()["limit_per_customer"] == 1
    (await service.call("POST", orders, basket("unit", 2))).problem(409, "limit-reached")
    (await change(service, sale, "unit", {"limit_per_customer": None})).ok()
    (await service.call("POST", orders, basket("unit", 2))).ok(201)
    (await change(service, sale, "unit", {"limit_per_customer": 2})).ok()  # it went on to be counted
    (await service.call("POST", orders, basket("unit"))).problem(409, "limit-reached")
    await service.audit(sale)


async def test_a_limit_does_not_begin_while_units_are_held(service: Service) -> None:
    sale = await a_sale(service, stock=9)
    (await service.hold(sale, "ann")).ok(201)
    (await change(service, sale, "unit", {"limit_per_customer": 1})).problem(409, "sale-not-draft")
    (await service.hold(sale, "ann", 2)).ok(201)


async def test_an_item_is_removed_only_while_nothing_of_it_was_ever_held(service: Service) -> None:
    sale = await a_sale(service, skus=("unit", "a", "b", "c", "d"), stock=5)
    path = f"/v1/sales/{sale}"
    released = (await service.call("POST", f"{path}/reservations", basket("a"))).ok(201)
    (await remove(service, sale, "a")).problem(409, "item-in-use")
    (await service.call("POST", f"/v1/reservations/{released['id']}/release")).ok()
    amended = (await service.call("POST", f"{path}/reservations", basket("b"))).ok(201)
    to = {"items": [{"sku": "c", "quantity": 1}]}
    (await service.call("POST", f"/v1/reservations/{amended['id']}/amend", to)).ok()
    for sku in "abc":
        (await remove(service, sale, sku)).problem(409, "item-in-use")
    assert (await remove(service, sale, "d")).status == 204
    (await remove(service, sale, "d")).problem(404, "unknown-item")
    (await service.call("POST", f"{path}/orders", basket("d"))).problem(404, "unknown-item")
    assert (await add(service, sale, CAP | {"sku": "d"})).ok(201)["stock"] == 3
    (await service.call("POST", f"{path}/orders", basket("d"))).ok(201)
    await service.audit(sale)


async def test_an_item_that_someone_waits_for_is_not_removed_and_not_offered_off_sale(
    service: Service,
) -> None:
    sale = await a_sale(service, skus=("unit", "other"), stock=1, waiting_list=5)
    path = f"/v1/sales/{sale}"
    order = (await service.call("POST", f"{path}/orders", basket("unit"))).ok(201)
    wait = basket("unit", customer="bob")
    entry = (await service.call("POST", f"{path}/waiting-list", wait)).ok(201)
    (await change(service, sale, "unit", {"on_sale": False})).ok()
    (await service.call("POST", f"{path}/waiting-list", wait | {"customer": "cem"})).problem(
        409, "item-not-on-sale"
    )
    await service.admin("POST", f"/v1/orders/{order['id']}/cancel", {"restock": True, "reason": "back"})
    await asyncio.sleep(1.5)  # a round of the recorder's clock
    assert (await service.call("GET", f"/v1/waiting-list/{entry['id']}")).ok()["status"] == "waiting"
    (await change(service, sale, "unit", {"on_sale": True, "price_minor": 4})).ok()
    now = (await service.call("GET", f"/v1/waiting-list/{entry['id']}")).ok()
    assert (now["status"], prices(now["reservation"])) == ("offered", [4])

    await service.admin("POST", f"{path}/items/other/restock", {"stock": 0, "reason": "none came"})
    wait = basket("other", customer="dee")
    (await service.call("POST", f"{path}/waiting-list", wait)).ok(201)
    (await remove(service, sale, "other")).problem(409, "item-in-use")
    await service.audit(sale)


async def test_a_key_changes_an_item_once(service: Service) -> None:
    sale = await a_sale(service, stock=5)
    key = unique("key")
    (await add(service, sale, CAP, key=key)).ok(201)
    (await change(service, sale, "cap", {"name": "Hat"})).ok()
    again = await add(service, sale, CAP, key=key)
    assert again.replayed
    assert again.ok(201)["name"] == "Hat", "as it is now"
    (await add(service, sale, CAP | {"stock": 4}, key=key)).problem(422, "idempotency-mismatch")
    (await change(service, sale, "cap", {"name": "x"}, key=key)).problem(422, "idempotency-mismatch")
    (await service.call("POST", f"/v1/sales/{sale}/pause", key=key, admin=True)).problem(
        422, "idempotency-mismatch"
    )
    (await change(service, sale, "cap", {"price_minor": 1}, key=f"{key}-2")).ok()
    (await change(service, sale, "cap", {"price_minor": 2})).ok()
    assert (await change(service, sale, "cap", {"price_minor": 1}, key=f"{key}-2")).ok()["price_minor"] == 2
    first, second = [await remove(service, sale, "cap", key=f"{key}-3") for _ in "12"]
    assert (first.status, second.status) == (204, 204)
    assert (first.replayed, second.replayed) == (False, True)


async def test_odd_changes_of_items_each_get_their_problem(service: Service) -> None:
    sale = await a_sale(service, stock=5)
    (await add(service, sale, CAP | {"sku": "unit"})).problem(409, "item-exists")
    for odd in (
        {"price_minor": -1}, {"price_minor": 10**12}, {"price_minor": 1.5}, {"stock": -1}, {"stock": None},
        {"sku": ".."}, {"currency": "euro"}, {"held": 1}, {"on_sale": False}, {"uses": [{"pool": ""}]},
    ):  # fmt: skip
        (await add(service, sale, CAP | odd)).problem(422, "invalid-request")
    uses = [{"pool": "p"}, {"pool": "p"}]
    (await add(service, sale, CAP | {"uses": uses})).problem(422, "invalid-request")
    for change_ in ({}, {"price_minor": -1}, {"name": None}, {"on_sale": "no"}, {"stock": 3}, {"uses": []}):
        (await change(service, sale, "unit", change_)).problem(422, "invalid-request")
    (await change(service, sale, "nothing", {"name": "x"})).problem(404, "unknown-item")
    (await remove(service, sale, "nothing")).problem(404, "unknown-item")
    (await remove(service, sale, "unit")).problem(409, "item-in-use")
    for nobody in (add(service, "nosale", CAP), change(service, "nosale", "x", {"name": "x"})):
        (await nobody).problem(404, "unknown-sale")
    (await remove(service, "nosale", "x")).problem(404, "unknown-sale")
    await service.admin("POST", f"/v1/sales/{sale}/close")
    for call in (
        add(service, sale, CAP), change(service, sale, "unit", {"name": "x"}), remove(service, sale, "unit")
    ):  # fmt: skip
        (await call).problem(409, "sale-not-open")
    assert (await service.item(sale))["name"] != "x"


async def test_a_drafts_prices_are_first_prices(service: Service) -> None:
    sale = await a_sale(service, stock=5, opened=False)
    (await change(service, sale, "unit", {"price_minor": 30, "name": "One"})).ok()
    (await add(service, sale, CAP)).ok(201)
    await service.admin("POST", f"/v1/sales/{sale}/open")
    held = (await service.call("POST", f"/v1/sales/{sale}/reservations", basket("unit"))).ok(201)
    assert "price_minor" not in held["items"][0], "nothing was changed since it opened"
    assert (await service.item(sale, "unit"))["price_minor"] == 30
    assert (await service.item(sale, "cap"))["price_minor"] == 500


@pytest.mark.parametrize("what", ["add", "change", "remove"])
async def test_only_an_admin_key_changes_items(service: Service, what: str) -> None:
    sale = await a_sale(service, stock=5)
    method, path, body = {
        "add": ("POST", f"/v1/sales/{sale}/items", CAP),
        "change": ("PATCH", f"/v1/sales/{sale}/items/unit", {"name": "x"}),
        "remove": ("DELETE", f"/v1/sales/{sale}/items/unit", None),
    }[what]
    answer = await service.call(method, path, body)
    assert answer.status in (401, 403)
