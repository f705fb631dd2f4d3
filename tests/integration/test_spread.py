"""A sale spread over partitions: one sale to everybody, exact to the unit, wherever its buyers are."""

import asyncio
import zlib

from conftest import Service, unique


def customers_of(home: int, spread: int, count: int) -> list[str]:
    """Customers who all have this part as their home."""
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
