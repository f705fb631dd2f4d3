"""The storefront: what a buyer clicks, and what is then true in the ledger."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, Route, expect

from flashguard.ledger import Ledger
from flashguard.model import ReservationStatus, SaleId
from tests.support.browser import Visit, Visitor
from tests.support.service import Service

CONFLICT = r"status of 409 .*/reservations"
"""Chromium itself writes every 4xx into the console; only sold-out may be one here."""


@pytest.fixture
async def ledger(service: Service) -> AsyncIterator[Ledger]:
    connected = await Ledger.connect(service.database_url)
    yield connected
    await connected.close()


async def shop(visit: Visit, sale: str) -> Visitor:
    """A buyer at the sale's page, who may buy."""
    buyer = await visit(f"/sale/?id={sale}")
    await expect(buyer.button("Buy")).to_be_enabled()
    return buyer


async def confirmed_orders(ledger: Ledger, sale: str) -> list[str]:
    orders = await ledger.reservations.orders([SaleId(sale)], None, 10)
    assert all(order.status is ReservationStatus.CONFIRMED for order in orders)
    return [order.id for order in orders]


async def test_a_purchase_by_click_is_an_order_in_the_ledger(visit, service, ledger):
    sale = await service.create_sale(stock=3)
    buyer = await shop(visit, sale)
    await buyer.sees("3 of 3 available")
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await buyer.sees("2 of 3 available")
    assert await confirmed_orders(ledger, sale) == []
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    shown = await buyer.page.get_by_role("main").locator("code").first.inner_text()
    assert await confirmed_orders(ledger, sale) == [shown]
    await buyer.page.reload()
    await buyer.sees("yours")
    await buyer.sees(shown)
    await service.audit(sale)


async def test_a_hold_that_is_given_back_can_be_bought_again(visit, service):
    sale = await service.create_sale(stock=1)
    buyer = await shop(visit, sale)
    await buyer.button("Buy").click()
    await buyer.sees("0 of 1 available")
    await buyer.button("Release").click()
    await buyer.sees("released")
    await buyer.sees("1 of 1 available")
    await buyer.button("Start again").click()
    await buyer.button("Buy").click()
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    assert (await service.item(sale))["sold"] == 1


async def test_of_two_browsers_on_the_last_unit_one_gets_it_and_the_other_hears_sold_out(
    visit, service, ledger
):
    sale = await service.create_sale(stock=1)
    buyers = [await shop(visit, sale), await shop(visit, sale)]
    barrier = asyncio.Barrier(2)

    async def wait_for_the_other(route: Route) -> None:
        await barrier.wait()
        await route.continue_()

    for buyer in buyers:
        buyer.expect_complaints(CONFLICT)
        await buyer.page.route("**/reservations", wait_for_the_other)
    await asyncio.gather(*(buyer.button("Buy").click() for buyer in buyers))
    told = re.compile("held for you|Sold out: another buyer was faster")
    for buyer in buyers:
        await buyer.sees(told)
    texts = [await buyer.page.get_by_role("main").inner_text() for buyer in buyers]
    [winner] = [n for n, text in enumerate(texts) if "held for you" in text]
    loser = buyers[1 - winner]
    await loser.sees("Sold out: another buyer was faster")
    await expect(loser.button("Sold out")).to_be_disabled()
    await expect(loser.button("Confirm")).to_have_count(0)
    await buyers[winner].button("Confirm").click()
    await buyers[winner].sees("yours")
    assert len(await confirmed_orders(ledger, sale)) == 1
    assert (await service.audit(sale))["items"][0]["oversold"] == 0


async def test_a_hold_that_runs_out_in_the_page_is_sold_to_another(visit, service, ledger):
    sale = await service.create_sale(stock=1, hold_seconds=4)
    slow, other = await shop(visit, sale), await shop(visit, sale)
    slow.expect_complaints(CONFLICT)
    await slow.button("Buy").click()
    await slow.sees("held for you")
    await expect(other.button("Sold out")).to_be_disabled()
    await slow.sees("your hold expired")
    await expect(slow.button("Confirm")).to_have_count(0)
    await other.button("Buy").click()  # waits until the unit is back
    await other.button("Confirm").click()
    await other.sees("yours")
    await slow.button("Start again").click()
    await expect(slow.button("Sold out")).to_be_disabled()
    sold = await other.page.get_by_role("main").locator("code").first.inner_text()
    assert await confirmed_orders(ledger, sale) == [sold]


