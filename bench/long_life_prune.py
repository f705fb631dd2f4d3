"""What a prune costs, also the recorder beside it."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.ledger_fill import Connection
from flashguard.journal import Buy, Hold, Transition
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
CLOSED = "UPDATE flashguard.sales SET status = 'closed', closed_at = now() - interval '60 days' WHERE id = $1"


async def group_of(connection: Connection, sale: str, kind: type[Hold | Buy] = Hold, salt: str = "") -> Ask:
    """Return the statement by which a recorder writes a group of holds, or of orders."""
    now = int(time.time() * 1000)
    made: list[Transition] = [
        kind(
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


async def groups_until(connection: Connection, sale: str, done: asyncio.Event, salt: str) -> list[float]:
    """Write groups of holds until then, as a recorder would; return what each took."""
    times: list[float] = []
    while not done.is_set():
        text, args = await group_of(connection, sale, salt=f"{salt}{len(times):06}-")
        started = time.perf_counter()
        await connection.fetchrow(text, *args)
        times.append(time.perf_counter() - started)
        await asyncio.sleep(0.01)
    return times


async def prune_one(book: PruneBook, sale: str) -> tuple[int, list[float]]:
    """Prune a sale; return the rows, and what each batch took."""
    before = datetime.now(UTC) - timedelta(days=30)
    why = await book.remove(SaleId(sale), before, new_action("cli:bench", "flashguard prune"))
    assert why is None, why
    times: list[float] = []
    rows, started = 0, time.perf_counter()
    async for gone in book.remove_rows(SaleId(sale)):
        times.append(time.perf_counter() - started)
        rows += gone
        await asyncio.sleep(times[-1])
        started = time.perf_counter()
    assert await book.finish(SaleId(sale))
    return rows, times


async def pruned(
    url: str, connection: Connection, ended: Sequence[str], large: str, live: str
) -> dict[str, Any]:
    """Prune ended sales and the large one, while a recorder writes groups of another; and without it."""
    ledger = await Ledger.connect(url, connections=1, timeout=600)
    try:
        book, calm = PruneBook(ledger), asyncio.Event()
        alone = asyncio.create_task(groups_until(connection, live, calm, "a"))
        await asyncio.sleep(5)
        calm.set()
        without = await alone
        started = time.perf_counter()
        small = [await prune_one(book, sale) for sale in ended]
        seconds = time.perf_counter() - started
        await connection.execute(ENDED, large, timeout=3_600)
        await connection.execute(CLOSED, large)
        done = asyncio.Event()
        beside = asyncio.create_task(groups_until(connection, live, done, "b"))
        began = time.perf_counter()
        rows, times = await prune_one(book, large)
        took = time.perf_counter() - began
        done.set()
        tenth = max(1, len(times) // 10)
        return {
            "ended_sales": {"sales": len(small), "rows": sum(rows for rows, _ in small),
                            "ms_per_sale": round(seconds * 1000 / max(1, len(small)), 1)},
            "large_sale": {"rows": rows, "seconds": round(took, 1), "rows_per_second": round(rows / took),
                           "batches": spread(times), "first_tenth": spread(times[:tenth]),
                           "last_tenth": spread(times[-tenth:])},
            "recorder_group": {"alone": spread(without), "beside_a_prune": spread(await beside)},
        }  # fmt: skip
    finally:
        await ledger.close()
