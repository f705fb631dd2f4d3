"""A purchase with its payment, as a visitor of `flashguard up` clicks it; a stand-in takes the money."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from playwright.async_api import Route, expect

from tests.support.browser import Visit, Visitor
from tests.support.eventually import eventually
from tests.support.service import Service
from tests.support.stand_in import standing_in
from tests.support.streams import another_api
from tests.support.visitors import press, up_for_visitors
from tests.web.test_accessible import is_clean

STAND_IN = r"asked another host: http://127\.0\.0\.1:\d+/pay/pay_"
"""The stand-in is another origin, as any provider is; its favicon is in its page."""


@pytest.fixture(scope="module")
async def demo(http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    """`flashguard up`, as it comes."""
    async with up_for_visitors(http) as service:
        yield service


async def payments_of(demo: Service, sale: str) -> list[dict[str, Any]]:
    return (await demo.admin("GET", f"/v1/payments?sale={sale}"))["data"]  # type: ignore[no-any-return]


async def at_the_till(visit: Visit, demo: Service, sale: str) -> Visitor:
    """A buyer whose hold is to be paid, at the stand-in's page."""
    buyer = await visit(f"/sale/?id={sale}", url=demo.url)
    buyer.expect_complaints(STAND_IN)
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await expect(buyer.button("Confirm")).to_have_count(0)
    await buyer.button("Pay").click()
    await buyer.sees("no money moves")
    return buyer


async def test_a_whole_purchase_with_its_payment_by_keyboard_alone(visit: Visit, demo: Service):
    sale = await demo.create_sale(stock=3)
    buyer = await visit(f"/sale/?id={sale}", url=demo.url)
    buyer.expect_complaints(STAND_IN)
    await buyer.sees("3 of 3 available")
    await press(buyer, "Buy")
    await buyer.sees("held for you")
    await expect(buyer.button("Pay")).to_be_enabled()
    await is_clean(buyer)
    await press(buyer, "Pay")
    await buyer.sees("no money moves")
    await buyer.sees("1 × Unit, 19.99 EUR")
    assert not buyer.page.url.startswith(demo.url)
    await is_clean(buyer)
    await press(buyer, "Pay 19.99 EUR")
    await buyer.sees("Paid, and your order is made.")
    await buyer.sees("These units are yours.")
    await is_clean(buyer)
    [order] = (await demo.admin("GET", f"/v1/sales/{sale}/orders"))["data"]
    [payment] = await payments_of(demo, sale)
    assert (payment["status"], payment["reservation_id"]) == ("order", order["id"])
    await press(buyer, "To the sale")
    await buyer.sees("yours")
    await demo.audit(sale)


async def test_the_demo_sale_is_paid(visit: Visit, demo: Service):
    buyer = await at_the_till(visit, demo, "demo")
    await buyer.button("Pay 129.00 EUR").click()
    await buyer.sees("Paid, and your order is made.")


async def test_money_that_comes_when_the_unit_is_anothers_goes_back_and_the_page_says_so(
    visit: Visit, demo: Service
):
    sale = await demo.create_sale(stock=1, hold_seconds=4)
    buyer = await at_the_till(visit, demo, sale)
    await buyer.page.get_by_role("button", name="Pay too late").click()
    await buyer.sees("Waiting for the payment provider to confirm your payment.")

    async def another_has_it() -> bool:
        return (await demo.buy(sale, "bob")).status == 201

    await eventually(another_has_it, "the hold ended, and another bought the unit")
    await buyer.sees("Your money goes back.")
    await buyer.sees("€19.99 was refunded.")
    await is_clean(buyer)
    await expect(buyer.button("Pay")).to_have_count(0)
    assert [payment["status"] for payment in await payments_of(demo, sale)] == ["refused"]
    assert (await demo.audit(sale))["items"][0]["oversold"] == 0


async def test_money_that_comes_late_is_an_order_while_units_are_left(visit: Visit, demo: Service):
    sale = await demo.create_sale(stock=1, hold_seconds=2)
    buyer = await at_the_till(visit, demo, sale)
    await buyer.page.get_by_role("button", name="Pay too late").click()
    await buyer.sees("Paid, and your order is made.")


