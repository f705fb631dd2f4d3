"""The control room's sections: their addresses, who sees them, keys, imports and health."""

import json

import pytest
from playwright.async_api import expect

from tests.support.browser import Visit, Visitor
from tests.support.service import Service, unique
from tests.support.streams import another_api
from tests.web.test_accessible import is_clean
from tests.web.test_control_room import admin
from tests.web.test_foreign_text import lays_out

SECTIONS = ("Sales", "Import", "Webhooks", "Keys", "Payments", "Log", "Health")


def sections(visitor: Visitor):
    return visitor.page.get_by_role("navigation", name="Sections of the control room").get_by_role("link")


async def signed_in(visit: Visit, path: str, key: str) -> Visitor:
    """A visitor who followed a link with this key."""
    visitor = await visit(f"{path}#key={key}")
    await expect(visitor.button("Forget the admin key")).to_be_visible()
    return visitor


async def new_key(service: Service, *scopes: str) -> dict[str, str]:
    return await service.admin("POST", "/v1/keys", {"name": unique("key"), "scopes": list(scopes)})


async def test_each_section_is_a_page_that_reloads_and_goes_back(visit: Visit, service: Service):
    visitor = await admin(visit)
    page = visitor.page
    await expect(sections(visitor)).to_have_text(SECTIONS)
    for name in SECTIONS[1:]:
        await sections(visitor).filter(has_text=name).click()
        await expect(page).to_have_url(f"{service.url}/control/{name.lower()}/")
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        await expect(page).to_have_title(f"{name} · Control room · FlashGuard")
        await expect(page.get_by_role("link", name=name, exact=True)).to_have_attribute(
            "aria-current", "page"
        )
        await page.wait_for_load_state("networkidle")
        await is_clean(visitor)
        await lays_out(page)
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Health")
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log")
    await page.goto("/control/keys")  # a bookmark without the final slash
    await expect(page).to_have_url(f"{service.url}/control/keys/")


async def test_a_key_sees_the_sections_that_it_may_use_and_is_told_of_the_others(visit, service):
    sale = await service.create_sale(stock=3)
    order = (await service.buy(sale, "ann")).ok(201)["id"]
    shop, reader = [(await new_key(service, scope))["key"] for scope in ("shop", "read")]
    seller = await signed_in(visit, f"/control/?id={sale}", shop)
    seller.expect_complaints("status of 403 ")  # the header asks for the system's state
    await expect(sections(seller)).to_have_text(["Sales", "Keys", "Payments"])
    await seller.sees(order)
    await expect(seller.button("Change")).to_be_visible()
    for missing in ("Pause", "Close for good", "Restock", "Audit", "Create as draft"):
        await expect(seller.button(missing)).to_have_count(0)
    await seller.page.goto("/control/webhooks/")
    await seller.sees("Your key (scope: shop) may not use this section.")
    await seller.page.goto("/control/keys/")
    await seller.sees("End one token")
    await expect(seller.page.get_by_role("heading", name="API keys")).to_have_count(0)
    await is_clean(seller)
    looker = await signed_in(visit, f"/control/?id={sale}", reader)
    await expect(sections(looker)).to_have_text(["Sales", "Payments", "Health"])
    await looker.sees(order)
    await expect(looker.button("Audit")).to_be_visible()
    for missing in ("Pause", "Change", "Create as draft"):
        await expect(looker.button(missing)).to_have_count(0)


async def test_the_caller_reads_its_own_rights(service: Service, http):
    scopes = {scope: (await new_key(service, scope)) for scope in ("admin", "shop", "read")}
    for scope, made in scopes.items():
        headers = {"Authorization": f"Bearer {made['key']}"}
        caller = (await service.call("GET", "/v1/caller", headers=headers)).ok()
        assert caller["key"] == made["id"]
        assert scope in caller["scopes"]
        assert ("manage-keys" in caller["rights"]) == (scope == "admin")
        assert ("read-audit" in caller["rights"]) == (scope != "shop")
    anonymous = (await service.call("GET", "/v1/caller")).ok()
    assert (anonymous["key"], anonymous["scopes"]) == (None, [])
    assert "sell" in anonymous["rights"]
    assert "manage-sales" not in anonymous["rights"]
    async with another_api(service, http, FLASHGUARD_MODE="production") as production:
        (await production.call("GET", "/v1/caller")).problem(401, "unauthenticated")


