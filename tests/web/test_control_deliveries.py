"""The control room's webhooks and payments, with a deliverer, a receiver and a payment provider."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import expect

from tests.integration.test_payments import Till
from tests.support.browser import Visit, Visitor
from tests.support.eventually import eventually
from tests.support.real_stack import Stack, started
from tests.support.receiver import Receiver, listening
from tests.support.service import ADMIN_KEY
from tests.support.stand_in import StandIn, standing_in
from tests.web.test_accessible import is_clean
from tests.web.test_foreign_text import lays_out


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[StandIn]:
    async with standing_in() as it:
        yield it


@pytest.fixture(scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with listening() as it:
        yield it


@pytest.fixture(scope="module")
async def whole(http: aiohttp.ClientSession, provider: StandIn) -> AsyncIterator[Stack]:
    quick = {"FLASHGUARD_WEBHOOK_PRIVATE_ADDRESSES": "true", "FLASHGUARD_WEBHOOK_RETRY_SECONDS_FIRST": "0.2"}
    async with started(http, **provider.settings(), **quick) as it:
        it.start("deliverer")
        yield it


async def at_work(visit: Visit, whole: Stack, path: str) -> Visitor:
    visitor = await visit(f"{path}#key={ADMIN_KEY}", url=whole.service.url)
    await expect(visitor.button("Forget the admin key")).to_be_visible()
    return visitor


async def test_an_endpoint_is_created_tested_changed_replayed_and_deleted(
    visit: Visit, whole: Stack, receiver: Receiver
):
    visitor = await at_work(visit, whole, "/control/webhooks/")
    page = visitor.page
    visitor.expect_complaints("status of 4(22|04) ")
    create = page.locator("section").filter(has=visitor.button("Create endpoint"))
    await create.get_by_label("Address").fill("ftp://shop.example/")
    await visitor.button("Create endpoint").click()
    await expect(create.get_by_role("alert")).to_contain_text("Refused. ")
    await create.get_by_label("Address").fill(receiver.url())
    await create.get_by_label("sale.closed").uncheck()
    await visitor.button("Create endpoint").click()
    secret = create.get_by_role("group", name="Signing secret")
    receiver.secrets["/hook"] = await secret.locator("code").inner_text()
    await is_clean(visitor)
    await visitor.button("I stored it").click()
    assert receiver.secrets["/hook"] not in await page.content()
    [endpoint] = (await whole.service.admin("GET", "/v1/webhooks"))["data"]
    assert len(endpoint["events"]) == 12
    await create.get_by_role("link", name=endpoint["id"]).click()

    await visitor.sees("No delivery yet")
    await visitor.button("Send a test event").click()
    await visitor.sees("The test event is on its way")
    rows = page.get_by_role("region", name="Deliveries").locator("tbody tr")
    await expect(rows.filter(has_text="webhook.test")).to_contain_text("delivered")
    await eventually(lambda: _arrived(receiver, "webhook.test", 1), "the test event arrives")
    await rows.get_by_role("button", name="Deliver again").click()
    await visitor.sees("1 message is delivered again.")
    await eventually(lambda: _arrived(receiver, "webhook.test", 2), "it arrives again")
    states = page.get_by_role("group", name="State")
    await states.get_by_role("button", name="failed").click()
    await visitor.sees("Nothing matches")
    await states.get_by_role("button", name="all").click()
    await is_clean(visitor)
    await lays_out(page)

    page.on("dialog", lambda dialog: dialog.accept())
    one = page.locator("section").filter(has=visitor.button("Save changes"))
    await one.get_by_label("Note").fill("the shop’s ERP")
    await one.get_by_label("sale.closed").check()
    await visitor.button("Save changes").click()
    await visitor.sees("The endpoint is changed.")
    path = f"/v1/webhooks/{endpoint['id']}"
    now = await whole.service.admin("GET", path)
    assert (now["description"], len(now["events"])) == ("the shop’s ERP", 13)
    await visitor.button("Rotate the secret").click()
    shown = await one.get_by_role("group", name="Signing secret").locator("code").inner_text()
    assert shown != receiver.secrets["/hook"]
    await visitor.sees("The old secret signs until")
    await visitor.button("Turn off").click()
    await visitor.sees("Messages wait for it.")
    assert not (await whole.service.admin("GET", path))["enabled"]
    await visitor.button("Turn on").click()
    await visitor.sees("The endpoint is on.")
    replay = page.get_by_role("form", name="Deliver again")
    await replay.get_by_label("Which messages").select_option("delivered")
    await replay.get_by_role("button").click()
    await visitor.sees("1 message is delivered again.")
    await visitor.button("Delete").click()
    await expect(page).to_have_url(f"{whole.service.url}/control/webhooks/")
    await visitor.sees("No endpoint yet")
    (await whole.service.call("GET", path, admin=True)).problem(404, "unknown-webhook")
    await page.goto(f"/control/webhooks/?id={endpoint['id']}")
    await visitor.sees("There is no such endpoint")


async def _arrived(receiver: Receiver, kind: str, times: int) -> bool:
    return sum(message.type == kind for message in receiver.received) >= times


async def test_deliveries_are_read_page_by_page_and_a_failure_says_why(
    visit: Visit, whole: Stack, receiver: Receiver
):
    receiver.always["/broken"] = "500"
    body = {"url": receiver.url("/broken"), "events": ["order.confirmed"]}
    endpoint = await whole.service.admin("POST", "/v1/webhooks", body)
    receiver.secrets["/broken"] = endpoint["secret"]
    sale = await whole.service.create_sale(stock=50)
    for number in range(23):
        (await whole.service.buy(sale, f"buyer-{number}")).ok(201)
    visitor = await at_work(visit, whole, f"/control/webhooks/?id={endpoint['id']}")
    rows = visitor.page.get_by_role("region", name="Deliveries").locator("tbody tr")
    await expect(rows).to_have_count(20)
    await expect(rows.filter(has_text="HTTP 500").first).to_be_visible()
    await visitor.sees("No delivery has succeeded since")
    await visitor.button("Older").click()
    await expect(rows).to_have_count(23)
    await expect(visitor.button("Older")).to_have_count(0)
    receiver.always.clear()
    await whole.service.call("DELETE", f"/v1/webhooks/{endpoint['id']}", admin=True)


async def test_a_refund_that_failed_is_first_in_the_list_and_is_retried(
    visit: Visit, whole: Stack, provider: StandIn, http: aiohttp.ClientSession
):
    visitor = await at_work(visit, whole, "/control/payments/")
    page = visitor.page
    await visitor.sees("No refund failed")
    till = Till(whole, provider, http)
    sale = await whole.service.create_sale()
    paid, good = await till.held_and_begun(sale)
    assert await till.send(provider.pay(good))
    await till.until(paid, "order")
    hold, payment = await till.held_and_begun(sale, 2)
    provider.plan["refunds"] = ["failed", "failed"]
    assert await till.send(provider.pay(payment, 5))
    await till.until(hold, "refused", "failed")

    rows = page.get_by_role("region", name="Payments").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("a refund failed")
    await rows.get_by_role("link").click()
    await visitor.sees("Ask for the refunds again")
    await is_clean(visitor)
    await lays_out(page)
    asked: list[str] = []

    async def answer(dialog) -> None:
        asked.append(dialog.message)
        await (dialog.accept() if len(asked) > 1 else dialog.dismiss())

    page.on("dialog", answer)
    refunds = page.get_by_role("region", name="Refunds").locator("tbody tr")
    await expect(refunds).to_have_count(1)
    await visitor.button("Ask for the refunds again").click()  # a no
    await expect(refunds).to_have_count(1)
    for count in (2, 3):  # the first retry fails as well
        await visitor.button("Ask for the refunds again").click()
        await expect(refunds).to_have_count(count)
    await expect(refunds.last).to_contain_text("done")
    await expect(visitor.button("Ask for the refunds again")).to_have_count(0)
    await visitor.sees("No refund failed")
    assert provider.kept(payment) == 0
    await page.get_by_role("group", name="Refunds").get_by_role("button", name="all").click()
    await expect(rows).to_have_count(2)
    await page.get_by_role("searchbox").fill(paid)
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("ordered")
    await page.goto("/control/payments/?id=pay_none")
    visitor.expect_complaints("status of 404 ")
    await visitor.sees("There is no such payment")