async def test_a_wrong_amount_goes_back_and_the_hold_can_be_paid_again(visit: Visit, demo: Service):
    sale = await demo.create_sale(stock=1)
    buyer = await at_the_till(visit, demo, sale)
    await buyer.page.get_by_role("button", name="Pay too little").click()
    await buyer.sees("The amount that was paid is not the price.")
    await buyer.sees("€19.98 was refunded.")
    await buyer.button("Pay").click()
    await buyer.sees("no money moves")
    await buyer.page.go_back()  # the browser's "back" is no return from paying
    await buyer.sees("Your payment is not finished.")
    await buyer.button("Pay").click()
    await buyer.button("Pay 19.99 EUR").click()
    await buyer.sees("Paid, and your order is made.")
    await buyer.sees("€19.98 was refunded.")


async def test_a_declined_payment_can_be_tried_again(visit: Visit, demo: Service):
    sale = await demo.create_sale(stock=1)
    buyer = await at_the_till(visit, demo, sale)
    await buyer.page.get_by_role("button", name="Decline").click()
    await buyer.sees("The payment session ended, and no money was taken.")
    await is_clean(buyer)
    await buyer.button("Pay").click()
    await buyer.button("Pay 19.99 EUR").click()
    await buyer.sees("Paid, and your order is made.")
    assert {payment["status"] for payment in await payments_of(demo, sale)} == {"ended", "order"}


async def test_who_comes_back_without_paying_can_go_on(visit: Visit, demo: Service):
    sale = await demo.create_sale(stock=1)
    buyer = await at_the_till(visit, demo, sale)
    session = buyer.page.url
    await buyer.page.get_by_role("link", name="Back without paying").click()
    await buyer.sees("You came back without paying.")
    await is_clean(buyer)
    await buyer.button("Pay").click()
    await expect(buyer.page).to_have_url(session)


async def test_who_comes_back_after_the_hold_has_ended_pays_nothing(visit: Visit, demo: Service):
    sale = await demo.create_sale(stock=1, hold_seconds=8)
    buyer = await at_the_till(visit, demo, sale)
    session = buyer.page.url
    await buyer.page.get_by_role("link", name="Back without paying").click()
    await buyer.sees("The payment session ended with the hold, and no money was taken.")
    await buyer.sees("You were not charged.")
    await expect(buyer.button("Pay")).to_have_count(0)
    await buyer.page.goto(session)
    await buyer.sees("This session is over.")


async def test_what_costs_nothing_is_confirmed_without_a_payment(visit: Visit, demo: Service):
    item = {"sku": "unit", "name": "Gift", "price_minor": 0, "currency": "EUR", "stock": 1}
    sale = await demo.create_sale(items=[item])
    buyer = await visit(f"/sale/?id={sale}", url=demo.url)
    await buyer.button("Buy").click()
    await buyer.button("Confirm").click()
    await buyer.sees("yours")


async def test_a_buyers_token_is_enough_to_pay_in_production(
    visit: Visit, service: Service, http: aiohttp.ClientSession
):
    sale = await service.create_sale(stock=1)
    async with (
        standing_in() as provider,
        another_api(service, http, FLASHGUARD_MODE="production", **provider.settings()) as production,
    ):
        minted = await production.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
        buyer = await visit(f"/sale/?id={sale}#token={minted['token']}", url=production.url)
        buyer.expect_complaints(STAND_IN)
        buyer.expect_complaints(r"status of 401 .*/v1/system")  # the page asks it for the operator

        async def show(route: Route) -> None:
            await route.fulfill(body="<main>the provider's page</main>", content_type="text/html")

        await buyer.page.route(f"{provider.url}/**", show)
        await buyer.button("Buy").click()
        await buyer.button("Pay").click()
        await buyer.sees("the provider's page")
        [session] = provider.sessions.values()
        event = provider.pay(buyer.page.url.rpartition("/")[2])
        assert (await provider.send(http, production.url, event))[0] == 200
        await buyer.page.goto(session["success_url"])
        await buyer.sees("Paid, and your order is made.")
        await buyer.page.goto("about:blank")
