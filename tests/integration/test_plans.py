"""How the ledger runs the statements of the recorders, in a database that was never analyzed."""

import json
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from flashguard.embedded import EmbeddedServers
from flashguard.ledger import Ledger, OrderFilter, ReservationFilter
from flashguard.ledger.admin_log import new_action
from flashguard.ledger.pruning import PruneBook
from flashguard.ledger.sql import query
from flashguard.model import Reservation, ReservationStatus, SaleId
from tests.support.fresh_ledger import fresh_ledger

HOLDS = 5_000
ENDED = 100_000
PAGE = 100


@pytest.fixture
async def ledger(servers: EmbeddedServers) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A fresh ledger in which a sale has many live holds; no autovacuum analyzes it."""
    async with fresh_ledger(servers) as (_, connection):
        await connection.execute("ALTER TABLE flashguard.reservations SET (autovacuum_enabled = false)")
        await connection.execute(
            "INSERT INTO flashguard.sales (id, name, partition, hold_seconds, max_hold_seconds) "
            "VALUES ('rush', 'Rush', 0, 60, 60)"
        )
        await connection.execute(
            "INSERT INTO flashguard.reservations "
            "(sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at) "
            "SELECT 'rush', lpad(n::text, 24, '0'), 'c', 'held', '[]', n, now(), 60000, "
            "now() + interval '1 min' FROM generate_series(1, $1) AS n",
            HOLDS,
        )
        yield connection


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


ENDED_ROWS = """
INSERT INTO flashguard.reservations
       (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms, expires_at, confirmed_at,
        ended_at)
SELECT 'rush', substr(md5(n::text), 1, 24), CASE WHEN n % 3 = 0 THEN 'till' ELSE 'buyer-' || n / 10 END,
       status, '["unit", 1]', n, now(), 60000, now(),
       CASE WHEN status IN ('confirmed', 'cancelled') THEN now() END, now()
FROM generate_series(1, $1::bigint) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n % 25000 = 7 THEN 'cancelled' WHEN n % 5 = 0 THEN 'confirmed'
                                WHEN n % 5 = 1 THEN 'released' ELSE 'expired' END AS status) AS s
"""
"""A third of them is one customer's; four are cancelled."""
FILTERS = {
    "a customer's": ReservationFilter(customer="buyer-777"),
    "a customer's expired ones": ReservationFilter(customer="buyer-777", status=ReservationStatus.EXPIRED),
    "an unknown customer's": ReservationFilter(customer="buyer-unknown"),
    "a rare status": ReservationFilter(status=ReservationStatus.CANCELLED),
    "a common status": ReservationFilter(status=ReservationStatus.EXPIRED),
    "a customer's with very many": ReservationFilter(customer="till"),
}
MOST_PAGES = {"a rare status": 500, "a common status": 6_000, "a customer's with very many": 15_000}
"""8 KiB each; of the others, 300: those of 5,000 live holds. The next by its id is on another page."""


READ = (
    "SELECT sum(heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint "
    "FROM pg_statio_user_tables WHERE relname = 'reservations'"
)


