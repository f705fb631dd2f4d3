"""What is rare among very many rows is listed by an index, and not by reading all of them."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from flashguard.embedded import EmbeddedServers
from flashguard.ledger.sql import query
from tests.support.fresh_ledger import fresh_ledger

Connection = asyncpg.Connection

MANY = 30_000
RARE = 3
MOST_PAGES = 100
FILLED = f"""
INSERT INTO flashguard.webhook_endpoints (id, url, events, secret)
VALUES ('e', 'https://127.0.0.1', '{{x}}', 's');
INSERT INTO flashguard.webhook_deliveries (endpoint, type, sale_id, at, written_at, state)
SELECT 'e', 'x', 's', now(), now(), CASE WHEN n % ({MANY} / {RARE}) = 0 THEN 'failed' ELSE 'delivered' END
FROM generate_series(1, {MANY}) AS n;
INSERT INTO flashguard.webhook_deliveries (endpoint, type, sale_id, at) SELECT 'gone', 'x', 's', now()
FROM generate_series(1, {RARE});
INSERT INTO flashguard.admin_log (id, at, actor, operation, target, outcome, detail)
SELECT n, now(), 'a', 'o', 't', CASE WHEN n % ({MANY} / {RARE}) = 0 THEN 'refused' ELSE 'done' END, '{{}}'
FROM generate_series(1, {MANY}) AS n;
INSERT INTO flashguard.payments (id, sale_id, reservation, provider, state, amount_minor, currency, receipt,
                                 request, paid_minor)
SELECT n, 's', n, 'signed', CASE WHEN n % ({MANY} / {RARE}) = 0 THEN 'refused' ELSE 'order' END, 5, 'EUR', '',
       '{{}}', 5
FROM generate_series(1, {MANY}) AS n;
INSERT INTO flashguard.payment_refunds (payment, number, amount_minor, currency, reason, state)
SELECT n, 1, 5, 'EUR', 'x', CASE WHEN n % ({MANY} / {RARE}) = 0 THEN 'failed' ELSE 'done' END
FROM generate_series(1, {MANY}) AS n
"""
ASKED = {
    "messages that were given up": ("webhook_deliveries_page", ("e", None, "failed", 100)),
    "replays of those": ("replay_deliveries", ("e", None, None, None, "failed", 100)),
    "messages of endpoints that are gone": ("forget_orphans", (100,)),
    "calls that were refused": ("admin_log_page", (None, "", None, None, None, "refused", None, None, 100)),
    "refused payments": ("payments_page", (None, None, "", ["refused"], None, 100)),
    "refused payments of a sale": ("payments_page", (["s"], None, "", ["refused"], None, 100)),
    "refunds that failed": ("payments_page_of_refund", (None, None, "", None, None, 100, "failed")),
}


@pytest.fixture
async def ledger(servers: EmbeddedServers) -> AsyncIterator[Connection]:
    async with fresh_ledger(servers) as (_, connection):
        await connection.execute(FILLED)
        await connection.execute("VACUUM ANALYZE")
        yield connection


async def test_what_is_rare_is_found_without_reading_the_rest(ledger: Connection) -> None:
    pages, found = {}, {}
    for name, (text, args) in ASKED.items():
        undone = ledger.transaction()
        await undone.start()
        plan = json.loads(
            await ledger.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query(text)}", *args)
        )[0]["Plan"]
        await undone.rollback()
        undone = ledger.transaction()
        await undone.start()
        found[name] = await ledger.execute(query(text), *args)
        await undone.rollback()
        pages[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert {name: int(status.split()[-1]) for name, status in found.items()} == dict.fromkeys(ASKED, RARE)
    assert {name: count for name, count in pages.items() if count > MOST_PAGES} == {}
