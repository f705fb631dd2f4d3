"""What a prune of many ended sales costs; and a group as the recorder writes it."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.ledger_fill import Connection
from flashguard.journal import Hold, Transition
from flashguard.ledger import Ledger
from flashguard.ledger.admin_log import new_action
from flashguard.ledger.pruning import PruneBook
from flashguard.ledger.sql import query
from flashguard.model import CustomerId, ReservationId, SaleId
from flashguard.recorder.fold import arguments_of, groups_of

Ask = tuple[str, Sequence[object]]

GROUP = 100
ENDED = (
    "UPDATE flashguard.reservations SET status = 'expired', ended_at = now() "
    "WHERE sale_id = $1 AND status = 'held'"
)


async def group_of(connection: Connection, sale: str, salt: str = "") -> Ask:
    """Return the statement by which a recorder writes a group of holds."""
    now = int(time.time() * 1000)
    made: list[Transition] = [
        Hold(
            SaleId(sale),
            ReservationId(f"{salt}{n:024}"),
            ["unit", 1],
            now,
            n,
            CustomerId(f"new-{n}"),
            600_000,
        )
        for n in range(GROUP)
    ]
    position = await connection.fetchrow(query("position"), 0)
    assert position is not None
    epoch, seq, token = position
    return query("record_group"), (0, epoch, seq, token, seq + 1, "t", *arguments_of(groups_of(made)))


def spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "count": len(ordered),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 2),
        "p99_ms": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)] * 1000, 2),
    }


async def prune_one(book: PruneBook, sale: str) -> int:
    """Prune a sale; return the rows."""
    before = datetime.now(UTC) - timedelta(days=30)
    why = await book.remove(SaleId(sale), before, new_action("cli:bench", "flashguard prune"))
    assert why is None, why
    rows = 0
    started = time.perf_counter()
    async for gone in book.remove_rows(SaleId(sale)):
        rows += gone
        await asyncio.sleep(time.perf_counter() - started)
        started = time.perf_counter()
    assert await book.finish(SaleId(sale))
    return rows


async def pruned(url: str, ended: Sequence[str]) -> dict[str, Any]:
    """Prune ended sales; of large ones, see prune_command.py."""
    ledger = await Ledger.connect(url, connections=1, timeout=600)
    try:
        book, started = PruneBook(ledger), time.perf_counter()
        small = [await prune_one(book, sale) for sale in ended]
        seconds = time.perf_counter() - started
    finally:
        await ledger.close()
    return {
        "ended_sales": {
            "sales": len(small),
            "rows": sum(small),
            "ms_per_sale": round(seconds * 1000 / max(1, len(small)), 1),
        }
    }
