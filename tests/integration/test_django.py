"""`flashguard.contrib.django` in the example shop: hold, pay, confirm after the shop's commit.

The suite runs this on one Django; `make django` on two.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.django_shop import DjangoShop
from tests.support.eventually import eventually
from tests.support.faulty import FaultyLine
from tests.support.service import ADMIN_KEY, Service

PAY = """
from django.db import transaction
from flashguard.contrib.django.shop import confirm_on_commit
from flashguard.contrib.django.models import PaidHold
"""


class Buyer:
    """A browser with a session of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def page(self, path: str) -> str:
        async with self.http.get(f"{self.url}{path}") as answer:
            return await answer.text()

    async def post(self, path: str, page: str, **fields: str) -> tuple[int, str, str]:
        """Send a page's form; the status, the page and the address where it leads."""
        token = re.findall(r'csrfmiddlewaretoken" value="(\w+)"', page)[0]
        data = {"csrfmiddlewaretoken": token, **fields}
        async with self.http.post(f"{self.url}{path}", data=data) as answer:
            return answer.status, await answer.text(), answer.url.path


@asynccontextmanager
async def buyer(url: str) -> AsyncIterator[Buyer]:
    one = Buyer(url)
    try:
        yield one
    finally:
        await one.http.close()


@pytest.fixture
async def line(service: Service) -> AsyncIterator[FaultyLine]:
    async with FaultyLine(service.url).open() as opened:
        yield opened


async def shop_of(line: FaultyLine, folder: Path, sale: str) -> DjangoShop:
    return DjangoShop(folder, FLASHGUARD_URL=line.url, SHOP_KEY=ADMIN_KEY, SHOP_SALE=sale)


async def held_order(one: Buyer) -> tuple[str, str]:
    """Hold one unit; the order's path and its page."""
    front = await one.page("/")
    attempt = re.findall(r'name="attempt" value="([\w-]+)"', front)[0]
    status, page, path = await one.post("/hold", front, attempt=attempt, sku="unit")
    assert (status, "held" in page) == (200, True), page
    again = await one.post("/hold", front, attempt=attempt, sku="unit")
    assert again[2] == path, "a form that is sent twice holds once"
    return path, page


async def test_the_shop_sells_and_its_admin_shows_it(
    service: Service, http: aiohttp.ClientSession, line: FaultyLine, tmp_path: Path
) -> None:
    sale = await service.create_sale(stock=1)
    shop = await shop_of(line, tmp_path, sale)
    async with shop.serving(http) as url, buyer(url) as ada, buyer(url) as bob:
        path, page = await held_order(ada)
        front = await bob.page("/")
        assert (await bob.post("/hold", front, attempt="b", sku="unit"))[:1] == (409,), "sold out for others"
        async with bob.http.get(f"{url}{path}") as answer:
            assert answer.status == 404, "an order is its buyer's"
        status, page, _ = await ada.post(f"{path}/pay", page)
        assert status == 200
        assert "confirmed" in page
        assert (await service.item(sale))["sold"] == 1
        [order] = (await service.admin("GET", f"/v1/sales/{sale}/orders"))["data"]

        password = re.findall(r"as admin with (\S+)", shop.said)[0]
        async with buyer(url) as boss:
            login = await boss.page("/admin/")
            fields = {"username": "admin", "password": password, "next": "/admin/"}
            await boss.post("/admin/login/", login, **fields)
            assert re.search(
                r"A sale of a test.*open.*<td>0</td><td>0</td><td>1</td>",
                await boss.page("/admin/flashguard/listedsale/"),
                re.DOTALL,
            )
            one = await boss.page(f"/admin/flashguard/listedsale/{sale}/change/")
            assert order["id"] in one
            assert "order-1" in one
            assert order["id"] not in await boss.page(
                f"/admin/flashguard/listedsale/{sale}/change/?reference=x"
            )
            assert order["id"] in await boss.page("/admin/flashguard/paidhold/")
            async with boss.http.get(f"{url}/admin/flashguard/listedsale/other/change/") as answer:
                assert answer.status == 404, "only the shop's own sales are read"
        async with bob.http.get(f"{url}/admin/flashguard/listedsale/") as answer:
            assert answer.url.path == "/admin/login/"
    shown = await shop.manage("flashguard_sales", "--compare")
    assert "unit: 0 available, 0 held, 1 sold" in shown.stdout
    assert "no paid hold" not in shown.stdout
    await service.admin("POST", f"/v1/sales/{sale}/items/unit/restock", {"delta": 1, "reason": "more"})
    past = (await service.buy(sale, "eve")).ok(201)
    assert f"no paid hold: {past['id']}" in (await shop.manage("flashguard_sales", "--compare")).stdout
    assert (
        "See KEY of settings.FLASHGUARD"
        in (await shop.manage("flashguard_sales", "--compare", SHOP_KEY="x")).stderr
    )
    assert (await shop.manage("makemigrations", "--check", "--dry-run")).returncode == 0