async def click_twice_at_once(page: Page) -> None:
    """Two clicks before the page can draw anything in between."""
    await page.get_by_role("button", name="Buy", exact=True).evaluate("it => { it.click(); it.click(); }")


async def test_a_double_click_and_a_reload_never_make_a_second_reservation(visit, service):
    sale = await service.create_sale(stock=5)
    buyer = await shop(visit, sale)
    sent: list[str] = []
    buyer.page.on("request", lambda request: sent.append(request.method) if is_hold(request.url) else None)
    await click_twice_at_once(buyer.page)
    await buyer.sees("held for you")
    assert sent == ["POST"]
    await buyer.page.reload()
    await buyer.sees("held for you")
    await expect(buyer.button("Buy")).to_have_count(0)
    item = await service.item(sale)
    assert (item["held"], item["available"]) == (1, 4)


def is_hold(url: str) -> bool:
    return url.endswith("/reservations")


async def test_a_reload_before_the_answer_came_is_still_the_same_request(visit, service):
    sale = await service.create_sale(stock=5)
    buyer = await shop(visit, sale)
    keys: list[str | None] = []
    arrived = asyncio.Event()

    async def lose_the_answer(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        answer = await route.fetch()
        if len(keys) > 1:
            await route.fulfill(response=answer)
        arrived.set()

    await buyer.page.route("**/reservations", lose_the_answer)
    await buyer.button("Buy").click()
    await asyncio.wait_for(arrived.wait(), 20)
    assert (await service.item(sale))["held"] == 1
    await buyer.page.reload()
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    assert len(keys) == 2
    assert keys[0] == keys[1] is not None
    assert (await service.item(sale))["held"] == 1


async def test_the_button_is_honest_in_every_state_of_the_sale(visit, service):
    sale = await service.create_sale(stock=1, limit=1, starts_at="2040-01-01T00:00:00Z")
    buyer = await visit(f"/sale/?id={sale}")
    for verb, says in (("", "Not open yet"), ("open", "Buy"), ("pause", "Paused")):
        if verb:
            await service.admin("PATCH", f"/v1/sales/{sale}", {"starts_at": None})
            await service.admin("POST", f"/v1/sales/{sale}/{verb}")
        await expect(buyer.button(says)).to_be_enabled(enabled=says == "Buy")
    await service.admin("POST", f"/v1/sales/{sale}/close")
    await expect(buyer.button("Closed")).to_be_disabled()


async def test_a_buyer_at_the_limit_is_told_so(visit, service):
    sale = await service.create_sale(stock=5, limit=1)
    buyer = await shop(visit, sale)
    buyer.expect_complaints(CONFLICT)
    await buyer.button("Buy").click()
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    await buyer.button("Start again").click()
    await buyer.button("Buy").click()
    await buyer.sees(re.compile("limit", re.IGNORECASE))
    await expect(buyer.button("Confirm")).to_have_count(0)
    item = await service.item(sale)
    assert (item["sold"], item["held"]) == (1, 0)


async def test_a_buyer_who_lost_their_holds_id_is_offered_it_in_place_of_sold_out(visit, service):
    sale = await service.create_sale(stock=1)
    buyer = await shop(visit, sale)
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    name = f"flashguard:hold:{sale}"
    assert await buyer.page.evaluate("name => localStorage.getItem(name)", name)
    await buyer.page.evaluate("name => localStorage.removeItem(name)", name)
    await buyer.page.reload()
    await expect(buyer.button("Sold out")).to_be_disabled()
    await buyer.button("Do you hold one? Find it").click()
    await buyer.sees("You hold this already")
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    other = await visit(f"/sale/?id={sale}")
    await other.button("Do you hold one? Find it").click()
    await other.sees("You hold none of these.")