async def test_a_key_is_created_shown_once_replaced_and_revoked(visit: Visit, service: Service):
    visitor = await admin(visit, "/control/keys/")
    page, name = visitor.page, unique("till")
    page.on("dialog", lambda dialog: dialog.accept())
    visitor.expect_complaints("status of 422 ")
    await page.get_by_label("Name", exact=True).fill(name)
    await visitor.button("Create key").click()
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("Refused. ")  # no scope
    await page.get_by_label("shop sells").check()
    await visitor.button("Create key").click()
    shown = page.get_by_role("group", name=f"Key of {name}")
    first = await shown.locator("code").inner_text()
    caller = await service.call("GET", "/v1/caller", headers={"Authorization": f"Bearer {first}"})
    assert caller.ok()["scopes"] == ["shop"]
    await is_clean(visitor)
    await lays_out(page)
    await visitor.button("I stored it").click()
    await expect(shown).to_have_count(0)
    assert first not in await page.content()

    row = page.get_by_role("region", name="API keys").locator("tbody tr").filter(has_text=name)
    await row.get_by_label("How long the old key").select_option("0")
    await row.get_by_role("button", name="Rotate").click()
    second = await shown.locator("code").inner_text()
    await service.call("GET", "/v1/caller", headers={"Authorization": f"Bearer {second}"})
    assert second != first
    (await service.call("GET", "/v1/caller", headers={"Authorization": f"Bearer {first}"})).problem(
        401, "unauthenticated"
    )
    await expect(row).to_have_count(1)  # the old one has expired
    await row.get_by_role("button", name="Revoke").click()
    await visitor.sees(f"The key of {name} is revoked.")
    await expect(row).to_have_count(0)
    await page.get_by_role("group", name="Status").get_by_role("button", name="all").click()
    await expect(row).to_have_count(2)
    (await service.call("GET", "/v1/caller", headers={"Authorization": f"Bearer {second}"})).problem(
        401, "unauthenticated"
    )


async def test_a_no_revokes_nothing(visit: Visit, service: Service):
    made = await new_key(service, "read")
    visitor = await admin(visit, "/control/keys/")
    asked: list[str] = []

    async def no(dialog) -> None:
        asked.append(dialog.message)
        await dialog.dismiss()

    visitor.page.on("dialog", no)
    await visitor.page.get_by_role("searchbox").fill(made["name"])
    for button in ("Revoke the key of", "Rotate the key of"):
        await visitor.button(f"{button} {made['name']}").click()
    await visitor.button("Rotate the signing keys").click()
    await visitor.page.get_by_label("The token’s id").fill("0" * 24)
    await visitor.button("Revoke token").click()
    assert len(asked) == 4
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await service.call("GET", "/v1/caller", headers=headers)).ok()["scopes"] == ["read"]


async def test_signing_keys_are_rotated_and_a_buyers_token_is_ended(visit: Visit, service: Service):
    sale = await service.create_sale(stock=3)
    token = await service.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
    visitor = await admin(visit, "/control/keys/")
    page = visitor.page
    page.on("dialog", lambda dialog: dialog.accept())
    visitor.expect_complaints("status of 422 ")
    rows = page.get_by_role("region", name="Signing keys").locator("tbody tr")
    await expect(rows.first).to_be_visible()
    before = await rows.count()
    await visitor.button("Rotate the signing keys").click()
    await visitor.sees("A new key signs.")
    await expect(rows).to_have_count(before + 1)
    await page.get_by_label("The token’s id").fill("not-an-id")
    await visitor.button("Revoke token").click()
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("Refused. ")
    await page.get_by_label("The token’s id").fill(token["id"])
    await visitor.button("Revoke token").click()
    await visitor.sees(f"The token {token['id']} is invalid")
    headers = {"Authorization": f"Bearer {token['token']}"}
    (await service.call("GET", f"/v1/sales/{sale}", headers=headers)).problem(401, "unauthenticated")


CSV = "sale,sku,price_minor,currency,stock\n{id},mug,{price},EUR,5\n"


