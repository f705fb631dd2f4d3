"""A service that dies under an open page: the page says so, shows no number as live, and comes back."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.support.browser import Visitor
from tests.support.ports import free_port
from tests.support.streams import another_api

AWAY = r"ERR_|status of 50[23]|answered 50[23]"
BANNER = "Connection lost"


async def killed(api) -> None:
    api.process.kill()
    await asyncio.to_thread(api.process.wait)


async def shows_lost(visitor: Visitor) -> None:
    await expect(visitor.page.get_by_role("status").filter(has_text=BANNER)).to_be_visible()


async def shows_live(visitor: Visitor) -> None:
    await expect(visitor.page.get_by_text(BANNER)).to_have_count(0)


async def test_a_storefront_survives_an_api_that_is_killed_and_started_again(visit, service, http):
    sale, port = await service.create_sale(stock=10), free_port()
    stock = re.compile(r"\d+ of 10 available")
    async with another_api(service, http, port=port) as api:
        buyer = await visit(f"/sale/?id={sale}", url=api.url)
        buyer.expect_complaints(AWAY)
        await buyer.sees("10 of 10 available")
        await expect(buyer.button("Buy")).to_be_enabled()
        await shows_live(buyer)
        await expect(buyer.page.get_by_text("stale", exact=True)).to_have_count(0)
        await killed(api)
        await shows_lost(buyer)
        await expect(buyer.button("Reconnecting…")).to_be_disabled()
        shown = buyer.page.get_by_role("main").locator("p").filter(has_text=stock)
        await expect(shown).to_contain_text("stale")
        await expect(shown).to_have_class(re.compile(r"\bstale\b"))
        (await service.buy(sale, "another", 3)).ok(201)  # by another process, unseen here
    async with another_api(service, http, port=port):
        await buyer.sees("7 of 10 available")
        await shows_live(buyer)
        await expect(shown).not_to_contain_text("stale")
        await buyer.button("Buy").click()
        await buyer.sees("6 of 10 available")
        await buyer.sees("held for you")


async def test_a_purchase_that_meets_a_dead_api_is_made_once_when_it_is_back(visit, service, http):
    sale, port = await service.create_sale(stock=10), free_port()
    async with another_api(service, http, port=port) as api:
        buyer = await visit(f"/sale/?id={sale}", url=api.url)
        buyer.expect_complaints(AWAY)
        answered = asyncio.Event()

        async def lose_the_answer(route) -> None:
            await route.fetch()  # it took effect; now the process dies with its answer
            answered.set()
            await killed(api)
            await route.abort("connectionreset")

        await buyer.page.route("**/reservations", lose_the_answer, times=1)
        await buyer.button("Buy").click()
        await answered.wait()
        await shows_lost(buyer)
        await buyer.sees("Repeating the same request")
    async with another_api(service, http, port=port):
        await buyer.sees("held for you")
        await shows_live(buyer)
    item = await service.item(sale)
    assert (item["held"], item["available"]) == (1, 9)


@pytest.mark.parametrize("path", ["/", "/control/?id={sale}"])
async def test_home_and_control_room_say_when_the_api_is_away_and_come_back(visit, service, http, path):
    sale, port = await service.create_sale(stock=10), free_port()
    async with another_api(service, http, port=port) as api:
        visitor = await visit(path.format(sale=sale), url=api.url)
        visitor.expect_complaints(AWAY)
        if "control" in path:
            await visitor.page.get_by_label("Admin key").fill(service.admin_key)
            await visitor.button("Use this key").click()
            await visitor.sees("available 10")
        else:
            await expect(visitor.page.get_by_text("ok", exact=True)).to_have_count(5)
        await killed(api)
        await shows_lost(visitor)
        await expect(visitor.page.get_by_text("stale", exact=True).first).to_be_visible()
        await expect(visitor.page.get_by_text("ok", exact=True)).to_have_count(0)
    async with another_api(service, http, port=port):
        await shows_live(visitor)
        await expect(visitor.page.get_by_text("stale", exact=True)).to_have_count(0)
