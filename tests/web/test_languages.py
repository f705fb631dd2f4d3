"""The pages in German and English, and a purchase without a mouse."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.languages import is_german, speak
from tests.support.streams import another_api
from tests.web.test_accessible import is_clean, with_key

SIMULATION_MS = 150_000
SECTIONS = ("", "import/", "webhooks/", "keys/", "payments/", "log/", "health/")


async def test_the_browsers_language_is_shown_and_a_choice_survives_a_reload(browser, visit, service):
    sale = await service.create_sale()
    context = await browser.new_context(base_url=service.url, locale="de-AT")
    german = await context.new_page()
    await german.goto("/")
    await expect(german.get_by_role("heading", level=1)).to_contain_text("nie überverkauft")
    await expect(german.locator("html")).to_have_attribute("lang", "de")
    await german.goto(f"/sale/?id={sale}")
    await german.get_by_role("button", name="Kaufen", exact=True).click()
    await expect(german.get_by_text("für Sie reserviert")).to_be_visible()
    await context.close()

    visitor = await visit(f"/sale/?id={sale}")
    await expect(visitor.button("Buy")).to_be_enabled()
    await visitor.page.get_by_label("Language").select_option("de")
    await expect(visitor.button("Kaufen")).to_be_enabled()
    await visitor.sees("€")
    await visitor.page.reload()
    await expect(visitor.button("Kaufen")).to_be_enabled()
    await expect(visitor.page.locator("html")).to_have_attribute("lang", "de")
    await expect(visitor.page).to_have_title("Laden · FlashGuard")
    await is_clean(visitor)
    await visitor.page.get_by_label("Sprache").select_option("en")
    await expect(visitor.button("Buy")).to_be_enabled()
    await expect(visitor.page.locator("html")).to_have_attribute("lang", "en")


async def test_the_home_page_and_the_storefront_are_german_in_german(visit, service):
    sale = await service.create_sale(stock=5)
    buyer = await visit("/")
    page = buyer.page
    await speak(page, "de", "Sprache")
    await buyer.sees("Rückstand")
    await is_german(page)
    await page.goto("/sale/")
    await buyer.sees("A sale of a test")
    await is_german(page)
    await page.goto(f"/sale/?id={sale}")
    await expect(buyer.button("Kaufen")).to_be_enabled()
    await is_german(page)
    await buyer.button("Kaufen").click()
    await buyer.sees("für Sie reserviert")
    await is_german(page)
    await buyer.button("Bestätigen").click()
    await buyer.sees("gehört Ihnen")
    await is_german(page)
    await page.locator("main a", has=page.locator("code")).click()
    await buyer.sees("Das gehört Ihnen.")
    await is_german(page)


async def test_the_prompts_for_a_key_are_german_in_german(visit, service, http):
    async with another_api(service, http, FLASHGUARD_MODE="production") as production:
        visitor = await visit("/", url=production.url)
        visitor.expect_complaints("status of 401 ")
        await speak(visitor.page, "de", "Sprache")
        for path in ("/", "/simulator/", "/script/", "/control/"):
            await visitor.page.goto(path)
            await visitor.sees("Schlüssel nötig")
            await is_german(visitor.page)
            await expect(visitor.page.locator("[lang=en] form")).to_have_count(0)


async def test_the_control_room_is_german_in_german(visit, service):
    sale = await service.create_sale(stock=5)
    order = (await service.buy(sale, "ann", 2)).ok(201)["id"]
    visitor = await with_key(visit, service, f"/control/?id={sale}")
    page = visitor.page
    await speak(page, "de", "Sprache")
    await visitor.sees(order)
    await visitor.button("Abgleichen").click()
    await visitor.sees("kein Unterschied")
    await is_german(page)
    await service.admin("POST", "/v1/keys", {"name": "shop server", "scopes": ["shop"]})
    refused = await service.call("POST", "/v1/keys", {"name": "", "scopes": ["shop"]}, admin=True)
    refused.problem(422, "invalid-request")  # a line of the log with a code
    names = {key["name"] for key in (await service.admin("GET", "/v1/keys"))["data"]}
    for section in SECTIONS:
        await page.goto(f"/control/{section}")
        await expect(page.locator("main h2").first).to_be_visible()
        await expect(page.get_by_text("Lädt…")).to_have_count(0)
        await is_german(page, names)


@pytest.mark.timeout(240)
async def test_the_simulator_is_german_in_german(visit, service, quiet, tmp_path: Path):
    visitor = await visit("/")
    page = visitor.page
    await speak(page, "de", "Sprache")
    await page.get_by_role("link", name="Simulator", exact=True).click()
    await visitor.sees("Keine Simulation gewählt")
    await is_german(page)
    await page.get_by_label("Admin-Schlüssel").fill(service.admin_key)
    await visitor.button("Schlüssel verwenden").click()
    await expect(visitor.button("Start")).to_be_enabled()
    await page.get_by_label("Käufer").fill("1000")
    await page.get_by_label("Bestand").fill("20")
    await visitor.button("Start").click()
    await expect(visitor.button("Abbrechen")).to_be_visible()
    await is_german(page)
    file = page.get_by_role("button", name="Als SVG herunterladen")
    await expect(file).to_be_visible(timeout=SIMULATION_MS)
    await visitor.sees("1.000 Käufer")
    await is_german(page)
    async with page.expect_download() as started:
        await file.click()
    await (await started.value).save_as(tmp_path / "report.svg")
    assert "1.000 Käufer, 20 Stück" in (tmp_path / "report.svg").read_text()
    await page.goto("/simulator/?id=there-is-none")
    visitor.expect_complaints("status of 4(04|22) ")
    await visitor.sees("Unter dieser Adresse gibt es keine Simulation")
    await is_german(page)


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the focus is on the control of this name."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        focus = (
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"
        )
        if await page.evaluate(focus) == name:
            return
    raise AssertionError(f"Tab never reached {name}")


async def test_a_whole_purchase_needs_no_mouse(visit, service):
    sale = await service.create_sale(stock=5)
    buyer = await visit("/sale/")
    page = buyer.page
    await buyer.sees("A sale of a test")
    await page.goto(f"/sale/?id={sale}")
    await expect(buyer.button("Buy")).to_be_enabled()
    for control in ("One more Unit", "Buy"):
        await tab_to(page, control)
        await page.keyboard.press("Enter")
    await buyer.sees("held for you")
    for control in ("More time", "Confirm"):
        await expect(buyer.button(control)).to_be_enabled()
        await page.keyboard.press("Shift+Tab")
        await tab_to(page, control)
        await page.keyboard.press("Enter")
    await buyer.sees("yours")
    order = await page.locator("main a code").inner_text()
    await tab_to(page, order)
    await page.keyboard.press("Enter")
    await buyer.sees("These units are yours.")
    assert (await service.item(sale))["sold"] == 2
