"""Reads what memory and ledger have of a sale of the mixed load."""

import json

import asyncpg

from tests.campaign.mixed_check import SaleState
from tests.campaign.mixed_shop import Shop
from tests.campaign.up_stack import UpStack


async def read(stack: UpStack, shop: Shop, kind: str, stock: int) -> SaleState:
    """Everything that memory and ledger have of a sale."""
    sale = shop[kind].id
    seen = await shop.must("GET", f"sales/{sale}")
    audit = await shop.must("GET", f"sales/{sale}/audit")
    connection = await asyncpg.connect(stack.database_url, timeout=10)
    where = "FROM flashguard.{} WHERE split_part(sale_id, '~', 1) = $1"
    try:
        rows = await connection.fetch(
            "SELECT sale_id, id, customer, status, lines, flashguard.to_millis(created_at) AS created_ms "
            + where.format("reservations"),
            sale,
        )
        items = await connection.fetch(
            "SELECT sku, sum(stock)::bigint, sum(held)::bigint, sum(sold)::bigint "
            + where.format("items")
            + " GROUP BY sku",
            sale,
        )
        restocks = await connection.fetch(
            "SELECT key, sku, delta " + where.format("restocks") + " AND key NOT LIKE 'transfer:%'", sale
        )
        amends = await connection.fetch(
            "SELECT sale_id, id, revision, customer, lines, reason "
            + where.format("amendments")
            + " ORDER BY sale_id, id, revision, at",
            sale,
        )
        refused = await connection.fetch("SELECT id " + where.format("refusals"), sale)
        waiting = await connection.fetch(
            "SELECT id, sku, quantity "
            + where.format("waiting_list")
            + " AND state = 'waiting' AND admitted",
            sale,
        )
    finally:
        await connection.close()

    def pairs(text: str) -> tuple[tuple[str, int], ...]:
        flat = json.loads(text)
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    amended: dict[str, list[tuple[int, str, tuple[tuple[str, int], ...], str]]] = {}
    for row in amends:
        made = (row["revision"], row["customer"], pairs(row["lines"]), row["reason"])
        amended.setdefault(f"{row['sale_id']}.{row['id']}", []).append(made)
    return SaleState(
        kind=kind,
        stock=stock,
        rows={
            f"{row['sale_id']}.{row['id']}": (row["customer"], row["status"], pairs(row["lines"]))
            for row in rows
        },
        created_ms={f"{row['sale_id']}.{row['id']}": row["created_ms"] for row in rows},
        ledger={row[0]: (row[1], row[2], row[3]) for row in items},
        memory={item["sku"]: (item["stock"], item["held"], item["sold"]) for item in seen["items"]},
        restocks={row["key"]: (row["sku"], row["delta"]) for row in restocks},
        refused=tuple(row["id"] for row in refused),
        waiting={row["id"]: (row["sku"], row["quantity"]) for row in waiting},
        audit=audit,
        amends=amended,
    )


async def rebuilds(stack: UpStack) -> int:
    """Return how many rebuilds there were so far."""
    connection = await asyncpg.connect(stack.database_url, timeout=10)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM flashguard.recoveries"))
    finally:
        await connection.close()


async def partitions_of(stack: UpStack) -> int:
    """Return the number of partitions of the installation."""
    connection = await asyncpg.connect(stack.database_url, timeout=10)
    try:
        return int(await connection.fetchval("SELECT partitions FROM flashguard.installation"))
    finally:
        await connection.close()
