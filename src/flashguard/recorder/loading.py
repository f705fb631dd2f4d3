"""Loads sales from the ledger into memory: the same code for a new sale and for a rebuild after a loss."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg

from flashguard.kernel import keys
from flashguard.kernel.kernel import Kernel, Verb
from flashguard.ledger.ledger import Connection
from flashguard.ledger.sql import query
from flashguard.model import SaleId, to_millis

PAGE: Final = 1_000
"""Rows of one call; keeps a script call in the low milliseconds."""
_STATUS: Final = {"held": 1, "confirmed": 2, "released": 3, "expired": 4}
"""The numbers that the kernel's records use; see scripts/lib/sales.lua."""


class LoadRefused(Exception):
    """Memory did not take the load: it is fenced by somebody else, or not there."""


async def load_sale(
    kernel: Kernel, connection: Connection, partition: int, sale: asyncpg.Record, *, fence: str = ""
) -> int:
    """Writes one sale into memory: its rules, stock, live holds, limits used and idempotency keys.

    Parameters:
        sale: a row of `sales_in_memory`.
        fence: the epoch being built; '' for a sale that is new to an open partition.

    Returns:
        how many reservations were loaded.

    Raises:
        LoadRefused: the partition is not open, or not fenced by us.
    """
    sale_id = SaleId(sale["id"])
    step = "first" if fence else "new"
    items = [
        value
        for row in await connection.fetch(query("items_of"), [sale_id])
        for value in (f"item:{row['sku']}", f"{row['stock']} {row['held']} {row['sold']}")
    ]

    async def send(
        config: list[Any], items: list[Any], records: list[Any], deadlines: list[Any], used: list[Any]
    ) -> str:
        nonlocal step
        reply = await kernel.run(
            Verb.LOAD,
            partition,
            [sale_id],
            (step, fence, config, items, records, deadlines, used),
            more_keys=(keys.sales(partition),),
        )
        if reply.status:
            raise LoadRefused(f"sale {sale_id}: memory is {reply.status}")
        if fence:
            step = "more"
        return str(reply.results[0])

    loaded = 0
    used: dict[str, int] = {}
    if fence:
        await send([], [], [], [], [])
        async for records, deadlines in _reservations(connection, sale_id, used):
            await send([], [], records, deadlines, [])
            loaded += len(records)
        flat = [value for pair in used.items() for value in pair]
        for at in range(0, len(flat), 2 * PAGE):
            await send([], [], [], [], flat[at : at + 2 * PAGE])
    for at in range(0, max(0, len(items) - 2 * PAGE), 2 * PAGE):
        await send([], items[at : at + 2 * PAGE], [], [], [])
    rest = items[(max(0, len(items) - 1) // (2 * PAGE)) * 2 * PAGE :]
    await send(_config(sale), rest, [], [], [])
    return loaded


def _config(sale: asyncpg.Record) -> list[Any]:
    starts_at, ends_at = sale["starts_at"], sale["ends_at"]
    return [
        sale["status"],
        to_millis(starts_at) if starts_at else 0,
        to_millis(ends_at) if ends_at else 0,
        sale["hold_seconds"] * 1000,
        sale["max_hold_seconds"] * 1000,
        sale["limit_per_customer"] or 0,
    ]


async def _reservations(
    connection: Connection, sale_id: SaleId, used: dict[str, int]
) -> AsyncIterator[tuple[list[Any], list[Any]]]:
    """Pages of records and deadlines; adds each customer's live and sold units to `used`."""
    restocks = await connection.fetch(query("restocks_to_load"), sale_id)
    for at in range(0, len(restocks), PAGE):
        yield (
            [
                [r["key"], "restock", r["fingerprint"], r["stock"], r["held"], r["sold"], 0]
                for r in restocks[at : at + PAGE]
            ],
            [],
        )
    after = ""
    while rows := await connection.fetch(query("reservations_to_load"), sale_id, after, PAGE):
        records: list[Any] = []
        deadlines: list[Any] = []
        for row in rows:
            status = row["status"]
            created_ms = to_millis(row["created_at"])
            head = [row["id"], _STATUS[status], row["fingerprint"], created_ms, row["hold_ms"]]
            lines = json.loads(row["lines"])
            if status == "held":
                expires_ms = to_millis(row["expires_at"])
                extensions = json.loads(row["extensions"] or "[]")
                records.append([*head, expires_ms - created_ms, row["customer"], lines, extensions])
                deadlines += (expires_ms, row["id"])
            else:
                records.append([*head, to_millis(row["ended_at"]) - created_ms, 0])
            if status in ("held", "confirmed"):
                used[row["customer"]] = used.get(row["customer"], 0) + sum(lines[1::2])
        yield records, deadlines
        after = rows[-1]["id"]


async def drop_sale(kernel: Kernel, partition: int, sale_id: SaleId, *, fence: str = "") -> bool:
    """Forgets a sale that memory need not hold; False when it still has live holds."""
    step = "drop" if fence else "unload"
    reply = await kernel.run(
        Verb.LOAD,
        partition,
        [sale_id],
        (step, fence, [], [], [], [], []),
        more_keys=(keys.sales(partition),),
    )
    if reply.status:
        raise LoadRefused(f"sale {sale_id}: memory is {reply.status}")
    return bool(reply.results[0] == "loaded")
