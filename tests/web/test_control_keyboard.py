"""The control room's sections by keyboard: every action is reached by Tab, in order, and shows that it is."""

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visit
from tests.support.service import Service, unique
from tests.web.test_control_room import admin

MARK = """() => {
  const shown = (e) => e.checkVisibility({visibilityProperty: true}) && !e.disabled && e.tabIndex >= 0;
  const radios = new Set();
  return [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')]
    .filter(shown)
    .filter((e) => e.type !== 'radio' || (!radios.has(e.name) && radios.add(e.name)))
    .map((e, n) => { e.dataset.tabStop = n; return e.outerHTML.slice(0, 120); });
}"""
FOCUSED = """() => {
  const e = document.activeElement, style = getComputedStyle(e);
  const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
  const stop = e.dataset.tabStop ?? null;
  return {stop: stop === null ? null : Number(stop), seen: outlined || style.boxShadow !== 'none'};
}"""


async def tabbed(page: Page, stops: int) -> tuple[list[int], list[int]]:
    """The stops that Tab comes to, and those of them that do not show it."""
    order, unseen = [], []
    for _ in range(2 * stops + 5):  # from wherever the focus is
        await page.keyboard.press("Tab")
        focused = await page.evaluate(FOCUSED)
        if focused["stop"] is None or focused["stop"] in order:
            continue
        order.append(focused["stop"])
        if not focused["seen"]:
            unseen.append(focused["stop"])
    return order, unseen


@pytest.mark.parametrize("section", ["import", "webhooks", "keys", "payments", "log", "health"])
async def test_every_action_of_a_section_is_reached_by_tab_and_shows_it(
    visit: Visit, service: Service, section: str
) -> None:
    await service.admin("POST", "/v1/keys", {"name": unique("key"), "scopes": ["read"]})
    page = (await admin(visit, f"/control/{section}/")).page
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.wait_for_load_state("networkidle")
    stops = await page.evaluate(MARK)
    order, unseen = await tabbed(page, len(stops))
    assert [stops[n] for n in sorted(set(range(len(stops))) - set(order))] == [], "not reached"
    assert [stops[n] for n in unseen] == [], "reached without a sign"
    assert len(stops) > 8


async def test_a_key_is_created_by_keyboard_alone(visit: Visit) -> None:
    visitor = await admin(visit, "/control/keys/")
    page, name = visitor.page, unique("typed")
    await page.get_by_label("Name", exact=True).focus()
    await page.keyboard.type(name)
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.get_by_label("shop sells").evaluate("e => e === document.activeElement"):
            break
    await page.keyboard.press("Space")
    await expect(page.get_by_label("shop sells")).to_be_checked()
    await page.keyboard.press("Enter")
    shown = page.get_by_role("group", name=f"Key of {name}")
    await expect(shown.locator("code")).to_be_visible()
    for _ in range(30):
        if await visitor.button("I stored it").evaluate("e => e === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(shown).to_have_count(0)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('main') !== null"), "the place is not lost"


async def test_the_focus_stays_where_a_question_was_answered(visit: Visit, service: Service) -> None:
    name = unique("asked")
    await service.admin("POST", "/v1/keys", {"name": name, "scopes": ["read"]})
    visitor = await admin(visit, "/control/keys/")
    page, answers = visitor.page, iter(["no", "yes"])
    page.on("dialog", lambda each: each.dismiss() if next(answers) == "no" else each.accept())
    revoke = visitor.button(f"Revoke the key of {name}")
    await revoke.focus()
    await page.keyboard.press("Enter")
    await expect(revoke).to_be_focused()
    await page.keyboard.press("Enter")
    await visitor.sees(f"The key of {name} is revoked.")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.closest('main') !== null"), "the place is not lost"
