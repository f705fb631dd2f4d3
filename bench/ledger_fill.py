"""Fills a ledger by SQL for `bench/long_life.py`: one large sale, and a year of ended ones."""

import asyncpg

Connection = asyncpg.Connection

PARTITIONS = 16
LARGE = "large"
LARGEST = "largest"
LIVE = "live"
SALES_PER_DAY = 20
RESERVATIONS_PER_SALE = 500
ITEMS_PER_SALE = 3
CHUNK = 250_000

SALE = """
INSERT INTO flashguard.sales (id, name, partition, status, hold_seconds, max_hold_seconds, limit_per_customer)
VALUES ($1, $1, 0, 'open', 600, 3600, 10)
"""
ITEM = """
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock)
VALUES ($1, 'unit', 1, 'Unit', 100, 'EUR', 100000000)
"""
RESERVATIONS = """
INSERT INTO flashguard.reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                     expires_at, confirmed_at, ended_at)
SELECT $1, substr(md5(n::text), 1, 24), 'customer-' || n / 2, status, '["unit", 1]', n, at, 600000,
       at + interval '10 min', CASE WHEN status = 'confirmed' THEN at END,
       CASE WHEN status <> 'held' THEN at END
FROM generate_series($2::bigint, $3::bigint) AS n
CROSS JOIN LATERAL (SELECT CASE n % 10 WHEN 0 THEN 'expired' WHEN 1 THEN 'released'
                                       ELSE 'confirmed' END AS ended,
                           now() - interval '3 hours' + n * interval '1 ms' AS at) AS e
CROSS JOIN LATERAL (SELECT CASE WHEN n <= $4 THEN 'held' ELSE ended END AS status) AS s
"""
"""Of $1 the numbers $2 to $3; the first $4 are live holds. 8 of 10 others are orders, 2 for each customer."""
COUNTERS = """
UPDATE flashguard.items i SET held = r.held, sold = r.sold
FROM (SELECT count(*) FILTER (WHERE status = 'held') AS held,
             count(*) FILTER (WHERE status = 'confirmed') AS sold
      FROM flashguard.reservations WHERE sale_id = $1) AS r WHERE i.sale_id = $1
"""
ENDED_SALES = """
INSERT INTO flashguard.sales (id, name, partition, status, hold_seconds, max_hold_seconds, created_at,
                              closed_at, rules)
SELECT 'ended-' || n, 'Ended ' || n, n % 16, 'closed', 600, 3600, closed - interval '1 day', closed,
       CASE n % 10 WHEN 0 THEN '{"room": {"of": "live"}}'::jsonb ELSE '{}' END
FROM generate_series($1::bigint, $2::bigint) AS n
CROSS JOIN LATERAL (SELECT now() - interval '400 days' + n * interval '1 day' / $3::float8 AS closed) AS c
"""
"""One of ten shared the room of another sale."""
ENDED_ITEMS = """
INSERT INTO flashguard.items (sale_id, sku, ordinal, name, price_minor, currency, stock, sold)
SELECT 'ended-' || n, 'item-' || i, i, 'Item ' || i, 100, 'EUR', 500, CASE i WHEN 1 THEN 400 ELSE 0 END
FROM generate_series($1::bigint, $2::bigint) AS n CROSS JOIN generate_series(1, $3::bigint) AS i
"""
ENDED_RESERVATIONS = """
INSERT INTO flashguard.reservations (sale_id, id, customer, status, lines, fingerprint, created_at, hold_ms,
                                     expires_at, confirmed_at, ended_at)
SELECT s.id, substr(md5(s.id || n), 1, 24), 'customer-' || n,
       CASE WHEN n <= 400 THEN 'confirmed' ELSE 'expired' END,
       '["item-1", 1]', n, at, 600000, at + interval '10 min', CASE WHEN n <= 400 THEN at END, at
FROM flashguard.sales s CROSS JOIN generate_series(1, $3::bigint) AS n
CROSS JOIN LATERAL (SELECT s.closed_at - n * interval '1 s' AS at) AS t
WHERE s.id IN (SELECT 'ended-' || e FROM generate_series($1::bigint, $2::bigint) AS e)
"""
ENDED_PAYMENTS = """
INSERT INTO flashguard.payments (id, sale_id, reservation, provider, state, amount_minor, currency, receipt,
                                 request, paid_minor, created_at, paid_at, decided_at)
SELECT 'pay_' || r.sale_id || r.id, r.sale_id, r.id, 'signed', 'order', 100, 'EUR', '', '{}', 100,
       r.created_at, r.created_at, r.created_at
FROM flashguard.reservations r
WHERE r.sale_id IN (SELECT 'ended-' || e FROM generate_series($1::bigint, $2::bigint) AS e WHERE e % 10 = 0)
  AND r.status = 'confirmed'
"""
"""One of ten sales was paid through FlashGuard."""


async def new_sale(connection: Connection, sale: str) -> None:
    await connection.execute(SALE, sale)
    await connection.execute(ITEM, sale)


async def without_indexes(connection: Connection) -> list[str]:
    """Drop the indexes of the reservations; return the statements that make them again, each in one go."""
    made = await connection.fetch(
        "SELECT indexname AS name, indexdef AS made FROM pg_indexes "
        "WHERE schemaname = 'flashguard' AND tablename = 'reservations' AND indexname <> 'reservations_pkey'"
    )
    for index in made:
        await connection.execute(f"DROP INDEX flashguard.{index['name']}")
    await connection.execute("ALTER TABLE flashguard.reservations DROP CONSTRAINT reservations_pkey")
    key = "ALTER TABLE flashguard.reservations ADD CONSTRAINT reservations_pkey PRIMARY KEY (sale_id, id)"
    return [key, *(index["made"] for index in made)]


async def grow_sale(connection: Connection, sale: str, before: int, rows: int, holds: int) -> None:
    """Let a sale grow from one number of reservations to another."""
    indexes = await without_indexes(connection)
    for first in range(before + 1, rows + 1, CHUNK):
        last = min(rows, first + CHUNK - 1)
        await connection.execute(RESERVATIONS, sale, first, last, holds, timeout=3_600)
    for index in indexes:
        await connection.execute(index, timeout=3_600)
    await connection.execute(COUNTERS, sale, timeout=3_600)
    await settle(connection)


async def end_sales(connection: Connection, before: int, sales: int) -> None:
    """Add ended sales, from one number of them to another."""
    indexes = await without_indexes(connection)
    for first in range(before + 1, sales + 1, 500):
        last = min(sales, first + 499)
        await connection.execute(ENDED_SALES, first, last, float(SALES_PER_DAY))
        await connection.execute(ENDED_ITEMS, first, last, ITEMS_PER_SALE)
        await connection.execute(ENDED_RESERVATIONS, first, last, RESERVATIONS_PER_SALE, timeout=3_600)
    for index in indexes:
        await connection.execute(index, timeout=3_600)
    await settle(connection)
    await connection.execute(ENDED_PAYMENTS, before + 1, sales, timeout=3_600)
    await settle(connection)


async def fill_fast(connection: Connection) -> None:
    """Let the filling neither wait for the disk nor write checkpoints all the time."""
    await connection.execute("ALTER SYSTEM SET max_wal_size = '8GB'")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.execute("SET synchronous_commit = off")
    await connection.execute("SET maintenance_work_mem = '512MB'")


async def settle(connection: Connection) -> None:
    """Let the planner know the tables, as autovacuum would."""
    for table in ("reservations", "items", "sales", "payments"):
        await connection.execute(f"VACUUM ANALYZE flashguard.{table}", timeout=3_600)
