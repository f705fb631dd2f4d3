"""The pages in German and English, and a purchase without a mouse."""

from playwright.async_api import Page, expect

from tests.web.test_accessible import is_clean


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
