"""The feed of facts: what a reader gets, how long it waits, and what it may not ask for."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from flashguard.facts.waiting import MAX_WAITING
from tests.integration.test_spread import customers_of
from tests.support.eventually import eventually
from tests.support.real_stack import started
from tests.support.service import Answer, Service


async def read(service: Service, **query: object) -> Answer:
    return await service.call("GET", f"/v1/facts?{urlencode(query)}", admin=True)


async def now(service: Service) -> str:
    """The cursor of what happens from now on."""
    return str((await read(service, after="now")).ok()["next_cursor"])


async def told(service: Service, after: str, sale: str, count: int) -> list[dict[str, Any]]:
    """The next facts about a sale, read page by page until there are so many."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < deadline, found
        page = (await read(service, after=after, limit=3, wait=5)).ok()
        after = page["next_cursor"]
        found += [each for each in page["data"] if sale in (each["data"].get("sale_id"), sale_of(each))]
    return found


async def opening_told(service: Service, after: str) -> str:
    """The cursor after the fact of a sale's opening, the only one since then."""
    page = (await read(service, after=after, wait=30)).ok()
    assert [each["type"] for each in page["data"]] == ["sale.opened"]
    return str(page["next_cursor"])


def sale_of(fact: dict[str, Any]) -> str:
    return str(fact["data"].get("id", "")).partition(".")[0]


async def test_the_feed_tells_what_webhooks_tell_with_the_same_id(service: Service) -> None:
    body = {"url": "https://shop.example/facts"}
    endpoint = (await service.call("POST", "/v1/webhooks", body, admin=True)).ok(201)["id"]
    try:
        after = await now(service)
        sale = await service.create_sale(stock=4)
        held = (await service.hold(sale, "ann", 2)).ok(201)
        order = (await service.verb(held["id"], "confirm")).ok()
        let_go = (await service.hold(sale, "bob")).ok(201)
        more = {"items": [{"sku": "unit", "quantity": 2}]}
        path = f"/v1/reservations/{let_go['id']}/amend"
        (await service.call("POST", path, more, admin=True)).ok()
        (await service.verb(let_go["id"], "release")).ok()
        bought = (await service.buy(sale, "cat", 2)).ok(201)
        cancel = {"restock": True, "reason": "changed her mind"}
        path = f"/v1/orders/{bought['id']}/cancel"
        cancelled = (await service.call("POST", path, cancel, admin=True)).ok()
        await service.admin("POST", f"/v1/sales/{sale}/close")
        facts = await told(service, after, sale, 10)
        log = await service.admin("GET", f"/v1/webhooks/{endpoint}/deliveries?limit=100")
        assert {each["id"]: each["type"] for each in facts} == {
            each["message_id"]: each["type"] for each in log["data"] if each["sale_id"] == sale
        }
    finally:
        await service.call("DELETE", f"/v1/webhooks/{endpoint}", admin=True)

    def about(id_: str) -> list[dict[str, Any]]:
        return [each for each in facts if each["data"].get("id") == id_]

    def types(id_: str) -> list[str]:
        return [each["type"] for each in about(id_)]

    assert types(held["id"]) == ["reservation.held", "order.confirmed"]
    assert types(let_go["id"]) == [
        "reservation.held", "reservation.amended", "reservation.released",
    ]  # fmt: skip
    unit = {"sku": "unit", "quantity": 2, "price_minor": 1999}
    assert about(let_go["id"])[1]["data"]["items"] == [unit]
    assert types(bought["id"]) == ["order.confirmed", "order.cancelled"]
    assert [each["type"] for each in facts if "id" not in each["data"]] == [
        "sale.opened", "sale.sold_out", "sale.closed",
    ]  # fmt: skip
    confirmed = about(order["id"])[1]
    public = {name: order[name] for name in order if name != "receipt"}
    assert confirmed["data"] == public | {"items": [unit]}
    assert confirmed["timestamp"] == order["confirmed_at"]
    data = about(bought["id"])[1]["data"]
    assert data.pop("reason") == cancelled.pop("cancel_reason")
    assert data | {"receipt": None} == cancelled | {"items": [unit]}


