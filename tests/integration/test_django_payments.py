"""The example shop in Django with a payment provider of FlashGuard: the stand-in of `flashguard up`."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.test_django import Buyer, buyer, held_order
from tests.support.django_shop import DjangoShop
from tests.support.eventually import eventually
from tests.support.service import Service
from tests.support.visitors import up_for_visitors


@pytest.fixture(scope="module")
async def demo(http: aiohttp.ClientSession) -> AsyncIterator[Service]:
    async with up_for_visitors(http) as service:
        yield service


async def till(one: Buyer, path: str, page: str) -> str:
    """Press *Pay*; the address of the provider's page."""
    token = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page)[0]
    pay = one.http.post(
        f"{one.url}{path}/pay", data={"csrfmiddlewaretoken": token}, allow_redirects=False
    )  # fmt: skip
    async with pay as answer:
        assert answer.status == 302, await answer.text()
        return answer.headers["Location"]


async def choose(one: Buyer, till: str, choice: str) -> str:
    """Choose at the provider's page, and come back; the path that the buyer comes back to."""
    async with one.http.post(till, data={"choice": choice}) as answer:
        assert answer.status == 200
        return answer.url.path


async def sold(shop: DjangoShop, order: str) -> None:
    """Wait until the shop's order is confirmed without its buyer."""

    async def is_noted() -> bool:
        done = await shop.manage("note_paid")
        assert done.returncode == 0, done.stderr
        code = f"from store.models import Order; print(Order.objects.get(pk={order}).state)"
        return await shop.run(code) == "confirmed"

    await eventually(is_noted, lambda: shop.said, 60.0)


async def test_a_hold_is_paid_at_the_provider_and_is_the_shops_order_once(
    demo: Service, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    sale = await demo.create_sale(stock=3, hold_seconds=5)
    shop = DjangoShop(
        tmp_path, FLASHGUARD_URL=demo.url, SHOP_KEY=demo.admin_key, SHOP_SALE=sale, SHOP_PROVIDER="signed"
    )
    async with shop.serving(http) as url, buyer(url) as ada, buyer(url) as bob, buyer(url) as eve:
        path, page = await held_order(ada)
        assert await choose(ada, await till(ada, path, page), "decline") == path
        assert "held" in await ada.page(path), "a declined payment leaves the hold"
        assert await choose(ada, await till(ada, path, page), "pay") == path
        await eventually(lambda: shows(ada, path, "confirmed"), lambda: shop.said)

        away, page = await held_order(bob)
        async with bob.http.post(await till(bob, away, page), data={"choice": "pay"}, allow_redirects=False):
            await sold(shop, away.rpartition("/")[2])

        late, page = await held_order(eve)
        assert await choose(eve, await till(eve, late, page), "late") == late
        assert "held" in await eve.page(late), "the money is not here yet"
        await sold(shop, late.rpartition("/")[2])
    orders = (await demo.admin("GET", f"/v1/sales/{sale}/orders"))["data"]
    assert [order["payment"]["status"] for order in orders] == ["order"] * 3
    assert (await demo.item(sale))["sold"] == 3
    assert "no paid hold" not in (await shop.manage("flashguard_sales", "--compare")).stdout
    counted = "from flashguard.contrib.django.models import PaidHold; print(PaidHold.objects.count())"
    assert await shop.run(counted) == "3"


async def shows(one: Buyer, path: str, text: str) -> bool:
    return text in await one.page(path)
