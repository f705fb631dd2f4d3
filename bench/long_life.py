"""Measures the ledger as ended sales pile up, and as one sale grows; and what a prune costs.

    .venv/bin/python -m bench.long_life --json bench/results/long_life.json --svg bench/results/long_life.svg
    .venv/bin/python -m bench.long_life --short

Each statement runs on an embedded PostgreSQL under EXPLAIN (ANALYZE, BUFFERS), twice; the second time counts.
Buffers are pages of 8 KiB, cached or not: unlike milliseconds they do not depend on the rest of the machine.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import asyncpg

from bench import ledger_fill
from bench.ledger_fill import LARGE, LARGEST, LIVE, PARTITIONS, Connection
from bench.long_life_prune import Ask, group_of, pruned
from bench.plot_long_life import plot
from flashguard.embedded.postgres import EmbeddedPostgres
from flashguard.ledger import Ledger
from flashguard.ledger.reservations import FEW
from flashguard.ledger.sql import query

LARGE_SALE = (10_000, 100_000, 1_000_000)
LARGEST_ROWS = 10_000_000
ENDED_SALES = (0, 20, 600, 7_300)
SHORT_SALE = (1_000, 10_000)
SHORT_ENDED = (0, 20, 100)
LIVE_ROWS = 1_000
LIVE_HOLDS = 200
DAY = 86_400.0
NO_FILTER = (None,) * 5
PRUNED = 100
"""Ended sales."""

Measured = dict[str, float]


async def explain(connection: Connection, text: str, args: Sequence[object]) -> Measured:
    """Run a statement twice, undo what it wrote, and return what the second run took."""
    found: Measured = {}
    for _ in range(2):
        undone = connection.transaction()
        await undone.start()
        plan = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, WAL, TIMING OFF, FORMAT JSON) {text}", *args, timeout=3_600
        )
        await undone.rollback()
        top = json.loads(plan)[0]
        root = top["Plan"]
        found = {
            "ms": round(top["Execution Time"], 3),
            "buffers": root["Shared Hit Blocks"] + root["Shared Read Blocks"],
            "rows": root["Actual Rows"],
            "wal_bytes": root.get("WAL Bytes", 0),
        }
    return found


async def of_one_sale(connection: Connection, sale: str) -> dict[str, Ask]:
    """Return the statements that are about one sale."""
    middle = await connection.fetchrow(
        "SELECT confirmed_at, id FROM flashguard.reservations WHERE sale_id = $1 AND status = 'confirmed' "
        "ORDER BY id OFFSET 100 LIMIT 1",
        sale,
    )
    assert middle is not None
    buyer = await connection.fetchval(
        "SELECT customer FROM flashguard.reservations WHERE sale_id = $1 AND id = $2", sale, middle["id"]
    )
    page = ([sale], None, "", 100)
    now = await connection.fetchval("SELECT now()")
    return {
        "orders, first page": (query("orders_page"), (*page, *NO_FILTER, True)),
        "orders, a page in between": (
            query("orders_page"), ([sale], middle["confirmed_at"], middle["id"], 100, *NO_FILTER, True)),
        "orders, newest": (query("newest_orders_page"), (*page, *NO_FILTER, True)),
        "orders of a customer": (query("orders_page"), (*page, buyer, *NO_FILTER[1:], True)),
        "reservations of a customer": (
            query("few_reservations_page"), ([sale], "", "", 100, now, buyer, None, FEW)),
        "one reservation": (query("reservation"), (sale, middle["id"])),
        "a recorder's group": await group_of(connection, sale),
        "audit: units by rows": (query("audit_items"), (sale,)),
        "audit: orders": (query("audit_orders"), (sale,)),
        "rebuild: live holds": (query("holds_to_load"), (sale,)),
        "rebuild: keys": (query("ended_to_load"), (sale,)),
        "rebuild: limits used": (query("used_to_load"), (sale,)),
        "item removed": (query("item_history"), (sale, "never sold")),
    }  # fmt: skip


def of_all_sales() -> dict[str, Ask]:
    """Return the statements that ask about all sales, most of them every second or two."""
    return {
        "rebuild: sales of a partition": (query("sales_in_memory"), (0, DAY)),
        "sales that share rooms": (query("sales_in_rooms"), ()),
        "doors to open": (query("doors_to_open"), (None, 100)),
        "shards that differ": (query("shards_that_differ"), (None, 100)),
        "transfers to complete": (query("transfers_to_complete"), (None, 1.0, 100)),
        "metrics: items on sale": (query("items_on_sale"), (100,)),
        "metrics: units out": (query("units_out"), ()),
        "metrics: payments": (query("payments_counted"), (10_000,)),
        "metrics: refunds": (query("refunds_counted"), (10_000,)),
        "payments due": (query("claim_payments"), (100, 30.0, None)),
        "refunds due": (query("claim_refunds"), (100, 30.0)),
        "list of sales": (query("sales_page"), (None, "", 100, True)),
        "doctor: durabilities": (query("doctor_durabilities"), ()),
    }


async def measured(connection: Connection, asks: dict[str, Ask]) -> dict[str, Measured]:
    return {name: await explain(connection, *ask) for name, ask in asks.items()}


async def grown(connection: Connection, sale: str, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Measure one sale as its reservations grow."""
    await ledger_fill.new_sale(connection, sale)
    found, before = [], 0
    for rows in steps:
        started = time.perf_counter()
        await ledger_fill.grow_sale(connection, sale, before, rows, LIVE_HOLDS)
        filled = round(time.perf_counter() - started, 1)
        print(f"{rows:,} reservations, filled in {filled} s", flush=True)
        asks = await of_one_sale(connection, sale)
        found.append({"reservations": rows, "statements": await measured(connection, asks)})
        before = rows
    return found


