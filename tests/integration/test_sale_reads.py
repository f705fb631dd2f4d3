"""Reading a sale: at most 100 ms old, one's own changes at once, and nothing twice to who has it."""

import asyncio
import re
import time
from typing import Any

import pytest

from flashguard.guard import FlashGuard
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId
from flashguard.settings import Settings
from tests.support.service import Answer, Service, unique

MAX_AGE_SECONDS = 0.1
LIKE_A_BROWSER = {"Cache-Control": "max-age=0"}
"""What a browser sends at a reload. It is not a demand for the newest state."""


async def read(service: Service, sale: str, *, admin: bool = True, **headers: str) -> Answer:
    sent = LIKE_A_BROWSER | {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.call("GET", f"/v1/sales/{sale}", admin=admin, headers=sent)


async def stock(service: Service, sale: str) -> int:
    return (await read(service, sale)).ok()["items"][0]["stock"]  # type: ignore[no-any-return]


@pytest.fixture
async def other(service: Service) -> Any:
    """Another process of the shop, on the same servers."""
    settings = Settings(redis_url=service.redis_url, database_url=service.database_url)
    async with await FlashGuard.connect(settings) as guard:
        yield guard


async def test_a_change_by_another_process_is_seen_after_100_ms(service: Service, other: FlashGuard) -> None:
    sale = await service.create_sale(stock=5)
    for stock_now in range(6, 12):
        await stock(service, sale)
        assert isinstance(await other.shop.restock(SaleId(sale), "unit", 1, "more"), tuple)
        assert (await service.item(sale))["stock"] == stock_now  # who demands the newest state gets it
        await asyncio.sleep(MAX_AGE_SECONDS)
        assert await stock(service, sale) == stock_now


async def test_ones_own_changes_are_seen_at_once(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    for number in range(10):
        await stock(service, sale)
        await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 1, "reason": "more"})
        assert await stock(service, sale) == 6 + number
        await service.admin("PATCH", f"/v1/sales/{sale}", {"name": f"Sale {number}"})
        assert (await read(service, sale)).ok()["name"] == f"Sale {number}"
        await service.admin("POST", f"/v1/sales/{sale}/pause")
        assert (await read(service, sale)).ok()["status"] == "paused"
        await service.admin("POST", f"/v1/sales/{sale}/open")
        assert (await read(service, sale)).ok()["status"] == "open"


async def test_a_cancelled_order_and_a_new_sale_are_seen_at_once(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    order = (await service.buy(sale, "ann")).ok(201)["id"]
    assert (await service.item(sale))["sold"] == 1
    await service.admin("POST", f"/v1/orders/{order}/cancel", {"restock": True, "reason": "refund"})
    assert (await read(service, sale)).ok()["items"][0]["sold"] == 0
    new = unique()
    assert (await read(service, new)).problem(404, "unknown-sale")
    await service.create_sale(opened=False, id=new)
    assert (await read(service, new)).ok()["status"] == "draft"


async def test_a_draft_that_the_shop_reads_stays_unknown_to_others(service: Service) -> None:
    draft = await service.create_sale(opened=False)
    for _ in range(5):
        etag = (await read(service, draft)).headers["ETag"]
        (await read(service, draft, admin=False)).problem(404, "unknown-sale")
        (await read(service, draft, admin=False, If_None_Match=etag)).problem(404, "unknown-sale")


async def test_a_reader_gets_a_sale_again_only_when_it_changed(service: Service) -> None:
    sale = await service.create_sale(stock=5)
    first = await read(service, sale)
    assert first.headers["Cache-Control"] == "no-cache"
    for etags in (first.headers["ETag"], f"W/{first.headers['ETag']}", f'"x", {first.headers["ETag"]}', "*"):
        again = await read(service, sale, If_None_Match=etags)
        assert (again.status, again.body, again.headers["ETag"]) == (304, "", first.headers["ETag"])
        assert again.headers["Cache-Control"] == "no-cache"
        assert "Content-Type" not in again.headers
    await service.admin("PATCH", f"/v1/sales/{sale}", {"name": "Another"})
    changed = await read(service, sale, If_None_Match=first.headers["ETag"])
    assert changed.ok()["name"] == "Another"
    assert changed.headers["ETag"] != first.headers["ETag"]
    assert (await read(service, sale)).headers["ETag"] == changed.headers["ETag"]


async def test_reloading_costs_the_servers_ten_reads_a_second(service: Service) -> None:
    sale = await service.create_sale()

    async def asked() -> float:
        text = (await service.call("GET", "/metrics", admin=True)).body
        [found] = re.findall(
            r'^flashguard_script_call_requests_sum{verb="' + Verb.GET + r'"} (\S+)$', text, re.M
        )
        return float(found)

    await read(service, sale)
    before, began = await asked(), time.monotonic()
    for _ in range(10):
        answers = await asyncio.gather(*(read(service, sale) for _ in range(100)))
        assert {answer.status for answer in answers} == {200}
    allowed = 1 + (time.monotonic() - began) / MAX_AGE_SECONDS
    assert await asked() - before <= allowed
    await asyncio.sleep(3 * MAX_AGE_SECONDS)
    assert await asked() - before <= allowed  # nothing is read while nobody asks