async def test_a_spread_sale_is_one_sale_to_a_reader(service: Service) -> None:
    after = await now(service)
    sale = await service.create_sale(stock=4, spread=4)
    orders = [(await service.buy(sale, c)).ok(201)["id"] for c in customers_of(1, 4, 4)]
    await service.admin("POST", f"/v1/sales/{sale}/close")
    facts = await told(service, after, sale, 7)
    assert {each["data"]["sale_id"] for each in facts} == {sale}
    assert sorted(each["data"]["id"] for each in facts if "id" in each["data"]) == sorted(orders)
    assert sorted(each["type"] for each in facts if "id" not in each["data"]) == [
        "sale.closed", "sale.opened", "sale.sold_out",
    ]  # fmt: skip


@pytest.fixture
async def alone(http) -> AsyncIterator[Service]:
    """A service in whose feed only this test makes facts: no hold of another test's sale expires there."""
    async with started(http) as stack:
        yield stack.service


async def test_a_reader_at_the_end_is_woken_by_the_next_fact(alone: Service) -> None:
    service, after = alone, await now(alone)
    sale = await service.create_sale()
    after = await opening_told(service, after)
    began = time.monotonic()
    waiting = asyncio.create_task(read(service, after=after, wait=30))
    await asyncio.sleep(1.0)
    assert not waiting.done()
    order = (await service.buy(sale, "ann")).ok(201)
    page = (await waiting).ok()
    assert time.monotonic() - began < 20
    assert [each["data"]["id"] for each in page["data"]] == [order["id"]]
    again = (await read(service, after=after)).ok()
    assert again["data"] == page["data"]


async def test_a_reader_without_news_is_answered_when_its_time_is_over(alone: Service) -> None:
    service, after = alone, await now(alone)
    began = time.monotonic()
    page = (await read(service, after=after, wait=1)).ok()
    assert page["data"] == []
    assert time.monotonic() - began >= 1
    assert (await read(service, after=page["next_cursor"])).ok()["data"] == []


async def test_so_many_readers_wait_at_once_and_one_that_leaves_makes_room(alone: Service) -> None:
    service, after = alone, await now(alone)
    path = f"{service.url}/v1/facts?{urlencode({'after': after, 'wait': 30})}"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def wait() -> int:
            async with http.get(path, headers=service.admin_headers) as answer:
                return answer.status

        readers = [asyncio.create_task(wait()) for _ in range(MAX_WAITING + 20)]
        full = 0
        while full < 20:
            done, _ = await asyncio.wait(readers, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            assert done
            assert {each.result() for each in done} == {503}
            full += len(done)
            readers = [each for each in readers if each not in done]
        assert full == 20
        for each in readers:
            each.cancel()
        await asyncio.gather(*readers, return_exceptions=True)

    async def there_is_room() -> bool:
        return (await read(service, after=after, wait=0.2)).status == 200

    await eventually(there_is_room, "those who left have made room", 10)  # their wait is longer


@pytest.mark.parametrize(
    "query",
    [
        {"after": ""}, {"after": "null"}, {"after": "AAAA"}, {"after": "kwHAwA"}, {"after": "é"},
        {"after": "x" * 5000}, {"after": "lM8ABgAAAAAAAJABAQ"},
        {"after": "now", "limit": 0}, {"limit": 501}, {"limit": "many"}, {"wait": -1}, {"wait": 31},
        {"wait": "nan"}, {"wait": "inf"}, {"after": "\0"},
    ],
)  # fmt: skip
async def test_what_can_not_be_asked_is_refused(service: Service, query: dict[str, object]) -> None:
    (await read(service, **query)).problem(422, "invalid-request")


async def test_a_key_that_may_read_reads_and_a_shops_does_not(service: Service) -> None:
    (await service.call("GET", "/v1/facts")).problem(401, "unauthenticated")
    for scope, status in (("read", 200), ("shop", 403)):
        made = await service.admin("POST", "/v1/keys", {"name": scope, "scopes": [scope]})
        headers = {"Authorization": f"Bearer {made['key']}"}
        assert (await service.call("GET", "/v1/facts?after=now", headers=headers)).status == status
