"""What the live view reads: the journal from the guard's kernel, whole sales from its shop."""

import asyncio
from typing import Final

from flashguard.guard import FlashGuard
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import RawEntry
from flashguard.live import Snapshot
from flashguard.model import Position, Sale, SaleId

SPARE_SECONDS: Final = 2.0
"""Time that a blocking read may take beyond its timeout before memory counts as away."""


class GuardSource:
    """Implements `flashguard.live.Source` with a guard."""

    def __init__(self, guard: FlashGuard) -> None:
        self._guard = guard

    def partition(self, sale: SaleId) -> int:
        return self._guard.decisions.partition(sale)

    async def head(self, partition: int) -> Position:
        async with _in_time(0):
            head = await self._guard.kernel.head(partition)
        if "epoch" not in head or "seq" not in head or "fence" in head:
            raise MemoryAway(f"partition {partition} is recovering")
        return Position(int(head["epoch"]), int(head["seq"]), head["token"])

    async def entries(self, partition: int, after: Position, *, count: int, block_ms: int) -> list[RawEntry]:
        async with _in_time(block_ms):
            return await self._guard.kernel.entries(
                partition, after.epoch, after.seq, count=count, block_ms=block_ms
            )

    async def snapshot(self, sale: SaleId) -> Snapshot | None:
        async with _in_time(0):
            found = await self._guard.shop.sale_in_memory(sale)
        return None if found is None else Snapshot(*found)

    async def last_known(self, sale: SaleId) -> Sale | None:
        stored = await self._guard.ledger.sales.get(sale)
        return None if stored is None else stored.sale


class _in_time:  # noqa: N801 reads like a sentence where it is used
    """Raises `MemoryAway` where a wait takes too long."""

    def __init__(self, block_ms: int) -> None:
        self._timeout = asyncio.timeout(block_ms / 1000 + SPARE_SECONDS)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._timeout.__aexit__(*error)  # type: ignore[arg-type]
        except TimeoutError as late:
            raise MemoryAway("no answer in time") from late
