"""Prunes sales that ended long ago: which may go, and a run that may be stopped and repeated."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct

from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.ledger.admin_log import AdminAction, new_action
from flashguard.ledger.pruning import EndedSale, PruneBook
from flashguard.model import SaleId
from flashguard.settings import Settings

KEPT_DAYS_LEAST: Final = 30
"""A sale is kept for so many days after it closed: a provider tells of a refund that failed weeks later."""
IN_MEMORY: Final = "memory still has it"


class Pruned(Struct, frozen=True):
    """A step of a run.

    Parameters:
        sale: the id of the sale's row that it is about.
        rows: rows that are gone by now, of this sale.
        is_over: nothing more is deleted of it in this run.
        why_kept: why the sale, or a part of it, stays.
    """

    sale: SaleId
    rows: int = 0
    is_over: bool = True
    why_kept: str | None = None


def kept_since(settings: Settings, now: datetime) -> datetime:
    """Return the time since which closed sales are kept in any case.

    Memory has a closed sale for a while, and messages and facts about it can be sent again.
    """
    days = max(
        KEPT_DAYS_LEAST, settings.closed_sale_hours / 24 + 1, settings.webhook_log_days, settings.fact_days
    )
    return now - timedelta(days=days)


class Pruning:
    """Removes sales that closed before a time, from the ledger; memory has let go of them.

    Parameters:
        actor: who asks for it, as the admin log says it.
    """

    def __init__(self, kernel: Kernel, ledger: Ledger, settings: Settings, actor: str) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._settings = settings
        self._book = PruneBook(ledger)
        self._actor = actor

    async def ended(self, before: datetime) -> list[EndedSale]:
        """Return the sales that closed before this time, in the order in which they may go.

        Raises:
            ValueError: it is too late a time.
            MemoryAway, LedgerAway: a server does not answer.
        """
        latest = kept_since(self._settings, datetime.now(UTC))
        if before > latest:
            raise ValueError(f"sales that closed after {latest:%Y-%m-%d %H:%M} UTC are kept in any case")
        found = await self._book.ended(before)
        in_memory: set[SaleId] = set()
        for partition in range((await self._ledger.installation()).partitions):
            in_memory |= await self._kernel.sales(partition)
        return [
            msgspec.structs.replace(sale, why_kept=IN_MEMORY)
            if sale.why_kept is None and in_memory.intersection(sale.shards)
            else sale
            for sale in found
        ]

    async def run(self, sales: Sequence[EndedSale], before: datetime) -> AsyncIterator[Pruned]:
        """Remove those of these sales that may go; first, what an earlier run left.

        Each batch is followed by a pause as long as it took: it uses half of a connection's time at most.
        """
        for shard in await self._book.unfinished():
            async for step in self._rows(shard):
                yield step
        for sale in sales:
            if sale.why_kept is not None:
                continue
            why = await self._book.remove(sale.id, before, self._action(sale, before))
            if why is not None:
                yield Pruned(sale.id, why_kept=why)
                continue
            for shard in sale.shards:
                async for step in self._rows(shard):
                    yield step

    def _action(self, sale: EndedSale, before: datetime) -> AdminAction:
        action = new_action(self._actor, "flashguard prune")
        action.about(sale.id, before=before.isoformat(), closed_at=sale.closed_at.isoformat(), sold=sale.sold)
        return action

    async def _rows(self, shard: SaleId) -> AsyncIterator[Pruned]:
        rows, began = 0, time.monotonic()
        async for gone in self._book.remove_rows(shard):
            rows += gone
            yield Pruned(shard, rows, is_over=False)
            await asyncio.sleep(time.monotonic() - began)
            began = time.monotonic()
        why = None if await self._book.finish(shard) else "a payment of it is not settled; run prune again"
        yield Pruned(shard, rows, why_kept=why)