async def test_a_shop_that_is_killed_between_its_commit_and_the_confirm_loses_no_paid_order(
    service: Service, http: aiohttp.ClientSession, line: FaultyLine, tmp_path: Path
) -> None:
    sale = await service.create_sale(stock=1, hold_seconds=4)
    shop = await shop_of(line, tmp_path, sale)
    async with shop.serving(http) as url, buyer(url) as ada:
        path, page = await held_order(ada)
        line.next_requests_meet("silent")
        paying = asyncio.ensure_future(ada.post(f"{path}/pay", page))

        async def confirming() -> bool:
            return any(asked.endswith("/confirm") for _, asked, _ in line.seen)

        await eventually(confirming, "the shop has committed and asks for the confirm")
        assert shop.child is not None
        shop.child.kill()
        with pytest.raises(aiohttp.ClientError):
            await paying
    assert (await service.item(sale))["sold"] == 0

    async def expired() -> bool:
        return (await service.item(sale))["held"] == 0

    await eventually(expired, "the hold's time is over")
    young = await shop.manage("flashguard_confirm_pending", "--older-than", "3600")
    assert (young.returncode, young.stdout) == (0, ""), "left to the request that paid"
    done = await shop.manage("flashguard_confirm_pending", "--older-than", "0")
    assert done.returncode == 0, done.stderr
    assert "confirmed" in done.stdout
    assert (await service.item(sale))["sold"] == 1
    assert await shop.run("from store.models import Order; print(Order.objects.get().state)") == "confirmed"
    await service.audit(sale)


async def test_what_is_paid_stays_pending_while_flashguard_does_not_answer(
    service: Service, line: FaultyLine, tmp_path: Path
) -> None:
    sale = await service.create_sale(stock=3)
    shop = await shop_of(line, tmp_path, sale)
    assert (await shop.manage("migrate", "-v", "0")).returncode == 0
    held = [(await service.hold(sale, f"buyer-{number}")).ok(201) for number in range(2)]
    one, other = ((each["id"], each["receipt"]) for each in held)

    rolled_back = f"""
try:
    with transaction.atomic():
        confirm_on_commit(*{one!r})
        raise ValueError
except ValueError:
    print(PaidHold.objects.count())
"""
    assert await shop.run(PAY + rolled_back) == "0"
    outside = f"""
try:
    confirm_on_commit(*{one!r})
except transaction.TransactionManagementError as error:
    print(PaidHold.objects.count(), error)
"""
    assert (await shop.run(PAY + outside)).startswith("0 confirm_on_commit must be called in the transaction")
    assert (await service.item(sale))["sold"] == 0

    commit = f"""
with transaction.atomic():
    hold = confirm_on_commit(*{one!r}, reference="order-7")
hold.refresh_from_db()
print(hold.state, hold.code or "-")
"""
    line.next_requests_meet("503-later")
    assert await shop.run(PAY + commit) == "pending NoAnswer"
    line.next_requests_meet("503-later")
    failed = await shop.manage("flashguard_confirm_pending", "--older-than", "0")
    assert failed.returncode == 1
    assert "1 paid holds are still pending" in failed.stderr

    raises = f"""
from flashguard.contrib.django.shop import confirmed
def fails(**_): raise ValueError("the shop's own")
confirmed.connect(fails)
with transaction.atomic():
    hold = confirm_on_commit(*{other!r})
hold.refresh_from_db()
print(hold.state)
"""
    assert await shop.run(PAY + raises) == "pending", "the receiver is called again"
    done = await shop.manage("flashguard_confirm_pending", "--older-than", "0")
    assert done.stdout.count("confirmed") == 2
    assert (await service.item(sale))["sold"] == 2
    twice = "print(hold.state, PaidHold.objects.count())\n"
    assert await shop.run(PAY + commit + twice) == "confirmed -\nconfirmed 2"


async def test_a_paid_hold_whose_unit_is_gone_is_refused_with_what_to_give_back(
    service: Service, line: FaultyLine, tmp_path: Path
) -> None:
    sale = await service.create_sale(stock=1, hold_seconds=1)
    shop = await shop_of(line, tmp_path, sale)
    assert (await shop.manage("migrate", "-v", "0")).returncode == 0
    hold = (await service.hold(sale, "ada")).ok(201)

    async def taken() -> bool:
        return (await service.buy(sale, "bob")).status == 201

    await eventually(taken, "the unit is back and another buyer has it")
    pay = f"""
from flashguard.contrib.django.shop import refused
def tell(hold, **_): print("receiver", hold.code)
refused.connect(tell)
with transaction.atomic():
    paid = confirm_on_commit({hold["id"]!r}, {hold["receipt"]!r})
paid.refresh_from_db()
print(paid.state, paid.code, paid.refund["amounts"])
"""
    said = (await shop.run(PAY + pay)).splitlines()
    assert said[0].startswith("receiver ")
    assert said[1].startswith("refused ")
    assert "{'currency': 'EUR', 'amount_minor': 1999}" in said[1]
    done = await shop.manage("flashguard_confirm_pending", "--older-than", "0")
    assert (done.returncode, done.stdout) == (0, ""), "refused is final"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("None", "settings.FLASHGUARD is missing"),
        ("{'URL': 'localhost', 'SALES': ['a']}", "URL 'localhost' is not an address"),
        ("{'URL': 'http://x'}", "SALES needs 1 to 100"),
        ("{'URL': 'http://x', 'SALES': ['a'], 'KYE': 'k'}", "KYE"),
        ("{'URL': 'http://x', 'SALES': ['a'], 'MOST_SECONDS': 0}", "MOST_SECONDS must be more than 0"),
    ],
)
async def test_a_wrong_setting_is_named_when_django_starts(given: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(f"from store.settings import *\nFLASHGUARD = {given}\n")
    done = await DjangoShop(tmp_path).manage(
        "check", PYTHONPATH=str(tmp_path), DJANGO_SETTINGS_MODULE="wrong"
    )
    assert done.returncode == 1
    assert said in done.stderr
