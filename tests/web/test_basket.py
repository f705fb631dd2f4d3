"""The storefront's basket: several items, quantities, pools, and a hold that is changed while it is held."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Locator, Route, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import Service
from tests.web.test_accessible import is_clean
from tests.web.test_foreign_text import lays_out

PHONE = {"width": 390, "height": 844}
CONFLICT = r"status of 409 "
"""Chromium writes every 4xx into the console."""
POOLS = [{"id": "hall", "name": "the hall", "stock": 7}, {"id": "meal", "name": "Meals", "stock": 4}]


def item(sku: str, name: str, price: int, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "name": name, "price_minor": price, "currency": "EUR"} | more


ITEMS = [
    item("seat", "Seat", 2000, uses=[{"pool": "hall"}]),
    item("dinner", "Seat with dinner", 5000, uses=[{"pool": "hall"}, {"pool": "meal"}]),
    item("table", "Table", 9000, stock=2, uses=[{"pool": "hall", "quantity": 4}]),
    item("shirt", "Shirt", 1500, stock=3),
]


async def dinner_show(service: Service, **more: Any) -> str:
    return await service.create_sale(items=ITEMS, pools=POOLS, **more)


async def shop(visit: Visit, sale: str, **options: Any) -> Visitor:
    buyer = await visit(f"/sale/?id={sale}", **options)
    await expect(buyer.button("Choose what to buy")).to_be_disabled()
    return buyer


def row(buyer: Visitor, name: str) -> Locator:
    """An item's row, by its heading."""
    heading = buyer.page.get_by_role("heading", name=name, exact=True)
    return buyer.page.get_by_role("listitem").filter(has=heading)


def quantity(buyer: Visitor, name: str) -> Locator:
    return buyer.page.get_by_role("spinbutton", name=f"Quantity of {name}", exact=True)


async def add(buyer: Visitor, name: str, units: int = 1) -> None:
    for _ in range(units):
        await buyer.button(f"One more {name}").click()


def basket(buyer: Visitor) -> Locator:
    return buyer.page.get_by_role("region", name="Basket")


async def lines(service: Service, sale: str, customer: str | None = None) -> list[list[tuple[str, int]]]:
    """The baskets of the sale's live holds."""
    found = await service.admin("GET", f"/v1/sales/{sale}/reservations?status=held")
    return [[(line["sku"], line["quantity"]) for line in hold["items"]] for hold in found["data"]]


async def test_a_basket_is_one_hold_and_one_order(visit: Visit, service: Service):
    sale = await dinner_show(service)
    buyer = await shop(visit, sale)
    await add(buyer, "Seat with dinner", 2)
    await add(buyer, "Shirt")
    await expect(basket(buyer)).to_contain_text("3 units")
    await expect(basket(buyer)).to_contain_text("€115.00")
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    assert await lines(service, sale) == [[("dinner", 2), ("shirt", 1)]]
    shown = basket(buyer).get_by_role("listitem")
    await expect(shown).to_have_text(["2 × Seat with dinner€100.00", "1 × Shirt€15.00"])
    await expect(row(buyer, "Seat")).to_contain_text("5 left of the hall")
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    await expect(buyer.page.get_by_role("spinbutton")).to_have_count(0)
    await buyer.page.reload()
    await buyer.sees("yours")
    await expect(shown).to_have_count(2)
    await service.audit(sale)
    await buyer.button("Start again").click()
    await expect(buyer.button("Choose what to buy")).to_be_disabled()


