"""The API's reference in a browser: ours alone, readable in both colours and on a phone."""

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.browser import Visit


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
async def test_the_reference_shows_every_call_and_asks_nobody_else(
    visit: Visit, colours: str, width: int
) -> None:
    """A visitor complains of each request to another host, and of each script that a policy refuses."""
    visitor = await visit("/docs", color_scheme=colours, viewport={"width": width, "height": 900})
    page = visitor.page
    buy = page.locator(
        "#operations-reservations-buy_v1_sales__sale__orders_post, [data-path='/v1/sales/{sale}/orders']"
    )
    await expect(buy.first).to_be_visible()
    assert await page.locator(".opblock").count() > 50
    await page.locator(".opblock-summary-control").first.click()
    await expect(page.get_by_role("button", name="Try it out").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(28, 32, 34)") == (colours == "dark")
    if folder := os.environ.get("FLASHGUARD_SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"reference-{colours}-{width}.png")
