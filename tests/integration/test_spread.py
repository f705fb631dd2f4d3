"""A sale spread over partitions: one sale to its callers, exact to the unit, wherever its buyers are."""

import asyncio
import zlib

import asyncpg

from tests.integration.test_amend import amend, cancel, lines, transfer
from tests.support.service import Service, unique
from tests.support.streams import stream


def customers_of(home: int, spread: int, count: int) -> list[str]:
    """Customers who all have this shard as their home."""
    found: list[str] = []
    while len(found) < count:
        name = unique("c")
        if zlib.crc32(name.encode()) % spread == home:
            found.append(name)
    return found


async def test_a_spread_sale_is_one_sale_to_its_shop_and_its_buyers(service: Service) -> None:
    sale = await service.create_sale(stock=10, spread=4)
    held = (await service.hold(sale, customers_of(2, 4, 1)[0], 2, key=unique("k"))).ok(201)
    assert held["id"].startswith(f"{sale}~2.")
    assert held["sale_id"] == sale
    order = (await service.verb(held["id"], "confirm")).ok()
    assert (order["status"], order["sale_id"], order["id"]) == ("confirmed", sale, held["id"])
    other = (await service.buy(sale, customers_of(0, 4, 1)[0])).ok(201)
    item = await service.item(sale)
    assert (item["stock"], item["available"], item["held"], item["sold"]) == (10, 7, 0, 3)
    page = await service.admin("GET", f"/v1/sales/{sale}/orders")
    assert {one["id"] for one in page["data"]} == {held["id"], other["id"]}
    report = await service.audit(sale)
    assert (report["sale_id"], report["orders"], len(report["parts"])) == (sale, 2, 4)


async def test_every_unit_is_sold_where_the_buyers_are_and_none_twice(service: Service) -> None:
    sale = await service.create_sale(stock=40, spread=4)
    answers = await asyncio.gather(*(service.buy(sale, c) for c in customers_of(3, 4, 60)))
    sold = [answer for answer in answers if answer.status == 201]
    assert len(sold) == 40
    for answer in answers:
        if answer.status != 201:
            assert answer.problem(409, "sold-out")["available"] == 0
    report = await service.audit(sale)
    assert (report["items"][0]["sold"], report["items"][0]["in_transit"]) == (40, 0)


async def test_a_customer_limit_holds_across_a_spread_sale_whoever_asks_at_once(service: Service) -> None:
    sale = await service.create_sale(stock=200, limit=2, spread=4)
    customers = [unique("c") for _ in range(12)]
    answers = await asyncio.gather(*(service.buy(sale, c) for c in customers for _ in range(5)))
    assert sum(answer.status == 201 for answer in answers) == 24
    assert {answer.body["code"] for answer in answers if answer.status != 201} == {"limit-reached"}
    await service.audit(sale)


async def test_a_key_has_one_outcome_in_a_spread_sale_and_belongs_to_its_customer(service: Service) -> None:
    sale = await service.create_sale(stock=8, spread=4)
    for home in range(4):
        customer, key = customers_of(home, 4, 1)[0], "the-same-key"
        first = await service.buy(sale, customer, key=key)
        again = await service.buy(sale, customer, key=key)
        assert (again.ok(201), again.replayed) == (first.ok(201), True)
        (await service.buy(sale, customer, 2, key=key)).problem(422, "idempotency-mismatch")
    assert (await service.item(sale))["sold"] == 4  # four customers, four requests under one key


async def test_a_basket_is_whole_though_its_units_lie_in_different_shards(service: Service) -> None:
    sale = await service.create_sale(stock=4, spread=4, skus=("unit", "other"))
    body = {
        "customer": customers_of(1, 4, 1)[0],
        "items": [{"sku": "unit", "quantity": 3}, {"sku": "other", "quantity": 4}],
    }
    order = (await service.call("POST", f"/v1/sales/{sale}/orders", body)).ok(201)
    assert len(order["items"]) == 2
    refused = (await service.buy(sale, customers_of(2, 4, 1)[0], 2)).problem(409, "sold-out")
    assert refused["available"] == 1  # of all shards together, and not enough for this request
    (await service.buy(sale, customers_of(2, 4, 1)[0], 1)).ok(201)
    await service.audit(sale)


