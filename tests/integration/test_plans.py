"""How the ledger runs the statements of the recorders, in a database that was never analyzed."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger
from flashguard.ledger.sql import query
from tests.support.service import unique

HOLDS = 5_000


@pytest.fixture
async def ledger(servers: EmbeddedServers) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A fresh ledger in which a sale has many live holds; no autovacuum analyzes it."""
    name = unique("plans").replace("-", "_")
    owner = await asyncpg.connect(servers.database_url)
    await owner.execute(f"CREATE DATABASE {name}")
    url = servers.database_url.replace("/flashguard?", f"/{name}?")
    migrating = await Ledger.connect(url)
    await migrating.migrate(1)
    await migrating.close()
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER TABLE flashguard.reservations SET (autovacuum_enabled = false)")
    await connection.execute(
        "INSERT INTO flashguard.sales (id, name, partition, hold_seconds, max_hold_seconds) "
        "VALUES ('rush', 'Rush', 0, 60, 60)"
    )
    await connection.execute(
        "INSERT INTO flashguard.reservations "
        "(sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at) "
        "SELECT 'rush', lpad(n::text, 24, '0'), 'c', 'held', '[]', n, now(), 60000, now() + interval '1 min' "
        "FROM generate_series(1, $1) AS n",
        HOLDS,
    )
    yield connection
    await connection.close()
    await owner.execute(f"DROP DATABASE {name}")
    await owner.close()


async def test_a_hold_that_ends_is_found_without_reading_the_others_of_its_sale(
    ledger: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    changed = [
        {"sale": "rush", "id": f"{n:024}", "status": "released", "ended_ms": 1_800_000_000_000}
        for n in range(1, 9)
    ]
    await ledger.fetchrow(query("record_group"), 0, 0, 0, "", 1, "t", "[]", json.dumps(changed), "[]")
    await ledger.execute("SELECT pg_stat_force_next_flush()")
    read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = $1"
    assert await ledger.fetchval(read, "reservations_held") == 0
    assert await ledger.fetchval(read, "reservations_pkey") == len(changed)


async def test_telling_of_a_group_is_planned_once_for_all_groups(
    ledger: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    """What it costs more is planning: see migration 0021."""
    settings = "SELECT proconfig FROM pg_proc WHERE oid = 'flashguard.write_events'::regproc"
    assert "plan_cache_mode=force_generic_plan" in await ledger.fetchval(settings)


@pytest.mark.parametrize("are_asked", [False, True])
@pytest.mark.parametrize("page", ["orders_page", "newest_orders_page"])
async def test_payments_of_a_page_of_orders_are_read_by_their_index_and_only_where_they_are_asked_for(
    ledger: "asyncpg.Connection[asyncpg.Record]", page: str, are_asked: bool
) -> None:
    await ledger.execute(
        "UPDATE flashguard.reservations SET status = 'confirmed', confirmed_at = now();"
        "INSERT INTO flashguard.payments "
        "(id, sale_id, reservation, provider, amount_minor, currency, receipt, request) SELECT "
        " 'pay_' || id, 'rush', id, 'signed', 5, 'EUR', '', '{}' FROM flashguard.reservations"
    )
    limit = 100
    nothing = [None] * 5
    await ledger.execute("SET track_functions = 'all'")
    rows = await ledger.fetch(query(page), ["rush"], None, "", limit, *nothing, are_asked)
    assert [row["payment"] is not None for row in rows] == [are_asked] * limit
    await ledger.execute("SELECT pg_stat_force_next_flush()")
    called = "SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname = 'payment_of'"
    read = "SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'payments'"
    assert await ledger.fetchval(called) == (limit if are_asked else 0)
    assert await ledger.fetchval(read) == (limit if are_asked else 0)


ASKED_AGAIN_AND_AGAIN = {
    "sales_in_memory": (0, 86_400.0),
    "sales_in_rooms": (),
    "doors_to_open": (None, 100),
    "shards_that_differ": (None, 100),
    "items_on_sale": (100,),
    "units_out": (),
    "doctor_durabilities": (),
    "sales_page": (None, "", 10, True),
}
"""What recorders, metrics and the list of sales ask, with their arguments."""


async def buffers(ledger: "asyncpg.Connection[asyncpg.Record]", name: str, *args: object) -> int:
    """How many pages a statement reads, or finds in memory."""
    plan = await ledger.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query(name)}", *args)
    root = json.loads(plan)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


async def test_what_is_asked_again_and_again_reads_no_sale_that_ended(
    ledger: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await ledger.execute("UPDATE flashguard.sales SET status = 'open'")
    await ledger.execute("ANALYZE flashguard.sales, flashguard.items, flashguard.reservations")
    before = {name: await buffers(ledger, name, *args) for name, args in ASKED_AGAIN_AND_AGAIN.items()}
    await ledger.execute(
        "INSERT INTO flashguard.sales (id, name, partition, status, hold_seconds, max_hold_seconds, "
        "created_at, closed_at, rules) SELECT 'old-' || n, 'Old', 0, 'closed', 60, 60, at, at, "
        """CASE n % 10 WHEN 0 THEN '{"room": {"of": "rush"}}'::jsonb ELSE '{}' END """
        "FROM generate_series(1, 5000) AS n CROSS JOIN LATERAL (SELECT now() - n * interval '1 hour' "
        "- interval '3 days' AS at) AS t"
    )
    await ledger.execute(
        "INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock) "
        "SELECT id, 'unit', 1, 'Unit', 1, 'EUR', 5 FROM flashguard.sales WHERE status = 'closed'"
    )
    await ledger.execute("VACUUM ANALYZE flashguard.sales")
    await ledger.execute("VACUUM ANALYZE flashguard.items")
    after = {name: await buffers(ledger, name, *args) for name, args in ASKED_AGAIN_AND_AGAIN.items()}
    more = {name: (before[name], count) for name, count in after.items() if count > before[name] + 20}
    assert not more, "pages before, and with 5,000 ended sales"


async def test_orders_of_one_customer_are_found_without_reading_those_of_others(
    ledger: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await ledger.execute(
        "UPDATE flashguard.reservations SET status = 'confirmed', confirmed_at = now(), customer = 'c' || id"
    )
    await ledger.execute("VACUUM ANALYZE flashguard.reservations")
    customer = "c" + "7".zfill(24)
    args = (["rush"], None, "", 100, customer, None, None, None, None, False)
    assert len(await ledger.fetch(query("orders_page"), *args)) == 1
    assert await buffers(ledger, "orders_page", *args) < 20
