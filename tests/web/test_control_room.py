"""The control room: what an admin clicks, and what the service then says."""

import asyncio
import csv
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import ADMIN_KEY, Service, unique


async def admin(visit: Visit, path: str = "/control/") -> Visitor:
    """A visitor who typed the admin key."""
    visitor = await visit(path)
    await visitor.page.get_by_label("Admin key").fill(ADMIN_KEY)
    await visitor.button("Use this key").click()
    await expect(visitor.button("Forget the admin key")).to_be_visible()
    return visitor


def create_form(page: Page) -> Locator:
    """The form that creates a sale, and what it says."""
    return page.locator("section").filter(has=page.get_by_role("heading", name="Create a sale"))


async def create_by_form(page: Page, **fields: str) -> str:
    """Creates a sale by the page's form; the id that the page then shows."""
    form = create_form(page)
    for label, value in fields.items():
        await form.get_by_label(re.compile(f"^{label}", re.IGNORECASE)).fill(value)
    await form.get_by_role("button", name=re.compile("^Create")).click()
    await page.wait_for_url("**/control/?id=*")
    return parse_qs(urlsplit(page.url).query)["id"][0]


def own_panel(visitor: Visitor) -> Locator:
    """The panel of the sale in the address. The list below it shows other sales, with words of their own."""
    return visitor.page.locator("section").filter(has=visitor.button("Close for good"))