async def test_nobody_can_name_a_shard_and_an_unknown_one_has_no_reservations(service: Service) -> None:
    sale = await service.create_sale(spread=2)
    shard = f"{sale}~1"
    basket = {"customer": "c", "items": [{"sku": "unit", "quantity": 1}]}
    (await service.call("GET", f"/v1/sales/{shard}")).problem(404, "unknown-sale")
    for path in ("reservations", "orders"):
        answer = await service.call("POST", f"/v1/sales/{shard}/{path}", basket)
        answer.problem(404, "unknown-sale")
    for path in ("open", "close"):
        (await service.call("POST", f"/v1/sales/{shard}/{path}", admin=True)).problem(404, "unknown-sale")
    item = {"sku": "unit", "name": "U", "price_minor": 1, "currency": "EUR", "stock": 1}
    new = {"id": f"{unique()}~1", "name": "x", "items": [item]}
    (await service.call("POST", "/v1/sales", new, admin=True)).problem(422, "invalid-request")
    short = "0" * 24
    for id_ in (f"{sale}~1.{short}", f"{sale}~7.{short}", f"{sale}~0.{short}", f"{sale}.{short}"):
        (await service.verb(id_, "confirm")).problem(404, "unknown-reservation")
        (await service.call("GET", f"/v1/reservations/{id_}")).problem(404, "unknown-reservation")
    listed = await service.admin("GET", "/v1/sales?limit=500")
    assert sale in {one["id"] for one in listed["data"]}
    assert not [one["id"] for one in listed["data"] if "~" in one["id"]]


async def test_what_a_spread_sale_can_not_have_is_said_at_its_creation(service: Service) -> None:
    for wrong in ({"spread": 17}, {"spread": 0}):
        item = {"sku": "unit", "name": "U", "price_minor": 1, "currency": "EUR", "stock": 1}
        body = {"id": unique(), "name": "x", "items": [item]} | wrong
        answer = await service.call("POST", "/v1/sales", body, admin=True)
        answer.problem(422, "invalid-request")
    sale = await service.create_sale(spread=2)
    answer = await service.call("PATCH", f"/v1/sales/{sale}", {"spread": 3}, admin=True)
    answer.problem(422, "invalid-request")


async def test_every_shard_opens_pauses_changes_and_closes_with_the_sale(service: Service) -> None:
    sale = await service.create_sale(stock=40, spread=4, opened=False)
    homes = [customers_of(home, 4, 1)[0] for home in range(4)]
    for customer in homes:
        (await service.buy(sale, customer)).problem(409, "sale-not-open")
    opened = await service.call("POST", f"/v1/sales/{sale}/open", key="open-once", admin=True)
    assert opened.ok()["status"] == "open"
    for customer in homes:
        (await service.buy(sale, customer)).ok(201)
    patched = await service.admin("PATCH", f"/v1/sales/{sale}", {"limit_per_customer": 1, "hold_seconds": 7})
    assert (patched["limit_per_customer"], patched["hold_seconds"], patched["spread"]) == (1, 7, 4)
    for customer in homes:
        (await service.buy(sale, customer)).problem(409, "limit-reached")
    await service.admin("POST", f"/v1/sales/{sale}/pause")
    again = await service.call("POST", f"/v1/sales/{sale}/open", key="open-once", admin=True)
    assert (again.replayed, again.ok()["status"]) == (True, "open")  # as it was answered then
    for customer in homes:
        (await service.buy(sale, customer)).problem(409, "sale-not-open")
    await service.admin("POST", f"/v1/sales/{sale}/close")
    assert (await service.call("GET", f"/v1/sales/{sale}")).ok()["status"] == "closed"
    report = await service.audit(sale)
    assert report["orders"] == 4


