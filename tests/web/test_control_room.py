"""The control room: what an admin clicks, and what the service then says."""

import asyncio
import csv
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, expect

from browser import Visit, Visitor
from conftest import ADMIN_KEY, unique

TRUE_SECONDS = 10.0


async def admin(visit: Visit, path: str = "/control/") -> Visitor:
    """A visitor who typed the admin key."""
    visitor = await visit(path)
    await visitor.page.get_by_label("Admin key").fill(ADMIN_KEY)
    await visitor.button("Use this key").click()
    await expect(visitor.button("Forget the admin key")).to_be_visible()
    return visitor


async def create_by_form(page: Page, **fields: str) -> str:
    """Creates a sale by the page's form; the id that the page then shows."""
    form = page.locator("section").filter(has=page.get_by_role("heading", name="Create a sale"))
    for label, value in fields.items():
        await form.get_by_label(re.compile(f"^{label}", re.IGNORECASE)).fill(value)
    await form.get_by_role("button", name=re.compile("^Create")).click()
    await page.wait_for_url("**/control/?id=*")
    return parse_qs(urlsplit(page.url).query)["id"][0]


async def status_is(visitor: Visitor, service, sale: str, status: str) -> None:
    """The page shows this status, and it is the truth."""
    await expect(visitor.page.get_by_role("main").get_by_text(status, exact=True).first).to_be_visible()
    async with asyncio.timeout(TRUE_SECONDS):
        while (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["status"] != status:
            await asyncio.sleep(0.05)


async def test_a_sale_is_run_by_clicks_from_its_creation_to_its_audit(visit, service, tmp_path: Path):
    visitor = await admin(visit)
    page, name = visitor.page, unique("Drop")
    sale = await create_by_form(page, sale=name, item="Boot", stock="7", price="2500", limit="2")
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


async def test_a_wrong_key_is_told_and_changes_nothing(visit, service):
    sale = await service.create_sale(opened=False)
    visitor = await visit(f"/control/?id={sale}")
    visitor.expect_complaints(r"status of 401 ")
    await expect(visitor.button("Open")).to_have_count(0)  # without a key there is nothing to press
    await visitor.page.get_by_label("Admin key").fill("not-the-key")
    await visitor.button("Use this key").click()
    await visitor.button("Open").click()
    panel = visitor.page.locator("section").filter(has=visitor.button("Open"))
    await expect(panel.get_by_role("alert")).to_contain_text("key")
    assert (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["status"] == "draft"


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
