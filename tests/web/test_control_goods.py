"""The control room's forms for what is sold: several items, pools, and orders that are changed in part."""

from playwright.async_api import Locator, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import Service
from tests.web.test_accessible import is_clean
from tests.web.test_basket import CONFLICT, dinner_show
from tests.web.test_control_room import admin, create_form
from tests.web.test_foreign_text import lays_out


async def test_a_sale_with_several_items_and_a_pool_is_created(visit: Visit, service: Service):
    visitor = await admin(visit)
    page, form = visitor.page, create_form(visitor.page)
    await form.get_by_role("button", name="Add pool").click()
    pool = form.get_by_role("group", name="Pool 1")
    await pool.get_by_label("Pool").fill("hall")
    await pool.get_by_label("Name").fill("The hall")
    await pool.get_by_label("Units").fill("40")
    await form.get_by_role("button", name="Add item").click()
    for number, sku, name, stock, uses in ((1, "adult", "Adult", "", "1"), (2, "box", "Box", "3", "4")):
        item = form.get_by_role("group", name=f"Item {number}")
        await item.get_by_label("SKU").fill(sku)
        await item.get_by_label("Name").fill(name)
        await item.get_by_label("Stock (optional)").fill(stock)
        await item.get_by_label("Units of hall").fill(uses)
    await is_clean(visitor)
    await lays_out(page)
    await form.get_by_role("button", name="Create as draft").click()
    await page.wait_for_url("**/control/?id=*")
    sale = page.url.rpartition("=")[2]
    created = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert [(item["sku"], item["stock"], item["uses"]) for item in created["items"]] == [
        ("adult", None, [{"pool": "hall", "quantity": 1}]),
        ("box", 3, [{"pool": "hall", "quantity": 4}]),
    ]
    assert [(pool["id"], pool["name"], pool["stock"]) for pool in created["pools"]] == [
        ("hall", "The hall", 40)
    ]
    await visitor.sees("pool, stock 40")


async def test_a_draft_with_pools_keeps_them_when_its_name_is_saved(visit: Visit, service: Service):
    sale = await dinner_show(service, opened=False)
    visitor = await admin(visit, f"/control/?id={sale}")
    form = visitor.page.locator("section").filter(has=visitor.button("Save draft"))
    await form.get_by_role("textbox", name="Sale", exact=True).fill("The other dinner")
    await visitor.button("Save draft").click()
    await visitor.sees("The draft is saved.")
    saved = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()
    assert saved["name"] == "The other dinner"
    assert [len(item["uses"]) for item in saved["items"]] == [1, 2, 1, 0]


async def test_a_pool_is_restocked_beside_its_bar(visit: Visit, service: Service):
    sale = await dinner_show(service)
    visitor = await admin(visit, f"/control/?id={sale}")
    hall = visitor.page.get_by_role("listitem").filter(has_text="pool, stock 7")
    await hall.get_by_label("Restock the hall by").fill("3")
    await hall.get_by_role("button", name="Restock").click()
    await visitor.sees("Restocked the hall by 3: its stock is 10.")
    await visitor.sees("pool, stock 10")
    await expect(visitor.page.get_by_label("Restock Seat by")).to_have_count(0)  # its pools are
    await lays_out(visitor.page)
    await is_clean(visitor)


async def bought(service: Service, sale: str, **units: int) -> str:
    items = [{"sku": sku, "quantity": quantity} for sku, quantity in units.items()]
    order = await service.call("POST", f"/v1/sales/{sale}/orders", {"customer": "ann", "items": items})
    return str(order.ok(201)["id"])


async def form_of(visitor: Visitor, order: str) -> Locator:
    """The order's form, which opens below its row."""
    rows = visitor.page.get_by_role("region", name="Orders").locator("tbody tr")
    await rows.filter(has_text=order).get_by_role("button", name="Change").click()
    return visitor.page.get_by_role("form", name=f"Change order {order}")


async def order_now(service: Service, order: str) -> dict[str, object]:
    return (await service.call("GET", f"/v1/orders/{order}", admin=True)).ok()