async def test_stock_comes_and_goes_for_the_sale_as_a_whole(service: Service) -> None:
    sale = await service.create_sale(stock=8, spread=4)
    (await service.buy(sale, customers_of(0, 4, 1)[0], 3)).ok(201)
    path = f"/v1/sales/{sale}/items/unit/restock"

    async def restock(delta: int, key: str):  # type: ignore[no-untyped-def]
        return await service.call("POST", path, {"delta": delta, "reason": "test"}, key=key, admin=True)

    assert (await restock(4, "more")).ok()["stock"] == 12
    again = await restock(4, "more")
    assert (again.replayed, again.ok()["stock"]) == (True, 12)
    refused = (await restock(-10, "all")).problem(422, "invalid-request")
    assert refused["available"] == 9
    taken = (await restock(-9, "what is left")).ok()
    assert (taken["stock"], taken["available"], taken["sold"]) == (3, 0, 3)
    for home in range(4):
        (await service.buy(sale, customers_of(home, 4, 1)[0])).problem(409, "sold-out")
    await service.audit(sale)


async def test_a_cancelled_order_is_bought_by_a_customer_of_another_shard(service: Service) -> None:
    sale = await service.create_sale(stock=1, spread=2)
    order = (await service.buy(sale, customers_of(1, 2, 1)[0])).ok(201)
    (await service.buy(sale, customers_of(0, 2, 1)[0])).problem(409, "sold-out")
    body = {"restock": True, "reason": "refund"}
    (await service.call("POST", f"/v1/orders/{order['id']}/cancel", body, admin=True)).ok()
    (await service.buy(sale, customers_of(0, 2, 1)[0])).ok(201)
    await service.audit(sale)


async def test_a_receipt_confirms_late_with_units_of_another_shard(service: Service) -> None:
    sale = await service.create_sale(stock=4, spread=4, hold_seconds=1)
    held = (await service.hold(sale, customers_of(1, 4, 1)[0])).ok(201)
    deadline = asyncio.get_running_loop().time() + 30
    while (await service.item(sale))["held"]:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.1)
    (await service.buy(sale, customers_of(1, 4, 1)[0])).ok(201)  # the only unit of that shard
    confirm = f"/v1/reservations/{held['id']}/confirm"
    order = (await service.call("POST", confirm, {"receipt": held["receipt"]})).ok()
    assert (order["id"], order["status"]) == (held["id"], "confirmed")
    await service.audit(sale)


