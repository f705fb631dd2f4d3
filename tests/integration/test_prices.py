"""Prices: bounded where they enter, so that the amount of no order leaves 64 bits."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from flashguard import Code, FlashGuard, Item, NewSale, Refused, Settings
from flashguard.model import MAX_LINES, MAX_PRICE_MINOR, MAX_QUANTITY, MAX_STOCK, MinorUnits, Sku
from tests.support.service import Service, unique

BIGINT_MOST = 2**63 - 1
SKUS = tuple(f"sku-{number}" for number in range(MAX_LINES))
VIEW = (
    "SELECT count(*) AS lines, count(amount_minor) AS amounts, sum(amount_minor) AS amount "
    "FROM flashguard.orders_for_shop WHERE sale_id = $1"
)


def item(**more: Any) -> dict[str, Any]:
    return {"sku": "unit", "name": "Unit", "price_minor": 1, "currency": "EUR", "stock": 1} | more


@pytest.fixture(scope="module")
async def guard(service: Service) -> AsyncIterator[FlashGuard]:
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as connected:
        yield connected


def test_the_amount_of_the_largest_basket_fits_into_64_bits() -> None:
    assert MAX_PRICE_MINOR * MAX_LINES * MAX_QUANTITY <= BIGINT_MOST


@pytest.mark.parametrize("price", [MAX_PRICE_MINOR + 1, 10**12, 2**63, -1])
async def test_a_price_out_of_bounds_is_refused_wherever_it_comes_in(
    service: Service, guard: FlashGuard, price: int
):
    body = {"id": unique(), "name": "Dear", "items": [item(price_minor=price)]}
    made = await service.call("POST", "/v1/sales", body, admin=True)
    assert made.problem(422, "invalid-request")["errors"][0]["where"] == "body.items.0.price_minor"
    for kind, data in (
        ("application/json", json.dumps([body])),
        ("text/csv", f"sale,sku,price_minor,currency,stock\n{unique()},unit,{price},EUR,1\n"),
    ):
        headers = service.admin_headers | {"Content-Type": kind}
        imported = await service.call("POST", "/v1/imports", headers=headers, data=data.encode())
        [error] = imported.problem(422, "invalid-request")["errors"]
        assert "price_minor" in error["where"]
    one = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(price), currency="EUR", stock=1)
    refused = await guard.shop.create_sale(NewSale(name="Dear", items=(one,), id=unique()))
    assert isinstance(refused, Refused)
    assert refused.code is Code.INVALID_REQUEST
    assert "items[0].price_minor" in refused.detail


@pytest.mark.parametrize(
    "change",
    [
        {"price_minor": 1.5}, {"price_minor": True}, {"price_minor": "1"}, {"price_minor": None},
        {"stock": -1}, {"stock": MAX_STOCK + 1}, {"stock": 1.0}, {"currency": "eur"}, {"currency": "EUR\n"},
        {"currency": None}, {"sku": ""}, {"sku": ".."}, {"sku": 1}, {"name": "a\x00b"}, {"name": "\ud800"},
        {"held": 1}, {"sold": 1},
    ],
)  # fmt: skip
async def test_the_library_refuses_an_item_that_the_http_contract_refuses(
    guard: FlashGuard, change: dict[str, Any]
):
    one = Item(sku=Sku("unit"), name="Unit", price_minor=MinorUnits(1), currency="EUR", stock=1)
    new = NewSale(name="Odd", items=(msgspec.structs.replace(one, **change),), id=unique())
    refused = await guard.shop.create_sale(new)
    assert isinstance(refused, Refused)
    assert refused.code is Code.INVALID_REQUEST
    assert f"items[0].{next(iter(change))}" in refused.detail or "held and sold" in refused.detail


@pytest.mark.parametrize("skus", [SKUS, ("unit",)])
async def test_the_largest_order_is_listed_and_summed(service: Service, skus: tuple[str, ...]):
    items = [item(sku=sku, price_minor=MAX_PRICE_MINOR, stock=MAX_STOCK) for sku in skus]
    sale = await service.create_sale(items=items)
    lines = [
        {"sku": skus[number % len(skus)], "quantity": MAX_QUANTITY} for number in range(MAX_LINES)
    ]  # of one sku they add up
    body = {"customer": "ann", "items": lines}
    order = (await service.call("POST", f"/v1/sales/{sale}/orders", body)).ok(201)
    connection = await asyncpg.connect(service.database_url)
    try:
        row = await connection.fetchrow(VIEW, sale)
        assert row["amount"] == MAX_PRICE_MINOR * MAX_LINES * MAX_QUANTITY
        assert row["lines"] == len(skus)
        undone = connection.transaction()
        await undone.start()
        await connection.execute("ALTER TABLE flashguard.items DROP CONSTRAINT items_price_in_range")
        dear = "UPDATE flashguard.items SET price_minor = 10 ^ 13 WHERE sale_id = $1"
        await connection.execute(dear, sale)  # as a ledger from before the bound may have it
        row = await connection.fetchrow(VIEW, sale)
        assert (row["lines"], row["amounts"]) == (len(skus), 0)
        await undone.rollback()
    finally:
        await connection.close()
    for path in (
        f"/v1/sales/{sale}/orders",
        f"/v1/sales/{sale}/orders?format=csv",
        f"/v1/sales/{sale}/audit",
    ):
        assert (await service.call("GET", path, admin=True)).status == 200, path
    cancel = f"/v1/orders/{order['id']}/cancel"
    (await service.call("POST", cancel, {"restock": True}, admin=True)).ok()