async def test_an_item_says_what_it_contains_and_which_pool_is_short(visit: Visit, service: Service):
    sale = await dinner_show(service, limit=6)
    (await service.call(
        "POST", f"/v1/sales/{sale}/orders", {"customer": "ann", "items": [{"sku": "dinner", "quantity": 2}]}
    )).ok(201)  # fmt: skip
    buyer = await shop(visit, sale)
    await expect(row(buyer, "Seat")).to_contain_text("5 left of the hall")
    await expect(row(buyer, "Seat")).not_to_contain_text("Contains")
    await expect(row(buyer, "Seat with dinner")).to_contain_text("Contains 1 × the hall, 1 × Meals")
    await expect(row(buyer, "Seat with dinner")).to_contain_text("2 left of Meals")
    await expect(row(buyer, "Table")).to_contain_text("1 of 2 available, 5 left of the hall")
    await expect(row(buyer, "Shirt")).to_contain_text("3 of 3 available")
    await buyer.sees("At most6 per customer")
    await add(buyer, "Table")
    await expect(buyer.button("One more Table")).to_be_disabled()
    await add(buyer, "Seat")  # the table's four seats leave one
    await expect(buyer.button("One more Seat")).to_be_disabled()
    await expect(buyer.button("One more Seat with dinner")).to_be_disabled()
    await quantity(buyer, "Seat").fill("2")
    await expect(buyer.button("Not enough left")).to_be_disabled()
    await expect(basket(buyer)).to_contain_text(
        "There are only 1 × Seat for this basket: 5 left of the hall."
    )
    await quantity(buyer, "Seat").fill("0")
    await quantity(buyer, "Table").fill("0")
    await quantity(buyer, "Shirt").fill("7")
    await expect(basket(buyer)).to_contain_text("There are only 3 × Shirt")
    await service.admin("POST", f"/v1/sales/{sale}/items/shirt/restock", {"delta": 9, "reason": "more"})
    await expect(basket(buyer)).to_contain_text("Your limit allows 6 × Shirt")


async def test_a_hold_is_changed_while_it_is_held(visit: Visit, service: Service):
    sale = await dinner_show(service)
    buyer = await shop(visit, sale)
    await add(buyer, "Seat with dinner", 4)
    await expect(buyer.button("One more Seat with dinner")).to_be_disabled()
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await expect(row(buyer, "Seat with dinner")).to_contain_text("0 left of Meals")
    await expect(buyer.button("One more Seat with dinner")).to_be_disabled()  # it holds them all
    await buyer.button("One less Seat with dinner").dblclick()
    await add(buyer, "Shirt")
    await expect(buyer.button("Confirm")).to_have_count(0)
    assert await lines(service, sale) == [[("dinner", 4)]]
    await buyer.button("Undo").click()
    await expect(quantity(buyer, "Seat with dinner")).to_have_value("4")
    await quantity(buyer, "Seat with dinner").fill("1")
    await add(buyer, "Shirt")
    await buyer.button("Change the hold").click()
    await expect(buyer.button("Confirm")).to_be_enabled()
    assert await lines(service, sale) == [[("dinner", 1), ("shirt", 1)]]
    await buyer.button("One less Seat with dinner").click()
    await buyer.button("One less Shirt").click()
    await expect(buyer.button("Change the hold")).to_be_disabled()  # that would be a release
    await buyer.button("Undo").click()
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    report = await service.audit(sale)
    assert {each["sku"]: each["sold"] for each in report["items"]} == {
        "seat": 0, "dinner": 1, "table": 0, "shirt": 1, "hall": 1, "meal": 1
    }  # fmt: skip


async def test_a_change_that_is_refused_says_which_pool_is_short_and_keeps_the_hold(visit: Visit, service):
    sale = await dinner_show(service)
    buyer = await shop(visit, sale)
    buyer.expect_complaints(CONFLICT)
    await add(buyer, "Shirt")
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await add(buyer, "Seat with dinner", 2)

    async def after_another(route: Route) -> None:
        ask = {"customer": "bob", "items": [{"sku": "dinner", "quantity": 3}]}
        (await service.call("POST", f"/v1/sales/{sale}/orders", ask)).ok(201)
        await route.continue_()

    await buyer.page.route("**/amend", after_another, times=1)
    await buyer.button("Change the hold").click()
    await buyer.sees(
        "Not enough left: another buyer was faster. Of Seat with dinner, 1 can be had; Meals is short."
    )
    assert await lines(service, sale) == [[("shirt", 1)]]
    await buyer.button("One less Seat with dinner").click()
    await buyer.button("Change the hold").click()
    await expect(buyer.button("Confirm")).to_be_enabled()
    assert await lines(service, sale) == [[("dinner", 1), ("shirt", 1)]]


