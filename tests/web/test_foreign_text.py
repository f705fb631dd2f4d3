"""Nothing that comes from outside is markup, turns the page's direction or breaks its layout."""

import json
import re
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import Visit, Visitor
from tests.support.service import Service
from tests.web.test_accessible import SIZES, with_key
from tests.web.test_room_page import ROOM

NAMES = {
    "html": """<img src=x onerror="window.ran=1"><b>&lt;bold&gt;</b>'""",
    "brackets": "Tee [limited] {x} %s [/x] \\n ${1}",
    "long": "W" * 128,
    "words": "very " * 24 + "long",
    "right to left": "מגפיים אדומות (3) 12 %",
    "mixed": "Boot שלום 100%",
}
CUSTOMERS = {"html": "<u>ann</u>", "brackets": "[/x]", "long": "W" * 128, "right to left": "אסתר"}
TURNED = "\u202egnp.exe\u0000\u2066"
"""What no name may be, and an address may hold all the same."""


async def lays_out(page: Page) -> None:
    """No width makes the page scroll sideways, or a panel spill what it holds."""
    for size in SIZES:
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        too_wide = await page.evaluate(
            """[document.documentElement.scrollWidth - innerWidth, ...[...document.querySelectorAll('.panel')]
            .map((it) => it.scrollWidth - it.clientWidth)]"""
        )
        assert max(too_wide) <= 1, (page.url, size, too_wide)
    assert await page.evaluate("window.ran") is None


async def shows(visitor: Visitor, text: str) -> None:
    """Every character of it is there to read, in a direction of its own."""
    main = visitor.page.get_by_role("main")
    found = main.locator("bdi").filter(has_text=re.compile(f"^{re.escape(text)}$")).first
    await expect(found).to_be_visible()
    assert await found.evaluate("it => getComputedStyle(it).unicodeBidi") == "isolate"
    assert await found.evaluate("it => it.textContent") == text


@pytest.mark.parametrize("kind", NAMES)
async def test_names_are_text_on_every_page(visit: Visit, service: Service, kind):
    name = NAMES[kind].strip()
    sku = name.replace("/", "|")
    item = {"sku": sku, "name": name, "price_minor": 10**9, "currency": "EUR", "stock": 9}
    sale = await service.create_sale(name=name, items=[item], waiting_room=ROOM | {"max_active": 100})
    customer = CUSTOMERS.get(kind, "ann")
    body = {"customer": customer, "items": [{"sku": sku, "quantity": 1}]}
    plain = await service.create_sale(name=name, items=[item])
    order = (await service.call("POST", f"/v1/sales/{plain}/orders", body)).ok(201)["id"]
    cancelled = (await service.call("POST", f"/v1/sales/{plain}/orders", body)).ok(201)["id"]
    cancel = {"restock": True, "reason": name}
    await service.admin("POST", f"/v1/orders/{cancelled}/cancel", cancel)

    for path in ("/sale/", f"/sale/?id={sale}", f"/sale/?id={plain}"):
        buyer = await visit(path)
        await shows(buyer, name)
        await lays_out(buyer.page)
    visitor = await with_key(visit, service, f"/control/?id={plain}")
    await shows(visitor, name)
    await shows(visitor, customer)
    await visitor.sees(order)
    await visitor.button("Audit").click()
    await visitor.sees("Audited: no difference.")
    await visitor.page.get_by_label("by", exact=False).first.fill("5")
    await visitor.button("Restock").click()
    await visitor.sees("its stock is 14")
    await lays_out(visitor.page)


@pytest.mark.parametrize("path", ["/sale/", "/control/"])
async def test_an_address_is_text_on_its_page(visit: Visit, service: Service, path):
    for odd in (NAMES["html"], TURNED, "W" * 300, "a/../b?c#d"):
        where = f"{path}?id={quote(odd, safe='')}"
        visitor = await (with_key(visit, service, where) if "control" in path else visit(where))
        visitor.expect_complaints("status of 4(04|22) ")
        await visitor.sees("There is no such sale")
        shown = odd.replace("\u202e", "⟨U+202E⟩").replace("\u0000", "⟨U+0000⟩").replace("\u2066", "⟨U+2066⟩")
        await shows(visitor, shown)
        await lays_out(visitor.page)
        text = json.dumps(await visitor.page.get_by_role("main").inner_text(), ensure_ascii=False)
        assert not set("\u202e\u2066\u0000") & set(text)
