"""Every page, in both themes, on a desk and on a phone: axe-core finds no violation, nothing is cut off."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import Service, unique

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
SIZES = ({"width": 1440, "height": 900}, {"width": 390, "height": 844})


async def violations(page: Page) -> list[str]:
    """What axe-core finds, as one line each."""
    if not await page.evaluate("typeof axe === 'object'"):
        await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert found["passes"], "axe-core looked at nothing"
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


async def is_clean(visitor: Visitor) -> None:
    """The page as it is now has no violation in any theme and size, and nothing to scroll sideways for."""
    page = visitor.page
    for size in SIZES:
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            where = f"{page.url}, {theme}, {size['width']} px"
            found = await violations(page)
            assert not found, f"{where}: {json.dumps(found, indent=1)}"
            overflow = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert overflow <= 0, f"{where}: {overflow} px too wide"


async def with_key(visit: Visit, service: Service, path: str) -> Visitor:
    visitor = await visit("/control/")
    await visitor.page.get_by_label("Admin key").fill(service.admin_key)
    await visitor.button("Use this key").click()
    await expect(visitor.button("Forget the admin key")).to_be_visible()
    await visitor.page.goto(path)
    return visitor


@pytest.mark.parametrize(
    "path", ["/", "/simulator/", "/sale/", "/control/", "/script/", "/order/", "/sale/?id=there-is-none"]
)
async def test_a_page_has_no_violation(visit, service, path):
    await service.create_sale()
    visitor = await visit(path)
    visitor.expect_complaints("status of 404 ")
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    await visitor.page.wait_for_load_state("load")
    await is_clean(visitor)


async def test_the_page_for_what_is_not_there_has_no_violation(visit):
    visitor = await visit(f"/{unique('nothing')}/")
    visitor.expect_complaints("status of 404 ")
    await visitor.sees("404")
    await is_clean(visitor)


async def test_a_storefront_has_no_violation_in_any_of_a_buyers_states(visit, service):
    sale = await service.create_sale(stock=1, limit=1)
    buyer = await visit(f"/sale/?id={sale}")
    await expect(buyer.button("Buy")).to_be_enabled()
    await is_clean(buyer)
    other = await visit(f"/sale/?id={sale}")
    await buyer.button("Buy").click()
    await buyer.sees("held for you")
    await is_clean(buyer)
    await expect(other.button("Sold out")).to_be_disabled()
    await is_clean(other)
    await buyer.button("Confirm").click()
    await buyer.sees("yours")
    await is_clean(buyer)
    await buyer.page.locator("a", has=buyer.page.locator("code")).click()
    await buyer.sees("These units are yours.")
    await is_clean(buyer)


async def test_a_control_room_at_work_has_no_violation(visit, service):
    sale = await service.create_sale(stock=5)
    order = (await service.buy(sale, "ann", 2)).ok(201)["id"]
    visitor = await with_key(visit, service, f"/control/?id={sale}")
    await visitor.sees(order)
    await visitor.button("Audit").click()
    await visitor.sees("no difference")
    await is_clean(visitor)


async def test_axe_finds_a_colour_too_pale_to_read(visit):
    visitor = await visit("/sale/")
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()
    assert await violations(visitor.page) == []
    await visitor.page.evaluate("document.querySelector('h1').style.color = '#bbb'")
    [found] = await violations(visitor.page)
    assert found.startswith("color-contrast: <h1")


@pytest.mark.parametrize("theme", THEMES)
async def test_a_chosen_theme_wins_over_the_systems_and_survives_a_reload(visit, theme):
    visitor = await visit("/", color_scheme=next(other for other in THEMES if other != theme))
    background = "getComputedStyle(document.body).backgroundColor"
    systems = await visitor.page.evaluate(background)
    await visitor.page.get_by_label("Theme").select_option(theme)
    chosen = await visitor.page.evaluate(background)
    assert chosen != systems
    await visitor.page.reload()
    assert await visitor.page.evaluate(background) == chosen
    await expect(visitor.page.get_by_label("Theme")).to_have_value(theme)
