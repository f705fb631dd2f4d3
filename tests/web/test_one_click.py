"""One intent, one effect: whatever a hand does to a button, and however slow the answer is."""

import asyncio
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Locator, Request, Route, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import Service, unique
from tests.support.simulations import over
from tests.web.test_control_room import admin, create_form
from tests.web.test_simulator import at_the_simulator

LONGER_THAN_A_DOUBLE_CLICK_MS = 1_000


def posts(visitor: Visitor) -> list[Request]:
    """Every changing request that the page sends from now on."""
    sent: list[Request] = []
    visitor.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    return sent


def paths(sent: list[Request]) -> list[str]:
    return [urlsplit(request.url).path for request in sent]


def keys(sent: list[Request]) -> list[str]:
    """The idempotency keys; there is one on each."""
    return [request.headers["idempotency-key"] for request in sent]


async def hurried(button: Locator, then: Locator) -> None:
    """A real double click; then waits until what it did shows, and as long again as one more click needs."""
    await expect(button).to_be_enabled()
    await button.dblclick()
    await expect(then).to_be_visible()
    await button.page.wait_for_timeout(LONGER_THAN_A_DOUBLE_CLICK_MS)


async def restocks(visitor: Visitor, delta: int) -> Locator:
    """Fills the form in; its button."""
    await visitor.page.get_by_label("Restock Unit by").fill(str(delta))
    return visitor.button("Restock")


async def test_a_double_click_on_restock_adds_once(visit: Visit, service: Service):
    sale = await service.create_sale(stock=2)
    visitor = await admin(visit, f"/control/?id={sale}")
    button = await restocks(visitor, 5)
    sent = posts(visitor)
    await hurried(button, visitor.page.get_by_text("its stock is 7"))
    assert paths(sent) == [f"/v1/sales/{sale}/items/unit/restock"]
    assert (await service.item(sale))["stock"] == 7


async def test_a_double_click_on_create_makes_one_sale(visit: Visit, service: Service):
    visitor = await admin(visit)
    name, form = unique("Once"), create_form(visitor.page)
    await form.get_by_role("textbox", name="Sale", exact=True).fill(name)
    sent = posts(visitor)
    await hurried(form.get_by_role("button", name="Create as draft"), form.get_by_text("Created the draft"))
    assert paths(sent) == ["/v1/sales"]
    sales = (await service.admin("GET", "/v1/sales"))["data"]
    assert [sale["name"] for sale in sales].count(name) == 1


@pytest.mark.parametrize(
    ("button", "opened", "call", "says"),
    [
        ("Open", False, "open", "The sale is now open."),
        ("Pause", True, "pause", "The sale is now paused."),
        ("Close for good", True, "close", "The sale is now closed."),
    ],
)
async def test_a_double_click_on_a_verb_is_one_call(
    visit: Visit, service: Service, button, opened, call, says
):
    sale = await service.create_sale(opened=opened)
    visitor = await admin(visit, f"/control/?id={sale}")
    visitor.page.on("dialog", lambda dialog: dialog.accept())
    sent = posts(visitor)
    await hurried(visitor.button(button), visitor.page.get_by_text(says))
    assert paths(sent) == [f"/v1/sales/{sale}/{call}"]
    assert len(keys(sent)) == 1


async def test_a_double_click_on_audit_asks_once(visit: Visit, service: Service):
    sale = await service.create_sale()
    visitor = await admin(visit, f"/control/?id={sale}")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    await hurried(visitor.button("Audit"), visitor.page.get_by_text("Audited: no difference."))
    assert asked.count(f"/v1/sales/{sale}/audit") == 1


async def test_a_double_click_on_buy_takes_one_unit_and_neither_confirms_nor_gives_it_back(
    visit: Visit, service: Service
):
    sale = await service.create_sale(stock=5)
    buyer = await visit(f"/sale/?id={sale}")
    buy = buyer.button("Buy")
    await expect(buy).to_be_enabled()
    sent = posts(buyer)
    box = await buy.bounding_box()
    assert box is not None
    for share in (0.1, 0.3, 0.5):  # wherever the button is pressed: others come to stand there
        x, y = box["x"] + box["width"] * share, box["y"] + box["height"] / 2
        await buyer.page.mouse.dblclick(x, y, delay=60)
        await buyer.sees("held for you")
        await buyer.page.wait_for_timeout(LONGER_THAN_A_DOUBLE_CLICK_MS)
        await buyer.sees("held for you")
        assert [path.rsplit("/", 1)[1] for path in paths(sent)] == ["reservations"]
        await buyer.button("Release").dblclick()
        await buyer.sees("released")
        await buyer.page.wait_for_timeout(LONGER_THAN_A_DOUBLE_CLICK_MS)
        await buyer.button("Start again").click()
        sent.clear()
    item = await service.item(sale)
    assert (item["held"], item["sold"], item["available"]) == (0, 0, 5)


async def test_a_held_down_enter_key_creates_one_sale(visit: Visit, service: Service):
    visitor = await admin(visit)
    name, form = unique("Held"), create_form(visitor.page)
    await form.get_by_role("textbox", name="Sale", exact=True).fill(name)
    sent = posts(visitor)
    for _ in range(40):  # without a keyup between them, as a keyboard repeats
        await visitor.page.keyboard.down("Enter")
        await visitor.page.wait_for_timeout(50)
    await visitor.page.keyboard.up("Enter")
    await expect(form.get_by_text("Created the draft")).to_be_visible()
    assert paths(sent) == ["/v1/sales"]
    sales = (await service.admin("GET", "/v1/sales"))["data"]
    assert [sale["name"] for sale in sales].count(name) == 1


