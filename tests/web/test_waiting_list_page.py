"""The waiting list as a buyer sees it: join, wait, take an offer, decline it, let it expire, leave."""

import re

from playwright.async_api import expect

from tests.support.browser import Visit, Visitor
from tests.web.test_accessible import is_clean


async def joined(visit: Visit, sale: str) -> Visitor:
    buyer = await visit(f"/sale/?id={sale}")
    await buyer.button("Join the waiting list").click()
    await buyer.sees("You are in the list.")
    return buyer


async def test_returned_units_are_offered_in_order_declined_left_and_taken(visit, service):
    sale = await service.create_sale(stock=1, waiting_list=10)
    hold = (await service.hold(sale, "another")).ok(201)["id"]
    first = await visit(f"/sale/?id={sale}")
    await first.sees("0 of 1 available. 1 is held by another buyer and may return")
    await is_clean(first)
    await first.button("Join the waiting list").click()
    await first.sees("You are in the list.")
    await is_clean(first)
    second, third = await joined(visit, sale), await joined(visit, sale)
    await third.sees(re.compile(r"Your place\s*3"))
    await second.button("Leave the list").click()
    await second.sees("You left the list.")
    await third.sees(re.compile(r"Your place\s*2"))
    await first.page.reload()
    await first.sees(re.compile(r"Your place\s*1"))
    (await service.verb(hold, "release")).ok()
    await first.sees("Units came back and are held for you.")
    await first.sees(re.compile(r"The offer lasts\s*(1:00|0:5)"))
    await expect(first.button("Confirm")).to_be_enabled()
    await is_clean(first)
    await first.button("Decline").click()
    await first.sees("You declined the offer.")
    await expect(first.button("Confirm")).to_have_count(0)
    await third.sees("Units came back and are held for you.")
    await third.button("More time").click()
    await third.button("Confirm").click()
    await third.sees("yours")
    await expect(third.page.get_by_role("heading", name="Waiting list")).to_have_count(0)
    item = await service.item(sale)
    assert (item["held"], item["sold"]) == (0, 1)


async def test_an_offer_that_expires_goes_on_and_its_buyer_may_join_again(visit, service):
    sale = await service.create_sale(stock=1, waiting_list=10, waiting_list_hold_seconds=2)
    hold = (await service.hold(sale, "another")).ok(201)["id"]
    buyer = await joined(visit, sale)
    (await service.verb(hold, "release")).ok()
    await buyer.sees("The offer expired.")
    (await service.hold(sale, "another")).ok(201)
    await buyer.button("Join again").click()
    await buyer.sees("You are in the list.")


async def test_a_sale_without_a_list_offers_none(visit, service):
    sale = await service.create_sale(stock=1)
    (await service.hold(sale, "another")).ok(201)
    buyer = await visit(f"/sale/?id={sale}")
    await expect(buyer.button("Sold out")).to_be_disabled()
    await expect(buyer.page.get_by_role("heading", name="Waiting list")).to_have_count(0)