async def status_is(visitor: Visitor, service, sale: str, status: str) -> None:
    """The page shows this status, and at that moment it is the truth."""
    await expect(own_panel(visitor).get_by_text(status, exact=True)).to_be_visible()
    assert (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["status"] == status


async def test_a_draft_is_edited_and_deleted(visit: Visit, service: Service):
    sale = await service.create_sale(stock=2, opened=False, spread=1)
    visitor = await admin(visit, f"/control/?id={sale}")
    page = visitor.page
    form = page.locator("section").filter(has=visitor.button("Save draft"))
    await form.get_by_role("button", name="Add item").click()
    second = form.get_by_role("group", name="Item 2")
    await second.get_by_label("SKU").fill("cap")
    await second.get_by_label("Name").fill("Cap")
    await second.get_by_label("Stock").fill("7")
    await form.get_by_role("group", name="Item 1").get_by_label("Price").fill("250")
    await visitor.button("Save draft").click()
    await visitor.sees("The draft is saved.")
    unit, cap = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["items"]
    assert (unit["price_minor"], unit["stock"], cap["sku"], cap["stock"]) == (250, 2, "cap", 7)
    page.on("dialog", lambda dialog: dialog.accept())
    visitor.expect_complaints(r"404 .*/orders\?")  # the page may ask for its orders while the draft goes
    await visitor.button("Delete draft").click()
    await page.wait_for_url("**/control/")
    (await service.call("GET", f"/v1/sales/{sale}", admin=True)).problem(404, "unknown-sale")


async def test_a_sale_is_run_by_clicks_from_its_creation_to_its_audit(visit, service, tmp_path: Path):
    visitor = await admin(visit)
    page, name = visitor.page, unique("Drop")
    sale = await create_by_form(page, sale=name, name="Boot", stock="7", price="2500", limit="2")
    created = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    [item] = created["items"]
    assert (created["name"], created["limit_per_customer"]) == (name, 2)
    assert (item["name"], item["stock"], item["price_minor"]) == ("Boot", 7, 2500)
    await status_is(visitor, service, sale, "draft")

    await visitor.button("Open").click()
    await status_is(visitor, service, sale, "open")
    await visitor.sees("available 7")
    order = (await service.buy(sale, "ann", 2)).ok(201)["id"]
    (await service.hold(sale, "bob")).ok(201)
    for figure in ("available 4", "held 1", "sold 2"):
        await visitor.sees(figure)
    await visitor.sees(order)

    await page.get_by_label("Restock Boot by").fill("5")
    await visitor.button("Restock").click()
    await visitor.sees("available 9")
    assert (await service.item(sale))["stock"] == 12
    await visitor.button("counted?").click()
    await page.get_by_label("Counted units of Boot").fill("10")
    await visitor.button("Set").click()
    await visitor.sees("its stock is 10")
    assert (await service.item(sale))["stock"] == 10
    await visitor.button("add units").click()
    await page.get_by_label("Restock Boot by").fill("2")
    await visitor.button("Restock").click()
    await visitor.sees("its stock is 12")

    await visitor.button("Pause").click()
    await status_is(visitor, service, sale, "paused")

    await visitor.button("Audit").click()
    await visitor.sees("no difference")
    rows = page.get_by_role("region", name="Audit rows").locator("tbody tr")
    assert (await rows.first.locator("td").all_inner_texts())[:6] == ["unit", "12", "9", "1", "2", "0"]

    async with page.expect_download() as started:
        await visitor.button("Orders as CSV").click()
    file = tmp_path / "orders.csv"
    await (await started.value).save_as(file)
    with file.open(newline="") as lines:
        rows_of_file = list(csv.DictReader(lines))
    assert [row["customer"] for row in rows_of_file] == ["ann"]
    assert order in rows_of_file[0].values()

    page.once("dialog", lambda dialog: dialog.accept())
    await visitor.button("Close for good").click()
    await status_is(visitor, service, sale, "closed")


async def test_closing_asks_first_and_a_no_changes_nothing(visit, service):
    sale = await service.create_sale()
    visitor = await admin(visit, f"/control/?id={sale}")
    asked: list[str] = []

    async def no(dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    visitor.page.once("dialog", no)
    await visitor.sees("available 10")
    await visitor.button("Close for good").click()
    await status_is(visitor, service, sale, "open")
    assert len(asked) == 1


async def test_orders_are_found_by_customer_and_by_id(visit, service):
    sale = await service.create_sale(stock=5)
    orders = {name: (await service.buy(sale, name)).ok(201)["id"] for name in ("ann", "bob", "cyd")}
    visitor = await admin(visit, f"/control/?id={sale}")
    for each in orders.values():
        await visitor.sees(each)
    listed = visitor.page.get_by_role("region", name="Orders").locator("tbody tr")
    for searched in ("bob", orders["bob"]):
        await visitor.page.get_by_role("searchbox").fill(searched)
        await expect(listed).to_have_count(1)
        await expect(listed).to_contain_text(orders["bob"])
    await visitor.page.get_by_role("searchbox").fill("nobody")
    await visitor.sees("No order matches.")


async def test_a_draft_is_shown_to_the_shop_without_a_complaint_and_is_live_once_it_is_open(visit, service):
    sale = await service.create_sale(stock=3, opened=False)
    visitor = await admin(visit, f"/control/?id={sale}")
    await status_is(visitor, service, sale, "draft")
    await expect(visitor.page.get_by_text("Connection lost")).to_have_count(0)
    await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 2, "reason": "more"})
    await visitor.sees("available 5")
    await service.admin("POST", f"/v1/sales/{sale}/open")
    await status_is(visitor, service, sale, "open")
    (await service.buy(sale, "ann")).ok(201)
    await visitor.sees("available 4")