async def test_a_button_is_disabled_until_the_slow_answer_comes(visit: Visit, service: Service):
    sale = await service.create_sale(stock=2)
    visitor = await admin(visit, f"/control/?id={sale}")
    go_on = asyncio.Event()

    async def slow(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await visitor.page.route("**/restock", slow)
    button = await restocks(visitor, 5)
    sent = posts(visitor)
    await button.click()
    await visitor.sees("Working…")
    for each in ("Restock", "Open", "Pause", "Close for good", "Audit", "Orders as CSV"):
        await expect(visitor.button(each)).to_be_disabled()
    await button.click(force=True)
    await visitor.page.get_by_label("Restock Unit by").press("Enter")
    go_on.set()
    await visitor.sees("Restocked Unit by 5: its stock is 7.")
    assert len(sent) == 1
    assert (await service.item(sale))["stock"] == 7


async def lost_once(visitor: Visitor, calls: str) -> asyncio.Event:
    """The first of these calls takes effect, and its answer is lost."""
    lost = asyncio.Event()

    async def lose(route: Route) -> None:
        await route.fetch()
        lost.set()
        await route.abort("connectionreset")

    visitor.expect_complaints("ERR_CONNECTION_RESET")
    await visitor.page.route(calls, lose, times=1)
    return lost


@pytest.mark.parametrize("by", ["try again", "the same button", "a reload"])
async def test_a_restock_whose_answer_was_lost_is_sent_again_as_the_same_request(
    visit: Visit, service: Service, by
):
    sale = await service.create_sale(stock=2)
    visitor = await admin(visit, f"/control/?id={sale}")
    await lost_once(visitor, "**/restock")
    sent = posts(visitor)
    await (await restocks(visitor, 5)).click()
    await visitor.sees("FlashGuard did not answer, so the result is unknown.")
    await expect(visitor.page.get_by_label("Restock Unit by")).to_have_value("5")
    if by == "a reload":
        await visitor.page.reload()
        await restocks(visitor, 5)
    await visitor.button("Try again" if by == "try again" else "Restock").click()
    await visitor.sees("its stock is 7")
    await visitor.sees("An earlier press had already done this.")
    first, second = keys(sent)
    assert first == second
    assert (await service.item(sale))["stock"] == 7


async def test_a_sale_whose_creation_was_not_answered_is_made_once(visit: Visit, service: Service):
    visitor = await admin(visit)
    await lost_once(visitor, "**/v1/sales")
    name, form = unique("Lost"), create_form(visitor.page)
    await form.get_by_role("textbox", name="Sale", exact=True).fill(name)
    sent = posts(visitor)
    await form.get_by_role("button", name="Create as draft").click()
    await visitor.sees("FlashGuard did not answer, so the result is unknown.")
    await expect(form.get_by_role("textbox", name="Sale", exact=True)).to_have_value(name)
    await visitor.button("Try again").click()
    await visitor.page.wait_for_url("**/control/?id=*")
    assert len(set(keys(sent))) == 1
    sales = (await service.admin("GET", "/v1/sales"))["data"]
    assert [sale["name"] for sale in sales].count(name) == 1


async def test_another_content_and_a_press_after_a_success_are_new_intents(visit: Visit, service: Service):
    sale = await service.create_sale(stock=2)
    visitor = await admin(visit, f"/control/?id={sale}")
    sent = posts(visitor)
    for delta, stock in ((5, 7), (5, 12), (-2, 10)):
        await (await restocks(visitor, delta)).click()
        await visitor.sees(f"its stock is {stock}")
    assert len(set(keys(sent))) == 3
    assert (await service.item(sale))["stock"] == 10


async def test_a_refused_form_keeps_its_fields_and_says_why(visit: Visit, service: Service):
    sale = await service.create_sale(stock=2)
    visitor = await admin(visit, f"/control/?id={sale}")
    visitor.expect_complaints("status of 4(09|22) ")
    field = visitor.page.get_by_label("Restock Unit by")
    await (await restocks(visitor, -500)).click()
    await expect(visitor.page.get_by_role("main").get_by_role("alert")).to_contain_text(
        "2 units are available"
    )
    await expect(field).to_have_value("-500")
    form = create_form(visitor.page)
    await form.get_by_label("Currency").fill("euro")
    await form.get_by_label("Stock").fill("33")
    await form.get_by_role("button", name="Create as draft").click()
    await expect(form.get_by_role("alert")).to_contain_text("currency")
    await expect(form.get_by_label("Currency")).to_have_value("euro")
    await expect(form.get_by_label("Stock")).to_have_value("33")


async def test_a_double_click_on_start_runs_one_simulation(visit: Visit, service: Service, quiet):
    visitor = await at_the_simulator(visit)
    await visitor.page.get_by_label("Buyers").fill("200")
    await visitor.page.get_by_label("Stock").fill("5")
    sent = posts(visitor)
    await visitor.button("Start").dblclick()
    await visitor.page.wait_for_url("**/simulator/?id=*")
    await visitor.page.wait_for_timeout(LONGER_THAN_A_DOUBLE_CLICK_MS)
    assert paths(sent) == ["/v1/simulations"]
    await over(service, visitor.page.url.rpartition("=")[2])
