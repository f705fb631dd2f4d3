"""A sale in a shop's own page: examples/embedded_sale, on another origin, under its strict policy."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Route, expect

from tests.support.browser import Visit, Visitor
from tests.support.ports import free_port
from tests.support.service import Service
from tests.support.streams import another_api
from tests.support.visitors import press, up_for_visitors
from tests.web.test_accessible import is_clean

EXAMPLE = Path(__file__).parents[2] / "examples" / "embedded_sale"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
OTHER_ORIGIN = r"asked another host: http://127\.0\.0\.1:\d+/(embed|v1|pay)/"
CONFLICT = r"status of 409 .*/reservations"


class Shop:
    """The example's files, which call this FlashGuard and show this sale."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    async def file(self, request: web.Request) -> web.Response:
        path = EXAMPLE / (request.path.strip("/") or "index.html")
        text = path.read_text()
        if path.suffix == ".html":
            text = text.replace("https://sales.shop.example", request.query["api"])
            text = text.replace('sale="demo"', f'sale="{request.query["sale"]}"')
            text = text.replace('lang="en"', f'lang="{request.query.get("lang", "en")}"')
            if "till" in request.query:
                text = text.replace("<body>", "<body data-own-till>")
        return web.Response(text=text, content_type=KINDS[path.suffix])

    def page(self, service: Service, sale: str, more: str = "") -> str:
        return f"{self.url}/?api={service.url}&sale={sale}{more}"


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    port = free_port()
    shop, app = Shop(port), web.Application()
    app.router.add_get("/{path:.*}", shop.file)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield shop
    await runner.cleanup()


@pytest.fixture(scope="module")
async def demo(http: aiohttp.ClientSession, shop: Shop) -> AsyncIterator[Service]:
    """`flashguard up`, which the shop's pages may call."""
    async with up_for_visitors(http, FLASHGUARD_CORS_ORIGINS=f'["{shop.url}"]') as service:
        yield service


async def at(visit: Visit, shop: Shop, service: Service, sale: str, more: str = "") -> Visitor:
    buyer = await visit(shop.page(service, sale, more), url=shop.url)
    buyer.expect_complaints(OTHER_ORIGIN)
    return buyer


async def hears(buyer: Visitor, text: str | re.Pattern[str]) -> None:
    """Wait until the page was told of this."""
    await expect(buyer.page.locator("#told")).to_have_text(text)


async def test_a_whole_purchase_in_the_shops_page_by_keyboard_alone(visit: Visit, demo: Service, shop: Shop):
    sale = await demo.create_sale(stock=3)
    buyer = await at(visit, shop, demo, sale)
    await buyer.sees("3 left")
    await is_clean(buyer)
    await press(buyer, "One more: Unit")
    await buyer.sees("Total: €39.98")
    await press(buyer, "Reserve")
    await buyer.sees("Held for you: 0:")
    await buyer.sees("1 left")
    await buyer.sees("2 × Unit")
    await hears(buyer, re.compile(f"held {sale}"))
    await is_clean(buyer)
    await press(buyer, "Pay")
    await buyer.sees("no money moves")
    await press(buyer, "Pay 39.98 EUR")
    await buyer.sees("Paid. Your order is made.")
    await hears(buyer, re.compile(f"ordered {sale}"))
    await expect(buyer.page).to_have_url(re.compile("^(?!.*flashguard-payment)"))
    await is_clean(buyer)
    [order] = (await demo.admin("GET", f"/v1/sales/{sale}/orders"))["data"]
    assert [line["quantity"] for line in order["items"]] == [2]
    details = buyer.page.get_by_role("link", name="Details of your order")
    await expect(details).to_have_attribute("href", f"{demo.url}/order/?id={order['id']}")
    await buyer.page.reload()
    await buyer.sees("Paid. Your order is made.")
    await hears(buyer, "nothing yet")  # an order is told once
    await press(buyer, "Start again")
    await buyer.sees("1 left")
    await demo.audit(sale)


async def test_a_hold_is_extended_released_and_made_again(visit: Visit, demo: Service, shop: Shop):
    sale = await demo.create_sale(stock=1)
    buyer = await at(visit, shop, demo, sale)
    await buyer.button("Reserve").click()
    await buyer.sees("Sold out")
    await buyer.button("More time").click()
    await hears(buyer, re.compile("extended"))
    await buyer.page.reload()
    await buyer.sees("Held for you")
    await buyer.button("Release").click()
    await hears(buyer, re.compile("released"))
    await buyer.sees("1 left")
    await buyer.button("Start again").click()
    await buyer.button("Reserve").click()
    await buyer.sees("Held for you")
    assert (await demo.item(sale))["held"] == 1