async def test_a_page_that_waits_for_an_answer_does_not_take_another_sales_status_for_its_own(visit, service):
    """A closed sale in the list was once taken for this one: it hid that nothing had been closed yet."""
    closed, sale = await service.create_sale(), await service.create_sale()
    await service.admin("POST", f"/v1/sales/{closed}/close")
    visitor = await admin(visit, f"/control/?id={sale}")
    await status_is(visitor, service, sale, "open")
    await expect(visitor.page.get_by_text("closed", exact=True).first).to_be_visible()
    go_on = asyncio.Event()

    async def slow(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    await visitor.page.route("**/close", slow)
    visitor.page.once("dialog", lambda dialog: dialog.accept())
    await visitor.button("Close for good").click()
    await visitor.sees("Working…")
    await status_is(visitor, service, sale, "open")
    go_on.set()
    await status_is(visitor, service, sale, "closed")


@pytest.mark.parametrize("key", ["not-the-key", "fg_live_0123456789…"])
async def test_a_wrong_key_is_refused_at_the_door_and_can_be_mended(visit, service, key):
    sale = await service.create_sale(opened=False)
    visitor = await visit(f"/control/?id={sale}")
    visitor.expect_complaints(r"status of 401 ")
    field = visitor.page.get_by_label("Admin key")
    await field.fill(key)
    await visitor.button("Use this key").click()
    alert = visitor.page.get_by_role("main").get_by_role("alert")
    says = "cut" if "…" in key else "does not know this key"
    await expect(alert).to_contain_text(says)
    await expect(visitor.button("Forget the admin key")).to_have_count(0)
    await expect(visitor.button("Open")).to_have_count(0)  # without a key there is nothing to press
    await expect(field).to_have_value(key)
    await field.fill(ADMIN_KEY)
    await visitor.button("Use this key").click()
    await status_is(visitor, service, sale, "draft")


async def test_a_key_that_may_less_is_refused_with_what_is_needed(visit, service):
    key = (await service.admin("POST", "/v1/keys", {"name": "till", "scopes": ["shop"]}))["key"]
    visitor = await visit("/simulator/")
    await visitor.page.get_by_label("Admin key").fill(key)
    await visitor.button("Use this key").click()
    await expect(visitor.page.get_by_role("main").get_by_role("alert")).to_contain_text("scope “admin”")
    await expect(visitor.button("Forget the admin key")).to_have_count(0)


async def test_a_key_that_is_revoked_signs_its_page_out_and_says_why(visit, service):
    made = await service.admin("POST", "/v1/keys", {"name": "for an hour", "scopes": ["admin"]})
    sale = await service.create_sale()
    visitor = await visit(f"/control/?id={sale}#key={made['key']}")
    visitor.expect_complaints(r"status of 401 ")
    await status_is(visitor, service, sale, "open")
    await service.admin("POST", f"/v1/keys/{made['id']}/revoke")
    alert = visitor.page.get_by_role("main").get_by_role("alert")
    await expect(alert).to_contain_text("rejected this key")
    await expect(visitor.button("Pause")).to_have_count(0)
    assert await visitor.page.evaluate("JSON.stringify(sessionStorage)") == "{}"


async def test_an_unknown_sale_is_named_as_such_and_asked_for_no_more(visit, service):
    missing = unique("missing")
    asked: list[str] = []
    for path in (f"/control/?id={missing}", f"/sale/?id={missing}"):
        visitor = await (admin(visit, path) if "control" in path else visit(path))
        visitor.expect_complaints("status of 404 ")
        visitor.page.on("request", lambda request: asked.append(request.url))
        await visitor.sees("There is no such sale")
        await expect(visitor.page.get_by_text("Connection lost")).to_have_count(0)
        asked.clear()
        await visitor.page.wait_for_timeout(12_000)  # longer than the longest wait between two tries
        assert not [url for url in asked if missing in url]
        await visitor.button("Check again").click()
        await visitor.sees("There is no such sale")
        assert [url for url in asked if missing in url]


async def test_a_cancelled_order_looks_cancelled_at_once(visit, service):
    sale = await service.create_sale(stock=9)
    kept, back, gone = [(await service.buy(sale, name, 2)).ok(201)["id"] for name in ("ann", "bob", "cyd")]
    visitor = await admin(visit, f"/control/?id={sale}")
    row = visitor.page.get_by_role("region", name="Orders").locator("tbody tr")
    for order in (kept, back, gone):
        await expect(row.filter(has_text=order)).to_contain_text("confirmed")
    body = {"restock": True, "reason": "too small"}
    await service.admin("POST", f"/v1/orders/{back}/cancel", body)
    await service.admin("POST", f"/v1/orders/{gone}/cancel", {"restock": False, "reason": "broken"})
    await expect(row.filter(has_text=back)).to_contain_text(re.compile("cancelled.*on sale again.*too small"))
    await expect(row.filter(has_text=gone)).to_contain_text(re.compile("cancelled.*left the stock.*broken"))
    await expect(row.filter(has_text=back)).not_to_contain_text("confirmed")
    await expect(row.filter(has_text=kept)).to_contain_text("confirmed")
    await visitor.sees("available 5")


async def test_the_list_of_sales_shows_what_the_sale_beside_it_shows(visit, service):
    sale, other = await service.create_sale(stock=4), await service.create_sale(stock=4)
    visitor = await admin(visit, f"/control/?id={sale}")

    async def rows_are(status: str, available: int, of: str) -> None:
        link = visitor.page.locator(f'a[href$="/control/?id={of}"], a[href$="/control?id={of}"]')
        cells = visitor.page.get_by_role("row").filter(has=link).locator("td")
        await expect(cells.nth(1)).to_have_text(status)
        await expect(cells.nth(2)).to_have_text(str(available))

    await rows_are("open", 4, sale)
    await visitor.button("Pause").click()
    await status_is(visitor, service, sale, "paused")
    await rows_are("paused", 4, sale)
    await service.admin("POST", f"/v1/sales/{sale}/open")
    await status_is(visitor, service, sale, "open")
    await rows_are("open", 4, sale)
    (await service.buy(sale, "ann")).ok(201)
    (await service.buy(other, "ann", 2)).ok(201)
    await visitor.sees("available 3")
    await rows_are("open", 3, sale)
    await rows_are("open", 2, other)


async def test_an_audit_is_marked_as_old_after_a_change(visit, service):
    sale = await service.create_sale(stock=4)
    visitor = await admin(visit, f"/control/?id={sale}")
    old = visitor.page.get_by_text("changed since", exact=True)
    await visitor.button("Audit").click()
    await visitor.page.get_by_role("heading", name=re.compile(r"^Audit of .*\d:\d\d")).wait_for()
    await expect(old).to_have_count(0)
    await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 3, "reason": "more"})
    await visitor.sees("available 7")
    await expect(old).to_be_visible()
    await visitor.button("Audit").click()
    await expect(old).to_have_count(0)
    (await service.hold(sale, "ann")).ok(201)
    await expect(old).to_be_visible()