async def test_a_part_of_an_order_is_cancelled_and_then_the_rest(visit: Visit, service: Service):
    sale = await dinner_show(service)
    order = await bought(service, sale, dinner=3, shirt=1)
    visitor = await admin(visit, f"/control/?id={sale}")
    form = await form_of(visitor, order)
    await expect(form.get_by_role("button", name="No change")).to_be_disabled()
    await form.get_by_label("Seat with dinner").fill("1")
    await is_clean(visitor)
    await form.get_by_role("button", name="Cancel 2 units").click()
    await visitor.sees("The order is changed.")
    await visitor.sees("1 × dinner, 1 × shirt")
    await visitor.sees("2 cancelled")
    now = await order_now(service, order)
    assert now["status"] == "confirmed"
    assert now["cancelled_items"] == [{"sku": "dinner", "quantity": 2}]
    asked: list[str] = []

    async def yes(dialog) -> None:
        asked.append(dialog.message)
        await dialog.accept()

    visitor.page.on("dialog", yes)
    await form.get_by_role("button", name="all to 0").click()
    await form.get_by_label("Returned units go on sale again").uncheck()
    await form.get_by_role("button", name="Cancel the order").click()
    await visitor.sees("its units left the stock")
    assert (await order_now(service, order))["status"] == "cancelled"
    assert asked == [f"Cancel the order {order}?"]
    pools = (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["pools"]
    assert [(pool["id"], pool["stock"], pool["sold"]) for pool in pools] == [("hall", 6, 0), ("meal", 3, 0)]
    await service.audit(sale)


async def test_an_order_gets_another_item_and_a_refusal_leaves_it_as_it_was(visit: Visit, service: Service):
    sale = await dinner_show(service)
    order = await bought(service, sale, seat=1)
    visitor = await admin(visit, f"/control/?id={sale}")
    visitor.expect_complaints(CONFLICT)
    form = await form_of(visitor, order)
    await form.get_by_label("Another item").select_option("Shirt")
    await form.get_by_label("Shirt").fill("9")
    await form.get_by_role("button", name="Change the order").click()
    await expect(form.get_by_role("alert")).to_contain_text("Refused.")
    assert (await order_now(service, order))["items"] == [{"sku": "seat", "quantity": 1}]
    await form.get_by_label("Shirt").fill("2")
    await form.get_by_label("Seat", exact=True).fill("0")
    await form.get_by_role("button", name="Change the order").click()
    await visitor.sees("The order is changed.")
    assert (await order_now(service, order))["items"] == [{"sku": "shirt", "quantity": 2}]
    await service.audit(sale)


async def test_an_item_shows_its_locations_and_is_restocked_at_one(visit: Visit, service: Service):
    trainer = {"sku": "trainer", "name": "Trainer", "price_minor": 8900, "currency": "EUR"}
    sale = await service.create_sale(
        locations=[{"id": "berlin", "name": "Warehouse Berlin"}, {"id": "hamburg", "name": "Shop Hamburg"}],
        items=[trainer | {"stock_by_location": {"berlin": 2, "hamburg": 3}}],
    )
    await bought(service, sale, trainer=2)
    visitor = await admin(visit, f"/control/?id={sale}")
    places = visitor.page.get_by_role("list", name="Trainer at its locations").get_by_role("listitem")
    await expect(places).to_contain_text(["Warehouse Berlin", "Shop Hamburg"])
    await expect(places.first).to_contain_text("sold 2")
    await visitor.page.get_by_label("Restock Trainer at Shop Hamburg by").fill("4")
    await places.nth(1).get_by_role("button", name="Restock").click()
    await visitor.sees("Restocked Trainer by 4")
    await expect(places.nth(1)).to_contain_text("available 7")
    item = await service.item(sale, "trainer")
    assert [(at["id"], at["stock"]) for at in item["locations"]] == [("berlin", 2), ("hamburg", 7)]
    await is_clean(visitor)
    await lays_out(visitor.page)


async def test_an_item_of_an_open_sale_is_added_changed_taken_off_sale_and_removed(visit, service):
    sale = await dinner_show(service)
    visitor = await admin(visit, f"/control/?id={sale}")
    page = visitor.page
    await visitor.button("New item").click()
    form = page.get_by_role("form", name="New item")
    await form.get_by_label("SKU").fill("balcony")
    await form.get_by_label("Name").fill("Balcony")
    await form.get_by_label("Price").fill("900")
    await form.get_by_label("Stock (optional)").fill("")
    await form.get_by_label("Units of hall").fill("1")
    await is_clean(visitor)
    await form.get_by_role("button", name="Add to the sale").click()
    await visitor.sees("The item balcony is added.")
    row = page.get_by_role("listitem").filter(has_text="Balcony")
    await expect(row).to_contain_text("available 7")
    buyer = await visit(f"/sale/?id={sale}")
    await buyer.button("One more Balcony").click()
    await buyer.button("Buy").click()
    await buyer.sees("held for you")

    await row.get_by_role("button", name="Edit Balcony").click()
    edit = page.get_by_role("form", name="Edit Balcony")
    await expect(edit.get_by_role("button", name="Remove item")).to_be_disabled()  # a unit of it is held
    await edit.get_by_label("Price").fill("1100")
    await edit.get_by_label("On sale").uncheck()
    await is_clean(visitor)
    await edit.get_by_role("button", name="Save item").click()
    await visitor.sees("The item is changed. It is not on sale.")
    await expect(row).to_contain_text("not on sale")
    item = await service.item(sale, "balcony")
    assert (item["price_minor"], item["on_sale"], item["held"]) == (1100, False, 1)

    await expect(buyer.page.get_by_text("Not on sale now")).to_be_visible()
    await buyer.page.reload()
    await expect(buyer.page.get_by_role("region", name="Basket")).to_contain_text("€9.00")  # as it was held
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    await is_clean(buyer)

    await page.get_by_role("button", name="Edit Shirt").click()
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("form", name="Edit Shirt").get_by_role("button", name="Remove item").click()
    await expect(page.get_by_role("listitem").filter(has_text="Shirt")).to_have_count(0)
    await service.audit(sale)
