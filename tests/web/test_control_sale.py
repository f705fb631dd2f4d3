"""A sale in the control room: all that it can have, its rules and room while it runs, and what is found."""

import re

from playwright.async_api import expect

from tests.support.browser import Visit
from tests.support.service import Service, unique
from tests.web.test_accessible import is_clean
from tests.web.test_control_room import admin, create_form
from tests.web.test_foreign_text import lays_out


async def read(service: Service, sale: str) -> dict:
    return (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()


async def test_a_sale_is_created_with_all_that_a_sale_can_have(visit: Visit, service: Service):
    visitor = await admin(visit)
    page, form, sale = visitor.page, create_form(visitor.page), unique("all")
    visitor.expect_complaints("status of 422 ")
    for folded in (
        "Times, limits and other rules",
        "Locations",
        "Waiting room",
        "What can’t be changed later",
    ):
        await form.get_by_text(folded, exact=True).first.click()
    await form.get_by_label("Hold in seconds").fill("90")
    await form.get_by_label("Held at once").fill("3")
    await form.get_by_label("Cools down for seconds").fill("600")
    await form.get_by_label("Waiting list, most entries").fill("50")
    await form.get_by_label("A hold is answered once it is").select_option("memory")
    await form.get_by_role("button", name="Add identity").click()
    limit = form.get_by_role("group", name="Identity 1")
    await limit.get_by_label("Identity", exact=True).fill("card")
    await limit.get_by_label("Most units").fill("2")
    await limit.get_by_label("Hold rules").check()
    await form.get_by_role("button", name="Add location").click()
    place = form.get_by_role("group", name="Location 1")
    await place.get_by_label("Location").fill("berlin")
    await place.get_by_label("Name").fill("Warehouse Berlin")
    item = form.get_by_role("group", name="Item 1")
    await item.get_by_label("Units at berlin").fill("12")
    await item.get_by_label("Most for a customer").fill("1")
    await form.get_by_label("Waiting room").select_option("own")
    await form.get_by_label("Admitted per second").fill("5")
    await form.get_by_label("Id (optional)").fill(sale)
    await is_clean(visitor)
    await lays_out(page)
    await form.get_by_role("button", name="Create as draft").click()  # with a stock of its own beside
    await expect(form.get_by_role("alert")).to_contain_text("Refused. ")
    await item.get_by_label("Stock (optional)").fill("")
    await form.get_by_role("button", name="Create as draft").click()
    await page.wait_for_url(f"**/control/?id={sale}")
    made = await read(service, sale)
    assert {name: made[name] for name in ("hold_seconds", "max_held_per_customer", "cool_down_seconds")} == {
        "hold_seconds": 90, "max_held_per_customer": 3, "cool_down_seconds": 600,
    }  # fmt: skip
    assert (made["waiting_list"], made["hold_durability"]) == (50, "memory")
    assert made["limits"] == [{"by": "card", "units": 2, "skus": None, "hold_rules": True}]
    assert made["items"][0]["limit_per_customer"] == 1
    assert [(at["id"], at["stock"]) for at in made["items"][0]["locations"]] == [("berlin", 12)]
    assert made["waiting_room"]["admit_per_second"] == 5
    await visitor.button("Save draft").click()
    await visitor.sees("The draft is saved.")
    assert (await read(service, sale))["items"] == made["items"]  # with their locations


async def test_the_rules_of_a_sale_change_while_it_sells_and_only_those_that_differ(visit, service):
    limits = [{"by": "card", "units": 2}]
    sale = await service.create_sale(stock=5, limits=limits, starts_at="2026-01-02T03:04:05.678Z")
    before = await read(service, sale)
    visitor = await admin(visit, f"/control/?id={sale}")
    page = visitor.page
    visitor.expect_complaints("status of 422 ")
    await page.get_by_text("Rules of the sale", exact=True).click()
    rules = page.locator("details").filter(has=visitor.button("Save rules"))
    await rules.get_by_label("Limit per customer").fill("4")
    await rules.get_by_label("Most units").fill("3")
    await is_clean(visitor)
    await visitor.button("Save rules").click()
    await visitor.sees("The rules are saved.")
    now = await read(service, sale)
    changed = {name for name in now if now[name] != before[name]}
    assert changed == {"limit_per_customer", "limits"}
    assert (now["limit_per_customer"], now["limits"][0]["units"]) == (4, 3)
    await rules.get_by_label("Ends by itself").fill("2020-01-01T00:00")
    await visitor.button("Save rules").click()
    await expect(rules.get_by_role("alert")).to_contain_text("Refused. ")
    assert (await read(service, sale))["ends_at"] is None


async def test_a_rooms_pace_changes_while_it_runs_and_its_doors_open_after_a_question(visit, service):
    sale = await service.create_sale(stock=5, waiting_room={"admit_per_second": 1, "max_active": 2})
    visitor = await admin(visit, f"/control/?id={sale}")
    page = visitor.page
    await page.get_by_label("Admitted per second").fill("2.5")
    await visitor.button("Save the pace").click()
    await visitor.sees("The room is changed.")
    assert (await read(service, sale))["waiting_room"]["admit_per_second"] == 2.5
    await is_clean(visitor)
    asked: list[str] = []

    async def answer(dialog) -> None:
        asked.append(dialog.message)
        await (dialog.accept() if len(asked) > 1 else dialog.dismiss())

    page.on("dialog", answer)
    await visitor.button("Open the doors to all").click()  # a no
    assert not (await read(service, sale))["waiting_room"]["open_to_all"]
    await visitor.button("Open the doors to all").click()
    await visitor.sees("open to all")
    assert (await read(service, sale))["waiting_room"]["open_to_all"]
    assert len(asked) == 2


async def test_holds_are_found_extended_changed_given_to_another_and_released(visit, service):
    sale = await service.create_sale(stock=9)
    hold = (await service.hold(sale, "ann", 2)).ok(201)["id"]
    (await service.buy(sale, "bob")).ok(201)
    visitor = await admin(visit, f"/control/?id={sale}")
    page = visitor.page
    visitor.expect_complaints("status of 404 ")
    page.on("dialog", lambda dialog: dialog.accept())
    find = page.get_by_role("search", name="Find a hold")
    rows = page.get_by_role("region", name="Found").locator("tbody tr")
    await visitor.button("Find").click()
    await expect(rows).to_have_count(2)
    await find.get_by_label("Status").select_option("held")
    await visitor.button("Find").click()
    await expect(rows).to_have_count(1)
    await find.get_by_label("Complete text").fill(unique("nobody"))
    await visitor.button("Find").click()
    await visitor.sees("Nothing found")
    await find.get_by_label("By").select_option("id")
    await find.get_by_label("Complete text").fill(hold)
    await visitor.button("Find").click()
    await expect(rows).to_contain_text("ann")
    await visitor.button(f"Manage {hold}").click()
    await visitor.button("More time").click()
    await visitor.sees("The hold has its time again.")
    await is_clean(visitor)
    await lays_out(page)
    form = page.get_by_role("form", name=f"Change order {hold}")
    await form.get_by_label("Unit").fill("3")
    await form.get_by_role("button", name="Change the hold").click()
    await visitor.sees("The hold is changed.")
    await page.get_by_label("To customer").fill("cyd")
    await visitor.button("Transfer").click()
    await visitor.sees("The hold is transferred.")
    held = (await service.call("GET", f"/v1/reservations/{hold}", admin=True)).ok()
    assert (held["customer"], held["items"]) == ("cyd", [{"sku": "unit", "quantity": 3}])
    await visitor.button("Release").click()
    await expect(rows.first).to_contain_text("released")
    await find.get_by_label("Complete text").fill(f"{sale}.{'0' * 24}")
    await visitor.button("Find").click()
    await visitor.sees("No hold, order, list entry or ticket")
    await service.audit(sale)


async def test_a_place_in_the_list_and_a_ticket_are_found_by_id_and_removed(visit, service):
    sale = await service.create_sale(stock=1, waiting_list=9)
    (await service.hold(sale, "ann")).ok(201)
    line = [{"sku": "unit", "quantity": 1}]
    entry = await service.call("POST", f"/v1/sales/{sale}/waiting-list", {"customer": "bob", "items": line})
    visitor = await admin(visit, f"/control/?id={sale}")
    visitor.expect_complaints("status of 404 ")
    visitor.page.on("dialog", lambda dialog: dialog.accept())
    find = visitor.page.get_by_role("search", name="Find a hold")
    await find.get_by_label("By").select_option("id")
    await find.get_by_label("Complete text").fill(entry.ok(201)["id"])
    await visitor.button("Find").click()
    await visitor.sees(re.compile("Waiting list: bob waits in the list, at place 1"))
    await visitor.button("Remove from the queue").click()
    await visitor.sees("bob left the list")
    left = await service.call("GET", f"/v1/waiting-list/{entry.body['id']}", admin=True)
    assert left.ok()["status"] == "left"


async def test_a_restock_says_why(visit: Visit, service: Service):
    sale = await service.create_sale(stock=3)
    visitor = await admin(visit, f"/control/?id={sale}")
    await visitor.page.get_by_label("Restock Unit by").fill("4")
    await visitor.page.get_by_label("Reason Unit").fill("a pallet")
    await visitor.button("Restock").click()
    await visitor.sees("its stock is 7")
    log = await admin(visit, "/control/log/")
    search = log.page.get_by_role("search", name="Log")
    await search.get_by_label("About").fill(sale)
    await search.get_by_role("button").click()
    rows = log.page.get_by_role("region", name="Log").locator("tbody tr")
    await expect(rows.filter(has_text="restock")).to_contain_text("a pallet")
    await is_clean(log)
    await lays_out(log.page)
    await search.get_by_label("Outcome").select_option("refused")
    await search.get_by_role("button").click()
    await log.sees("Nothing matches")
