"""The webhooks' log and the feed of facts keep so many rows at most, whoever does not read."""

from collections.abc import AsyncIterator

import aiohttp
import asyncpg
import pytest

from flashguard.ledger import Ledger
from flashguard.ledger.facts import FactBook
from flashguard.ledger.webhooks import WebhookBook
from flashguard.settings import Settings
from flashguard.webhooks.deliverer import Deliverer
from tests.support.eventually import eventually
from tests.support.ports import free_port
from tests.support.real_stack import Stack, started

KEPT = 12
BOUGHT = 30


@pytest.fixture(scope="module")
async def stack(http: aiohttp.ClientSession) -> AsyncIterator[Stack]:
    async with started(http, FLASHGUARD_WEBHOOK_PRIVATE_ADDRESSES="true") as it:
        yield it


async def test_log_and_feed_keep_the_newest_rows_and_say_what_is_lost(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    service = stack.service
    for path in ("away", "also-away"):
        url = f"http://127.0.0.1:{free_port()}/{path}"  # nothing listens there: every message waits
        (await service.call("POST", "/v1/webhooks", {"url": url}, admin=True)).ok(201)
    begun = (await service.call("GET", "/v1/facts", admin=True)).ok()["next_cursor"]
    sale = await service.create_sale(stock=1000)
    for number in range(BOUGHT):
        (await service.buy(sale, f"ann-{number}")).ok(201)
    await stack.recorded(sale)
    ledger = await Ledger.connect(stack.servers.database_url, connections=2)
    connection = await asyncpg.connect(stack.servers.database_url)
    try:
        before = {name: await ids(connection, name) for name in ("webhook_deliveries", "facts")}
        assert len(before["webhook_deliveries"]) > 2 * BOUGHT, before
        assert len(before["facts"]) > BOUGHT, before

        # Some rows at a time, the oldest of an endpoint first.
        webhooks, facts = WebhookBook(ledger), FactBook(ledger)
        assert await webhooks.forget_deliveries_beyond(KEPT, 5) == (5, 5)
        assert await facts.forget_beyond(KEPT, 5) == 5

        settings = Settings(webhook_log_messages=KEPT, facts_kept=KEPT)
        await Deliverer(ledger, settings)._forget()
        for name, earlier in before.items():
            assert await ids(connection, name) == earlier[-KEPT:]
        assert f"{len(before['webhook_deliveries']) - 5 - KEPT} webhook messages are deleted" in caplog.text
        assert await webhooks.forget_deliveries_beyond(KEPT, 5) == (0, 0)
        assert await facts.forget_beyond(KEPT, 5) == 0
    finally:
        await connection.close()
        await ledger.close()

    late = await service.call("GET", f"/v1/facts?after={begun}&wait=1", admin=True)
    assert "too old" in late.problem(410, "cursor-expired")["detail"]


async def test_a_deliverer_that_starts_shortens_the_log(stack: Stack) -> None:
    stack.start("deliverer", FLASHGUARD_WEBHOOK_LOG_MESSAGES="3", FLASHGUARD_FACTS_KEPT="2")
    connection = await asyncpg.connect(stack.servers.database_url)

    async def short() -> bool:
        log, facts = [await ids(connection, name) for name in ("webhook_deliveries", "facts")]
        return len(log) <= 3 and len(facts) <= 2

    try:
        await eventually(short, "both have their bound")
    finally:
        await connection.close()


async def ids(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> list[int]:
    return [row["id"] for row in await connection.fetch(f"SELECT id FROM flashguard.{table} ORDER BY id")]
