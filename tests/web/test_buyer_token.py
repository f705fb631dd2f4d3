"""The storefront in production: it buys with the token that the shop's server put into the address."""

import re

from playwright.async_api import expect

from tests.support.browser import Visit
from tests.support.streams import another_api


async def test_a_buyer_with_a_token_in_the_fragment_buys_in_production(visit: Visit, service, http):
    sale = await service.create_sale(stock=3)
    async with another_api(service, http, FLASHGUARD_MODE="production") as production:
        minted = await production.admin("POST", f"/v1/sales/{sale}/buyer-tokens", {"customer": "ann"})
        asked: list[str] = []
        buyer = await visit(f"/sale/?id={sale}", url=production.url)
        buyer.expect_complaints(r"status of 401 ")  # who comes without a token: told so when they buy
        await buyer.button("Buy").click()
        await buyer.sees("A valid key is required")
        buyer.page.on("request", lambda request: asked.append(request.url))
        await buyer.page.goto(f"/sale/?id={sale}#token={minted['token']}")
        await buyer.button("Buy").click()
        await buyer.sees("held for you")
        await expect(buyer.page).to_have_url(re.compile(rf"/sale/\?id={sale}$"))
        await buyer.page.reload()
        await buyer.button("Confirm").click()
        await buyer.sees("yours")
        assert asked
        assert not [url for url in asked if minted["token"] in url]
        assert minted["token"] not in await buyer.page.content()
        await buyer.page.goto("about:blank")  # its event stream shall not miss the service that ends here
    orders = await service.admin("GET", f"/v1/sales/{sale}/orders")
    assert [order["customer"] for order in orders["data"]] == ["ann"]