async def aged(connection: Connection, steps: Sequence[int]) -> list[dict[str, Any]]:
    """Measure one live sale as ended sales pile up."""
    await ledger_fill.new_sale(connection, LIVE)
    await ledger_fill.grow_sale(connection, LIVE, 0, LIVE_ROWS, LIVE_HOLDS)
    found, before = [], 0
    for sales in steps:
        await ledger_fill.end_sales(connection, before, sales)
        asks = of_all_sales() | await of_one_sale(connection, LIVE)
        found.append({"ended_sales": sales, "statements": await measured(connection, asks)})
        print(f"{sales:,} ended sales", flush=True)
        before = sales
    return found


async def run(folder: Path, short: bool, rows: int) -> AsyncGenerator[dict[str, Any], None]:
    """Measure, and yield what is known so far: the largest sale takes long."""
    ended, sale = (SHORT_ENDED, SHORT_SALE) if short else (ENDED_SALES, LARGE_SALE)
    async with EmbeddedPostgres(folder / "data") as postgres:
        ledger = await Ledger.connect(postgres.url)
        await ledger.migrate(PARTITIONS)
        await ledger.close()
        connection = await asyncpg.connect(postgres.url, timeout=60)
        try:
            await ledger_fill.fill_fast(connection)
            found: dict[str, Any] = {"one_sale": await grown(connection, LARGE, sale)}
            found["ended_sales"] = await aged(connection, ended)
            yield found
            await connection.execute("SET synchronous_commit = on")
            old = [f"ended-{n}" for n in range(1, min(PRUNED, ended[-1]) + 1)]
            found["prune"] = await pruned(postgres.url, old)
            yield found
            if rows:
                await connection.execute("SET synchronous_commit = off")
                found["one_sale"] += await grown(connection, LARGEST, [rows])
                yield found
        finally:
            await connection.close()


async def measure(given: argparse.Namespace) -> None:
    machine = {"environment": f"{platform.machine()}, {os.cpu_count()} cores", "partitions": PARTITIONS}
    with tempfile.TemporaryDirectory(prefix="fg-long-", dir="/tmp") as place:
        Path(place).chmod(0o755)
        async with aclosing(run(Path(place), given.short, 0 if given.short else given.rows)) as steps:
            async for found in steps:
                load = {"load_average_of_the_machine": round(os.getloadavg()[0], 1)}
                text = json.dumps(machine | load | found, indent=2)
                if given.json:
                    given.json.write_text(text + "\n")
                if given.svg:
                    given.svg.write_text(plot(found))
    print(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="few sales, in a minute")
    parser.add_argument("--rows", type=int, default=LARGEST_ROWS, help="of the largest sale; 0: without it")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--svg", type=Path)
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
