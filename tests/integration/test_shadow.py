"""Beside an existing shop: its own stock decides, FlashGuard runs along and reports where they differ."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from flashguard.client import Shadow
from tests.support.django_shop import DjangoShop
from tests.support.faulty import FaultyLine
from tests.support.forked import run_flashguard
from tests.support.ports import free_port
from tests.support.service import ADMIN_KEY, Service, clean_env

AT_ONCE = 6
WAIT_SECONDS = 30.0


async def shadow_sale(service: Service, **more: Any) -> str:
    sale = await service.create_sale(opened=False, **more)
    await service.admin("POST", f"/v1/sales/{sale}/shadow")
    await service.admin("POST", f"/v1/sales/{sale}/open")
    return sale


def attempt(key: str, shop: str, customer: str = "ada", quantity: int = 1, **more: Any) -> dict[str, Any]:
    items = [{"sku": "unit", "quantity": quantity}]
    return {"key": key, "shop": shop, "customer": customer, "items": items} | more


async def tell(service: Service, sale: str, *attempts: dict[str, Any]) -> list[dict[str, Any]]:
    body = {"attempts": list(attempts)}
    return (await service.admin("POST", f"/v1/sales/{sale}/shadow/attempts", body))["attempts"]  # type: ignore[no-any-return]


async def report(service: Service, sale: str) -> dict[str, Any]:
    return await service.admin("GET", f"/v1/sales/{sale}/shadow")


async def test_a_shadow_refuses_nobody_and_says_where_the_shop_would_have_differed(service):
    sale = await shadow_sale(service, stock=2)
    compared = await tell(
        service,
        sale,
        attempt("a", "sold"),
        attempt("b", "refused"),  # the shop had the unit
        attempt("c", "sold", reference="order-7"),  # the shop did not have it
        attempt("d", "refused"),
    )
    assert [(each["ours"], each["agrees"]) for each in compared] == [
        ("confirmed", True), ("confirmed", False), ("sold-out", False), ("sold-out", True),
    ]  # fmt: skip
    said = await report(service, sale)
    assert (said["both_sold"], said["both_refused"]) == (1, 1)
    assert (said["only_shop_sold"], said["only_flashguard_sold"]) == (1, 1)
    assert said["reasons"] == {"sold-out": 1}
    assert [(each["key"], each["shop"], each["ours"], each["reference"]) for each in said["differences"]] == [
        ("b", "refused", "confirmed", None), ("c", "sold", "sold-out", "order-7"),
    ]  # fmt: skip
    await service.audit(sale)


async def test_what_the_shop_oversold_is_counted_in_units(service):
    sale = await shadow_sale(service, stock=3)
    await tell(service, sale, *(attempt(f"k{n}", "sold", f"c{n}", 2) for n in range(3)))
    [item] = (await report(service, sale))["items"]
    assert item == {"sku": "unit", "stock": 3, "shop_sold": 6, "flashguard_sold": 2, "shop_oversold": 3}


async def test_an_attempt_told_again_changes_nothing(service):
    sale = await shadow_sale(service, stock=2)
    told = [attempt("a", "sold"), attempt("b", "refused", "bob")]
    first = await tell(service, sale, *told)
    before = await report(service, sale)
    assert await tell(service, sale, *told) == first
    assert await report(service, sale) == before


async def test_what_the_shop_takes_back_is_on_sale_again_here_too_and_once(service):
    sale = await shadow_sale(service, stock=1)
    back = attempt("a", "returned")
    await tell(service, sale, attempt("a", "sold"), back)
    await tell(service, sale, back)
    assert (await service.item(sale))["available"] == 1
    [again] = await tell(service, sale, attempt("b", "sold", "bob"))
    assert again["agrees"]
    said = await report(service, sale)
    assert (said["returned"], said["items"][0]["stock"]) == (1, 1)
    assert (said["items"][0]["shop_sold"], said["items"][0]["flashguard_sold"]) == (1, 1)
    assert said["items"][0]["shop_oversold"] == 0
    await service.audit(sale)


async def test_a_sale_for_real_can_neither_be_told_nor_become_a_shadow(service):
    sale = await service.create_sale(stock=1)
    path = f"/v1/sales/{sale}/shadow"
    (await service.call("POST", path, admin=True)).problem(409, "invalid-request")
    body = {"attempts": [attempt("a", "sold")]}
    (await service.call("POST", f"{path}/attempts", body, admin=True)).problem(409, "invalid-request")
    (await service.call("GET", path, admin=True)).problem(409, "invalid-request")
    assert (await service.item(sale))["sold"] == 0
    for method, where in (("POST", ""), ("GET", ""), ("POST", "/attempts")):
        answer = await service.call(
            method, f"/v1/sales/nowhere/shadow{where}", body if where else None, admin=True
        )
        answer.problem(404, "unknown-sale")


async def test_the_messenger_tells_again_what_a_bad_line_lost_and_holds_nobody_up(service):
    sale = await shadow_sale(service, stock=5)
    async with FaultyLine(service.url).open() as line:
        line.next_requests_meet("cut-before", "503-now", "cut-after", "502")
        shadow = Shadow(line.url, ADMIN_KEY, sale)
        for number in range(20):
            shadow.tell(f"c{number}", {"unit": 1}, "sold" if number < 7 else "refused")
        assert await asyncio.to_thread(shadow.flush, WAIT_SECONDS)
        await asyncio.to_thread(shadow.close)
    assert shadow.dropped == 0
    said = await report(service, sale)
    assert (said["both_sold"], said["only_shop_sold"], said["items"][0]["shop_oversold"]) == (5, 2, 2)


def test_the_messenger_keeps_only_so_much_for_a_service_that_is_away():
    shadow = Shadow(f"http://127.0.0.1:{free_port()}", None, "a-sale", most_waiting=20)
    for number in range(30):
        shadow.tell(f"c{number}", {"unit": 1}, "sold")
    assert shadow.dropped == 10
    shadow.close(0.0)


async def test_a_messenger_with_a_wrong_key_drops_and_goes_on(service):
    sale = await shadow_sale(service, stock=1)
    shadow = Shadow(service.url, "fg_live_wrong", sale)
    shadow.tell("ada", {"unit": 1}, "sold")
    assert await asyncio.to_thread(shadow.flush, WAIT_SECONDS)
    assert shadow.dropped == 1
    await asyncio.to_thread(shadow.close)


async def test_nobody_is_told_of_a_shadows_orders_as_if_they_were_orders(service, servers):
    endpoint = await service.admin("POST", "/v1/webhooks", {"url": "https://shop.example/told"})
    shadow, real = await shadow_sale(service, stock=1), await service.create_sale(stock=1)
    await tell(service, shadow, attempt("a", "sold"))
    (await service.buy(real, "ada")).ok(201)
    connection = await asyncpg.connect(servers.database_url)
    try:
        rows = await connection.fetch(
            "SELECT sale_id, type FROM flashguard.webhook_deliveries WHERE endpoint = $1", endpoint["id"]
        )
    finally:
        await connection.close()
        await service.admin("DELETE", f"/v1/webhooks/{endpoint['id']}")
    assert (real, "order.confirmed") in [tuple(row) for row in rows]
    assert shadow not in {row["sale_id"] for row in rows}


async def test_the_command_line_begins_and_reports(service):
    sale = await service.create_sale(stock=1, opened=False)
    begun = await flashguard(service, "shadow", "begin", sale)
    assert "is a shadow" in begun
    await flashguard(service, "sale", "open", sale)
    await tell(service, sale, attempt("a", "sold"), attempt("b", "sold", "bob", reference="order-9"))
    shown = await flashguard(service, "shadow", "report", sale)
    assert "order-9" in shown
    assert "sold-out" in shown
    assert json.loads(await flashguard(service, "shadow", "report", sale, "--json"))["only_shop_sold"] == 1


async def flashguard(service: Service, *words: str) -> str:
    where = ("--url", service.url, "--admin-key", ADMIN_KEY)
    done = await asyncio.to_thread(run_flashguard, *words, *where, env=clean_env())
    assert done.returncode == 0, done.stderr
    return done.stdout


# The worked example: a Django shop


@asynccontextmanager
async def slow_payments() -> AsyncIterator[str]:
    """A payment provider that answers nobody before so many have come: so all of them have read the stock."""
    everybody = asyncio.Event()
    waiting = 0

    async def pay(_: web.Request) -> web.Response:
        nonlocal waiting
        waiting += 1
        if waiting >= AT_ONCE:
            everybody.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await everybody.wait()
        return web.Response(text="paid")

    app = web.Application()
    app.router.add_get("/pay", pay)
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/pay"
    finally:
        await runner.cleanup()


@pytest.fixture
async def shop(service, http: aiohttp.ClientSession, tmp_path: Path) -> AsyncIterator[tuple[str, str]]:
    """The example shop, running, with 4 units of its own; its address and its shadow sale."""
    sale = await shadow_sale(service, stock=4)
    async with slow_payments() as payments:
        example = DjangoShop(
            tmp_path, FLASHGUARD_URL=service.url, SHOP_KEY=ADMIN_KEY, SHOP_SHADOW=sale,
            SHOP_PAYMENT_URL=payments,
        )  # fmt: skip
        async with example.serving(http, "--own", "unit=4") as url:
            yield url, sale


async def test_a_django_shop_sees_what_its_own_stock_oversells(service, http, shop):
    url, sale = shop

    async def check_out(customer: str) -> int:
        body = {"customer": customer, "sku": "unit", "quantity": 1}
        async with http.post(f"{url}/own/checkout", json=body) as answer:
            return answer.status

    statuses = await asyncio.gather(*(check_out(f"c{number}") for number in range(AT_ONCE)))
    assert statuses == [201] * AT_ONCE  # six buyers paid for four units
    async with asyncio.timeout(WAIT_SECONDS):
        while (said := await report(service, sale))["both_sold"] + said["only_shop_sold"] < AT_ONCE:
            await asyncio.sleep(0.1)
    [item] = said["items"]
    assert (item["shop_sold"], item["flashguard_sold"], item["shop_oversold"]) == (6, 4, 2)
    assert said["reasons"] == {"sold-out": 2}
    order = said["differences"][0]["reference"].removeprefix("order-")
    async with http.post(f"{url}/own/orders/{order}/return") as answer:
        assert answer.status == 200
    async with asyncio.timeout(WAIT_SECONDS):
        while (said := await report(service, sale))["returned"] < 1:
            await asyncio.sleep(0.1)
    assert said["items"][0]["shop_oversold"] == 1
    await service.audit(sale)