class Pages:
    """A ledger of one connection that counts the pages of reservations which it reads."""

    def __init__(self, book: Ledger, watching: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.book = book
        self._watching = watching

    async def read_by(self, asked: Awaitable[list[Reservation]]) -> tuple[list[str], int]:
        """The ids that a page has, and how many pages were read for it."""
        await self._watching.execute("SELECT pg_stat_force_next_flush()")
        before = await self._watching.fetchval(READ)
        ids = [str(row.id) for row in await asked]
        async with self.book.connection() as connection:
            await connection.execute("SELECT pg_stat_force_next_flush()")
        return ids, await self._watching.fetchval(READ) - before


@pytest.fixture
async def pages(
    servers: EmbeddedServers, ledger: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[Pages]:
    """A sale with very many reservations that ended."""
    await ledger.execute(ENDED_ROWS, ENDED)
    await ledger.execute("VACUUM ANALYZE flashguard.reservations")
    database = await ledger.fetchval("SELECT current_database()")
    book = await Ledger.connect(servers.database_url.replace("/flashguard?", f"/{database}?"), connections=1)
    yield Pages(book, ledger)
    await book.close()


async def test_reservations_of_few_are_listed_without_reading_those_of_others(
    ledger: "asyncpg.Connection[asyncpg.Record]", pages: Pages
) -> None:
    """A page of them, and each in the order of its id."""
    now = await ledger.fetchval("SELECT now()")
    rows = await ledger.fetch(
        "SELECT id, customer, CASE WHEN status = 'held' AND expires_at <= $1 THEN 'expired' ELSE status END "
        "AS status FROM flashguard.reservations ORDER BY id", now,
    )  # fmt: skip
    read = {}
    for name, which in FILTERS.items():
        wanted = [
            f"rush.{row['id']}" for row in rows
            if which.customer in (None, row["customer"]) and which.status in (None, row["status"])
        ]  # fmt: skip
        listed: list[str] = []
        for number in range(2):
            after = (now, listed[-1]) if listed else None
            page, read[name, number] = await pages.read_by(
                pages.book.reservations.page([SaleId("rush")], after, PAGE, which, now)
            )
            listed += page
            if len(page) < PAGE:
                break
        assert listed == wanted[: len(listed)], name
        assert len(listed) == min(len(wanted), 2 * PAGE), name
    too_many = {of: count for of, count in read.items() if count > MOST_PAGES.get(of[0], 300)}
    assert not too_many


async def test_the_few_orders_that_were_cancelled_are_listed_without_reading_the_others(
    ledger: "asyncpg.Connection[asyncpg.Record]", pages: Pages
) -> None:
    """Also where those of another sale are many: the planner knows only how many there are in all."""
    await ledger.execute(
        "INSERT INTO flashguard.reservations (sale_id, id, customer, status, lines, fingerprint, created_at, "
        "hold_ms, confirmed_at, ended_at) SELECT 'other', id, customer, 'cancelled', lines, fingerprint, "
        "created_at, 0, now(), now() FROM flashguard.reservations WHERE status = 'expired'"
    )
    await ledger.execute("VACUUM ANALYZE flashguard.reservations")
    wanted = await ledger.fetch(
        "SELECT confirmed_at, id FROM flashguard.reservations WHERE sale_id = 'rush' AND status = 'cancelled'"
    )
    for newest in (False, True):
        listed: list[str] = []
        after = None
        for _ in wanted:
            which = OrderFilter(status="cancelled", newest=newest)
            page, read = await pages.read_by(
                pages.book.reservations.orders([SaleId("rush")], after, 1, which)
            )
            assert read < 100
            listed += page
            after = next((row["confirmed_at"], page[0]) for row in wanted if page == [f"rush.{row['id']}"])
        assert listed == [f"rush.{row['id']}" for row in sorted(wanted, reverse=newest)]


async def test_the_first_reference_ever_is_found_by_its_index(
    ledger: "asyncpg.Connection[asyncpg.Record]", pages: Pages
) -> None:
    """The planner has no statistics of references yet."""
    order = await ledger.fetchval(
        'UPDATE flashguard.reservations SET details = \'{"reference": "cart-1"}\' WHERE id = '
        "(SELECT id FROM flashguard.reservations WHERE status = 'confirmed' LIMIT 1) RETURNING id"
    )
    now, sales = await ledger.fetchval("SELECT now()"), [SaleId("rush")]
    which = ReservationFilter(reference="cart-1")
    asks = [pages.book.reservations.page(sales, None, 1, which, now)] + [
        pages.book.reservations.orders(sales, None, 1, OrderFilter(reference="cart-1", newest=newest))
        for newest in (False, True)
    ]
    for asked in asks:
        page, read = await pages.read_by(asked)
        assert page == [f"rush.{order}"]
        assert read < 20


CLOSED_LONG_AGO = "UPDATE flashguard.sales SET status = 'closed', closed_at = now() - interval '60 days'"


async def removed(ledger: "asyncpg.Connection[asyncpg.Record]", pages: Pages) -> PruneBook:
    """The sale is removed for every reader; its rows are left."""
    await ledger.execute("UPDATE flashguard.reservations SET status = 'expired' WHERE status = 'held'")
    await ledger.execute(CLOSED_LONG_AGO)
    book, before = PruneBook(pages.book), datetime.now(UTC) - timedelta(days=30)
    assert await book.remove(SaleId("rush"), before, new_action("cli:test", "flashguard prune")) is None
    return book


INDEXES_READ = (
    "SELECT sum(idx_blks_read + idx_blks_hit)::bigint FROM pg_statio_user_tables "
    "WHERE relname = 'reservations'"
)


async def test_a_large_sale_is_pruned_page_by_page_in_batches(
    ledger: "asyncpg.Connection[asyncpg.Record]", pages: Pages
) -> None:
    """By the index each row would be on another page: a sale of millions would be read, written and logged
    many times over. Another sale's rows on the same pages stay."""
    await ledger.execute("UPDATE flashguard.reservations SET sale_id = 'other' WHERE fingerprint % 9 = 0")
    book = await removed(ledger, pages)
    await ledger.execute("SELECT pg_stat_force_next_flush()")
    before = await ledger.fetchval(INDEXES_READ)
    batches = [rows async for rows in book.remove_rows(SaleId("rush"))]
    async with pages.book.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
    read = await ledger.fetchval(INDEXES_READ) - before
    assert read < 5 * len(batches), "more than planning, which looks at each index"
    left = dict(await ledger.fetch("SELECT sale_id, count(*) FROM flashguard.reservations GROUP BY 1"))
    assert sum(batches) + left.pop("other") == ENDED + HOLDS
    assert not left
    assert max(batches) == 1_000


async def test_rows_that_a_vacuum_full_moves_under_a_prune_go_too(
    ledger: "asyncpg.Connection[asyncpg.Record]", pages: Pages
) -> None:
    """It moves rows that the prune has not met to places where it has been."""
    book = await removed(ledger, pages)
    batches = 0
    async for _ in book.remove_rows(SaleId("rush")):
        batches += 1
        if batches == ENDED / 2_000:
            await ledger.execute("VACUUM FULL flashguard.reservations")
    assert await ledger.fetchval("SELECT count(*) FROM flashguard.reservations") == 0
    assert await book.finish(SaleId("rush"))