async def test_the_rate_counts_units_and_says_so(visit, service):
    sale = await service.create_sale(stock=90)
    visitor = await admin(visit, f"/control/?id={sale}")
    rate = visitor.page.get_by_role("group", name="Units sold per second", exact=True).locator("p").nth(1)
    await expect(rate).to_have_text("0")
    (await service.buy(sale, "ann", 30)).ok(201)  # one order
    await expect(rate).to_have_text(re.compile(r"^(30|15|10|[3-7](\.\d)?)$"))


async def test_the_admin_key_is_in_no_address_and_in_no_curl(visit, service):
    sale = await service.create_sale()
    asked: list[str] = []
    visitor = await visit("/control/")
    visitor.page.on("request", lambda request: asked.append(request.url))
    await visitor.page.get_by_label("Admin key").fill(ADMIN_KEY)
    await visitor.button("Use this key").click()
    await expect(visitor.button("Forget the admin key")).to_be_visible()
    assert ADMIN_KEY not in visitor.page.url
    await visitor.page.goto(f"/control/?id={sale}")
    await visitor.sees("available 10")
    assert len(asked) > 3
    assert not [url for url in asked if ADMIN_KEY in url]
    assert ADMIN_KEY not in await visitor.page.content()
    other = await visitor.context.new_page()  # the key stays in its tab
    await other.goto("/control/")
    await expect(other.get_by_label("Admin key")).to_be_visible()