async def test_orders_of_all_shards_are_one_list_with_one_cursor(service: Service) -> None:
    sale = await service.create_sale(stock=40, spread=4)
    orders = [(await service.buy(sale, unique("c"))).ok(201)["id"] for _ in range(23)]
    read: list[str] = []
    cursor = ""
    while True:
        page = await service.admin("GET", f"/v1/sales/{sale}/orders?limit=5{cursor}")
        read += [order["id"] for order in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(read) == sorted(orders)
    csv = await service.call("GET", f"/v1/sales/{sale}/orders?format=csv", admin=True)
    assert len(csv.body.strip().splitlines()) == 24
    one = await service.admin("GET", f"/v1/sales/{sale}/orders?id={orders[7]}")
    assert [order["id"] for order in one["data"]] == [orders[7]]


async def test_viewers_see_the_sums_of_all_shards(service: Service) -> None:
    sale = await service.create_sale(stock=40, spread=4)
    async with stream(service, f"/v1/sales/{sale}/events") as events:
        first = await events.until("sale")
        assert first.data["items"][0]["available"] == 40
        for home in range(4):
            (await service.buy(sale, customers_of(home, 4, 1)[0])).ok(201)
        seen = 40
        while seen != 36:
            item = (await events.until("stock")).data["items"][0]
            assert item["stock"] == item["available"] + item["held"] + item["sold"] == 40
            seen = item["available"]


async def test_an_import_may_spread_its_sales(service: Service) -> None:
    sale = unique()
    text = f"sale,spread,sku,price_minor,currency,stock\n{sale},3,unit,100,EUR,10\n"
    headers = {"Content-Type": "text/csv"}
    done = await service.call("POST", "/v1/imports", data=text.encode(), headers=headers, admin=True)
    assert done.ok(201)["sales"] == [{"id": sale, "items": 1}]
    found = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert (found["spread"], found["items"][0]["stock"]) == (3, 10)
    again = await service.call("POST", "/v1/imports", data=text.encode(), headers=headers, admin=True)
    again.problem(422, "invalid-request")


async def test_a_subscriber_hears_of_one_sale_and_of_its_end_once(service: Service) -> None:
    events = ["sale.opened", "sale.closed", "sale.sold_out", "order.confirmed"]
    body = {"url": "https://shop.example/spread", "events": events}
    endpoint = (await service.call("POST", "/v1/webhooks", body, admin=True)).ok(201)["id"]
    try:
        sale = await service.create_sale(stock=4, spread=4)
        orders = [(await service.buy(sale, c)).ok(201)["id"] for c in customers_of(1, 4, 4)]
        await service.admin("POST", f"/v1/sales/{sale}/close")
        path = f"/v1/webhooks/{endpoint}/deliveries?limit=100"
        told = (await service.call("GET", path, admin=True)).ok()["data"]
        mine = [each for each in told if each["sale_id"] == sale]
        assert sorted(each["type"] for each in mine) == sorted([*events, *["order.confirmed"] * 3])
        assert sorted(each["reservation_id"] for each in mine if each["reservation_id"]) == sorted(orders)
        assert not [each for each in told if "~" in each["sale_id"]]
    finally:
        await service.call("DELETE", f"/v1/webhooks/{endpoint}", admin=True)


async def test_a_shops_own_programs_read_a_spread_sales_orders_under_its_id(service: Service) -> None:
    sale = await service.create_sale(stock=8, spread=4)
    orders = {(await service.buy(sale, customers_of(home, 4, 1)[0])).ok(201)["id"] for home in range(4)}
    connection = await asyncpg.connect(service.database_url)
    try:
        sql = "SELECT order_id FROM flashguard.orders_for_shop WHERE sale_id = $1"
        assert {row["order_id"] for row in await connection.fetch(sql, sale)} == orders
    finally:
        await connection.close()


async def test_metrics_count_a_spread_sale_as_one(service: Service) -> None:
    sale = await service.create_sale(stock=8, spread=4)
    (await service.buy(sale, customers_of(2, 4, 1)[0], 2)).ok(201)
    text = (await service.call("GET", "/metrics", admin=True)).body
    lines = [line for line in text.splitlines() if sale in line]
    assert not [line for line in lines if f"{sale}~" in line]
    assert {line.rsplit(" ", 1)[1] for line in lines if 'state="sold"' in line} == {"2.0"}


async def test_an_amend_gets_the_units_of_all_shards_for_a_hold_that_stays_on_its_own(
    service: Service,
) -> None:
    sale = await service.create_sale(stock=8, spread=4)
    held = (await service.hold(sale, customers_of(1, 4, 1)[0], 2)).ok(201)
    order = (await service.buy(sale, customers_of(2, 4, 1)[0], 1)).ok(201)
    assert (await amend(service, held["id"], {"unit": 5})).ok()["items"] == lines({"unit": 5})
    assert (await amend(service, order["id"], {"unit": 3})).ok()["items"] == lines({"unit": 3})
    problem = (await amend(service, order["id"], {"unit": 4})).problem(409, "sold-out")
    assert (problem["sku"], problem["available"]) == ("unit", 0)
    (await cancel(service, order["id"], {"unit": 2})).ok()
    problem = (await amend(service, held["id"], {"unit": 9})).problem(409, "sold-out")
    assert problem["available"] == 2
    (await service.verb(held["id"], "confirm")).ok()
    item = await service.item(sale)
    assert (item["stock"], item["held"], item["sold"]) == (8, 0, 6)
    await service.audit(sale)


async def test_a_hold_goes_to_another_customer_only_where_that_ones_limits_are_counted(
    service: Service,
) -> None:
    sale = await service.create_sale(stock=16, spread=4, limit=2)
    (guest, same), other = customers_of(1, 4, 2), customers_of(3, 4, 1)[0]
    held = (await service.hold(sale, guest, 2)).ok(201)
    problem = (await transfer(service, held["id"], other)).problem(422, "invalid-request")
    assert "another shard" in problem["detail"]
    assert (await transfer(service, held["id"], same)).ok()["customer"] == same
    (await service.hold(sale, same, 1)).problem(409, "limit-reached")
    (await service.hold(sale, guest, 2)).ok(201)
    free = await service.create_sale(stock=16, spread=4)
    held = (await service.hold(free, guest, 2)).ok(201)
    assert (await transfer(service, held["id"], other)).ok()["id"] == held["id"]
    assert (await service.verb(held["id"], "confirm")).ok()["customer"] == other
    await service.audit(sale)
    await service.audit(free)