async def test_a_file_is_checked_and_then_imported_or_its_lines_are_named(visit: Visit, service: Service):
    visitor = await admin(visit, "/control/import/")
    page, sale = visitor.page, unique("file")
    visitor.expect_complaints("status of 422 ")
    text = page.get_by_label("Or its text")
    await text.fill(CSV.format(id=sale, price=-1))
    await visitor.button("Check the file").click()
    await expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("Nothing was imported.")
    errors = page.get_by_role("region", name="What is wrong in the file").locator("tbody tr")
    await expect(errors).to_have_count(1)
    await expect(errors).to_contain_text("line 2")
    await is_clean(visitor)
    await lays_out(page)

    upload = page.get_by_label("File (CSV or JSON)")
    body = CSV.format(id=sale, price=900).encode()
    await upload.set_input_files({"name": "sales.csv", "mimeType": "text/csv", "buffer": body})
    await visitor.button("Check the file").click()
    await visitor.sees("The file is good: 1 sale. Nothing is imported yet.")
    (await service.call("GET", f"/v1/sales/{sale}", admin=True)).problem(404, "unknown-sale")
    await visitor.button("Import 1 sale").click()
    await visitor.sees("1 sale is imported as a draft.")
    await page.get_by_role("link", name=sale).click()
    await visitor.sees("stock 5")
    assert (await service.call("GET", f"/v1/sales/{sale}", admin=True)).ok()["status"] == "draft"

    other = unique("json")
    item = {"sku": "mug", "name": "Mug", "price_minor": 900, "currency": "EUR", "stock": 5}
    await page.goto("/control/import/")
    await text.fill(json.dumps({"sales": [{"id": other, "name": "Mugs", "items": [item]}]}))
    await visitor.button("Check the file").click()
    await visitor.button("Import 1 sale").click()
    await visitor.sees("1 sale is imported as a draft.")
    assert (await service.call("GET", f"/v1/sales/{other}", admin=True)).ok()["items"][0]["stock"] == 5


async def test_health_shows_each_component_and_its_commands(visit: Visit, service: Service):
    visitor = await admin(visit, "/control/health/")
    table = visitor.page.get_by_role("region", name="Components")
    for name in ("API", "Memory", "Ledger", "Recorder", "Live"):
        await expect(table.get_by_role("row").filter(has_text=name).first).to_contain_text("ok")
    await expect(visitor.page.get_by_role("group", name="Buyers")).to_contain_text("served")
    await expect(visitor.page.get_by_role("group", name="Recorders")).to_contain_text("1")
    await visitor.sees("flashguard doctor")
    await is_clean(visitor)
    await lays_out(visitor.page)


async def test_sales_are_searched_by_name_and_opened_by_id(visit: Visit, service: Service):
    name = unique("Concert")
    sale = await service.create_sale(stock=3, name=name)
    visitor = await admin(visit)
    rows = visitor.page.get_by_role("region", name="Sales").locator("tbody tr")
    field = visitor.page.get_by_label("Name or id")
    await field.fill(name)
    await expect(rows).to_have_count(1)
    await field.fill(unique("none"))
    await visitor.sees("No sale on this page matches")
    await field.fill(sale)
    await visitor.page.keyboard.press("Enter")
    await expect(visitor.page).to_have_url(f"{service.url}/control/?id={sale}")
    await visitor.sees("available 3")


@pytest.mark.parametrize("section", ["", "import/", "webhooks/", "keys/", "payments/", "log/", "health/"])
async def test_a_section_speaks_german(browser, service: Service, section):
    context = await browser.new_context(base_url=service.url, locale="de-DE", timezone_id="UTC")
    page = await context.new_page()
    await page.goto(f"/control/{section}#key={service.admin_key}")
    await expect(page.get_by_role("button", name="Schlüssel vergessen")).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    await expect(page.get_by_role("navigation", name="Bereiche des Leitstands")).to_contain_text("Verkäufe")
    await page.wait_for_load_state("networkidle")
    text = (await page.get_by_role("main").inner_text()).replace("A sale of a test", "")
    for word in (" the ", " of ", " and ", "Create", "Loading"):
        assert word not in text, [line for line in text.split("\n") if word in line]
    await context.close()
