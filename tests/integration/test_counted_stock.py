"""Restock to what was counted: the count becomes a change of stock in the step that decides it."""

import asyncio
from typing import Any

import pytest

from tests.integration.test_spread import customers_of
from tests.integration.test_waiting_list import join, offered
from tests.support.service import Answer, Service, unique


async def count(service: Service, sale: str, stock: object, *, key: str | None = None) -> Answer:
    path = f"/v1/sales/{sale}/items/unit/restock"
    return await service.call("POST", path, {"stock": stock, "reason": "counted"}, key=key, admin=True)


def figures(item: dict[str, Any]) -> tuple[int, int, int, int]:
    return item["stock"], item["available"], item["held"], item["sold"]


async def test_the_stock_becomes_what_was_counted_with_what_is_held_and_sold(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    (await service.hold(sale, "ann", 2)).ok(201)
    (await service.buy(sale, "bob", 1)).ok(201)
    assert figures((await count(service, sale, 12)).ok()) == (12, 9, 2, 1)
    assert figures((await count(service, sale, 12)).ok()) == (12, 9, 2, 1)
    assert figures((await count(service, sale, 4)).ok()) == (4, 1, 2, 1)
    refused = (await count(service, sale, 2)).problem(422, "invalid-request")
    assert (refused["detail"], refused["available"]) == ("stock: 3 units are held or sold", 1)
    assert figures((await count(service, sale, 3)).ok()) == (3, 0, 2, 1)
    (await service.buy(sale, "eve")).problem(409, "sold-out")
    await service.audit(sale)


async def test_a_count_of_one_key_counts_once(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    key = unique("key")
    first = await count(service, sale, 7, key=key)
    path = f"/v1/sales/{sale}/items/unit/restock"
    more = {"delta": 4, "reason": "more"}
    assert (await service.call("POST", path, more, admin=True)).ok()["stock"] == 11
    again = await count(service, sale, 7, key=key)
    assert (again.ok(), again.replayed, first.ok()["stock"]) == (first.ok(), True, 7)
    assert (await service.item(sale))["stock"] == 11
    (await count(service, sale, 8, key=key)).problem(422, "idempotency-mismatch")
    body = {"delta": 2, "reason": "counted"}
    (await service.call("POST", path, body, key=key, admin=True)).problem(422, "idempotency-mismatch")
    await service.audit(sale)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"delta": 1, "stock": 1}, {"delta": None}, {"stock": None}, {"delta": None, "stock": 5},
        {"stock": -1}, {"stock": 1.5}, {"stock": "5"}, {"stock": True}, {"stock": 10**9 + 1},
    ],
)  # fmt: skip
async def test_a_restock_says_how_many_or_what_was_counted(service: Service, body: dict[str, Any]) -> None:
    sale = await service.create_sale(stock=5)
    path = f"/v1/sales/{sale}/items/unit/restock"
    answer = await service.call("POST", path, body | {"reason": "x"}, admin=True)
    answer.problem(422, "invalid-request")
    assert (await service.item(sale))["stock"] == 5


async def test_counts_at_once_end_at_what_was_counted(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    answers = await asyncio.gather(*(count(service, sale, 20) for _ in range(8)))
    assert {answer.ok()["stock"] for answer in answers} == {20}
    assert (await service.item(sale))["stock"] == 20
    await service.audit(sale)


async def test_an_expired_hold_does_not_stand_in_the_way_of_a_count(service: Service) -> None:
    sale = await service.create_sale(stock=3, hold_seconds=1)
    (await service.hold(sale, "ann", 3)).ok(201)
    async with asyncio.timeout(30):
        while (await count(service, sale, 1)).status != 200:
            await asyncio.sleep(0.1)
    assert figures(await service.item(sale)) == (1, 1, 0, 0)
    await service.audit(sale)


async def test_units_that_were_found_are_for_who_waits(service: Service) -> None:
    sale = await service.create_sale(stock=1, waiting_list=10)
    (await service.buy(sale, "first")).ok(201)
    entry = (await join(service, sale, "late")).ok(201)
    assert (await count(service, sale, 2)).ok()["stock"] == 2
    await offered(service, entry)
    assert figures(await service.item(sale)) == (2, 0, 1, 1)
    (await service.buy(sale, "third")).problem(409, "sold-out")
    await service.audit(sale)


async def test_a_spread_sale_is_counted_as_a_whole(service: Service) -> None:
    sale = await service.create_sale(stock=8, spread=4)
    (await service.buy(sale, customers_of(2, 4, 1)[0], 5)).ok(201)  # units moved to that shard
    assert figures((await count(service, sale, 30)).ok()) == (30, 25, 0, 5)
    refused = (await count(service, sale, 4)).problem(422, "invalid-request")
    assert (refused["detail"], refused["available"]) == ("stock: 5 units are held or sold", 25)
    assert figures((await count(service, sale, 6)).ok()) == (6, 1, 0, 5)
    (await service.buy(sale, customers_of(3, 4, 1)[0], 1)).ok(201)
    (await service.buy(sale, customers_of(1, 4, 1)[0], 1)).problem(409, "sold-out")
    await service.audit(sale)


async def test_a_count_is_exact_while_units_move_between_shards(service: Service) -> None:
    sale = await service.create_sale(stock=40, spread=4)
    buyers = [service.buy(sale, customer) for home in (1, 3) for customer in customers_of(home, 4, 15)]
    counts = [count(service, sale, 60) for _ in range(6)]
    answers = await asyncio.gather(*buyers, *counts)
    assert {answer.status for answer in answers[: len(buyers)]} == {201}
    assert all(answer.status in (200, 503) for answer in answers[len(buyers) :])
    assert any(answer.status == 200 for answer in answers[len(buyers) :])
    assert figures(await service.item(sale)) == (60, 30, 0, 30)
    await service.audit(sale)