async def test_a_hold_that_runs_out_is_told_and_its_unit_is_anothers(visit: Visit, demo: Service, shop: Shop):
    sale = await demo.create_sale(stock=1, hold_seconds=3)
    buyer = await at(visit, shop, demo, sale)
    buyer.expect_complaints(CONFLICT)
    await buyer.button("Reserve").click()
    await hears(buyer, re.compile("expired"))
    await buyer.sees("Your hold expired.")
    await buyer.button("Start again").click()
    await buyer.sees("1 left")

    async def taken(route: Route) -> None:
        (await demo.buy(sale, "bob")).ok(201)
        await route.continue_()

    await buyer.page.route("**/reservations", taken)
    await buyer.button("Reserve").click()
    await buyer.sees("Another buyer was faster.")
    await hears(buyer, "refused sold-out")
    await buyer.sees("Sold out")


async def test_a_shop_with_its_own_till_takes_the_buyer_there(visit: Visit, demo: Service, shop: Shop):
    sale = await demo.create_sale(stock=1)
    buyer = await at(visit, shop, demo, sale, "&till=own")
    await buyer.button("Reserve").click()
    await buyer.button("Pay").click()
    await hears(buyer, re.compile(f"to our till with {sale}"))
    assert (await demo.admin("GET", f"/v1/payments?sale={sale}"))["data"] == []
    hold = (await buyer.page.locator("#told").inner_text()).split()[-1]
    (await demo.verb(hold, "confirm")).ok()
    await buyer.page.reload()
    await buyer.sees("Yours. Your order is made.")
    await hears(buyer, f"ordered {hold}")


async def test_with_a_token_it_sells_in_production_and_leads_to_the_waiting_room(
    visit: Visit, demo: Service, shop: Shop, http: aiohttp.ClientSession
):
    sale = await demo.create_sale(stock=1)
    queued = await demo.create_sale(stock=1, waiting_room={})
    cors = {"FLASHGUARD_CORS_ORIGINS": f'["{shop.url}"]'}
    async with another_api(demo, http, FLASHGUARD_MODE="production", **cors) as production:
        buyer = await at(visit, shop, production, sale)
        buyer.expect_complaints("status of 401 ")
        await buyer.button("Reserve").click()
        await buyer.sees("Sign in to buy.")
        for id_ in (sale, queued):
            minted = await production.admin("POST", f"/v1/sales/{id_}/buyer-tokens", {"customer": "ann"})
            await buyer.page.goto(shop.page(production, id_))
            await buyer.sees("1 left")
            await buyer.page.locator("flashguard-sale").evaluate(
                "(it, token) => { it.token = token }", minted["token"]
            )
            if id_ == sale:
                await buyer.button("Reserve").click()
                await buyer.button("Confirm").click()
                await buyer.sees("Yours. Your order is made.")
        await buyer.sees("This sale has a waiting room.")
        await expect(buyer.button("Reserve")).to_have_count(0)
        room = buyer.page.get_by_role("link", name="To the waiting room")
        await expect(room).to_have_attribute(
            "href", f"{production.url}/sale/?id={queued}#token={minted['token']}"
        )
        await is_clean(buyer)
        await buyer.page.goto("about:blank")
    [order] = (await demo.admin("GET", f"/v1/sales/{sale}/orders"))["data"]
    assert order["customer"] == "ann"


async def test_it_speaks_the_language_of_the_page(visit: Visit, demo: Service, shop: Shop):
    sale = await demo.create_sale(stock=1)
    buyer = await at(visit, shop, demo, sale, "&lang=de")
    await buyer.sees("Noch 1")
    await buyer.button("Reservieren").click()
    await buyer.sees("Für Sie reserviert")


async def test_a_sale_that_is_not_there_is_said_to_be_missing(visit: Visit, demo: Service, shop: Shop):
    buyer = await at(visit, shop, demo, "there-is-none")
    buyer.expect_complaints("status of 404 ")
    await buyer.sees("This sale can't be found.")
    await is_clean(buyer)


async def test_where_units_are_sold_out_it_leads_to_the_waiting_list(visit: Visit, demo: Service, shop: Shop):
    sale = await demo.create_sale(stock=1, waiting_list=5)
    buyer = await at(visit, shop, demo, sale)
    await buyer.sees("1 left")
    to_list = buyer.page.get_by_role("link", name="Sold out? To the waiting list")
    await expect(to_list).to_have_count(0)
    (await demo.buy(sale, "other")).ok(201)
    await expect(to_list).to_have_attribute("href", f"{demo.url}/sale/?id={sale}")
    await is_clean(buyer)