@pytest.mark.parametrize("lost", ["reservations", "amend"])
async def test_a_basket_whose_answer_was_lost_is_the_same_request_after_a_reload(visit, service, lost):
    sale = await dinner_show(service)
    buyer = await shop(visit, sale)
    keys: list[str | None] = []
    arrived = asyncio.Event()

    async def lose_the_first_answer(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        answer = await route.fetch()
        if len(keys) > 1:
            await route.fulfill(response=answer)
        arrived.set()

    await add(buyer, "Seat", 2)
    await add(buyer, "Shirt")
    await buyer.page.route(f"**/{lost}", lose_the_first_answer)
    await buyer.button("Buy").click()
    if lost == "amend":
        await buyer.sees("held for you")
        await add(buyer, "Seat")
        await buyer.button("Change the hold").click()
    await asyncio.wait_for(arrived.wait(), 20)
    await buyer.page.reload()
    if lost == "amend":  # it took effect, and the page shows the hold as it is
        await expect(quantity(buyer, "Seat")).to_have_value("3")
        await expect(buyer.button("Confirm")).to_be_enabled()
    else:
        await buyer.button("Buy").click()
        await buyer.sees("held for you")
        assert keys[0] == keys[1] is not None
    assert await lines(service, sale) == [[("seat", 3 if lost == "amend" else 2), ("shirt", 1)]]


async def test_a_customer_who_holds_a_part_of_a_basket_is_offered_it(visit: Visit, service: Service):
    sale = await dinner_show(service, limit=2)
    buyer = await shop(visit, sale)
    buyer.expect_complaints(CONFLICT)
    await add(buyer, "Seat", 2)
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    for name in ("hold", "basket"):
        await buyer.page.evaluate("name => localStorage.removeItem(name)", f"flashguard:{name}:{sale}")
    await buyer.page.evaluate("sale => localStorage.removeItem(`flashguard:intent:buy:${sale}`)", sale)
    await buyer.page.reload()
    await add(buyer, "Shirt")
    await buyer.button("Buy").click()
    await buyer.sees(re.compile("limit", re.IGNORECASE))  # a hold of other items is not this basket
    await buyer.button("One less Shirt").click()
    await add(buyer, "Seat")
    await buyer.button("Buy").click()
    await buyer.sees("You hold this already")
    await expect(quantity(buyer, "Seat")).to_have_value("2")


async def test_a_basket_is_bought_on_a_phone_with_the_keyboard_alone(visit: Visit, service: Service):
    sale = await dinner_show(service)
    buyer = await shop(visit, sale, viewport=PHONE)
    keyboard = buyer.page.keyboard

    async def tab_to(name: str) -> None:
        for _ in range(60):
            await keyboard.press("Tab")
            if (
                await buyer.page.evaluate(
                    "document.activeElement.ariaLabel ?? document.activeElement.innerText"
                )
                == name
            ):
                break
        focused = buyer.page.locator(":focus")
        await expect(focused).to_have_accessible_name(name)
        box = await focused.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        assert await focused.evaluate(
            "(it, [x, y]) => it.contains(document.elementFromPoint(x, y))", [x, y]
        ), f"{name} is hidden"

    await tab_to("One more Seat")
    await keyboard.press("Enter")
    await keyboard.press("Space")
    await tab_to("Quantity of Shirt")
    await keyboard.type("3")
    await tab_to("Buy")
    await keyboard.press("Enter")
    await buyer.sees("held for you")
    assert await lines(service, sale) == [[("seat", 2), ("shirt", 3)]]
    await lays_out(buyer.page)


async def test_a_basket_has_no_violation_in_any_of_its_states(visit: Visit, service: Service):
    sale = await dinner_show(service)
    buyer = await shop(visit, sale)
    await is_clean(buyer)
    await add(buyer, "Seat")
    await quantity(buyer, "Shirt").fill("9")
    await buyer.sees("There are only 3")
    await is_clean(buyer)
    await quantity(buyer, "Shirt").fill("1")
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await is_clean(buyer)
    await buyer.button("One less Shirt").click()
    await is_clean(buyer)
    await buyer.button("Undo").click()
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    await is_clean(buyer)
