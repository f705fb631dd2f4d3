"""A sale's reservations as a list: holds, orders, and what ended."""

import asyncio
from datetime import datetime
from typing import Final

from flashguard.engine.decisions import Decisions
from flashguard.kernel.errors import MemoryAway
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger, LedgerAway, ReservationFilter
from flashguard.model import Reservation, SaleId, from_millis
from flashguard.model.arguments import CURSOR, LIMIT, MAX_PAGE, is_cursor, is_sale, is_whole, must
from flashguard.model.shards import shard_ids
from flashguard.spread import ShardRouter

POLL_SECONDS: Final = 0.02


class SaleReservations:
    """Lists reservations as the ledger has them once it has all that memory had decided before the call: a
    hold that was answered is in the list.

    Parameters:
        timeout_seconds: how long to wait for the recorder.
    """

    def __init__(
        self,
        kernel: Kernel,
        ledger: Ledger,
        decisions: Decisions,
        spread: ShardRouter,
        timeout_seconds: float,
    ) -> None:
        self._kernel = kernel
        self._ledger = ledger
        self._decisions = decisions
        self._spread = spread
        self._timeout_seconds = timeout_seconds

    async def page(
        self,
        sale_id: SaleId,
        after: tuple[datetime, str] | None,
        limit: int,
        which: ReservationFilter,
    ) -> list[Reservation] | None:
        """Return a page of a sale's reservations, in the order of their ids; None where there is no such
        sale.

        Raises:
            MemoryAway, LedgerAway: a server does not answer, or the recorder is too far behind.
            ValueError: `after` is not a time and an id, `limit` not from 1 to 10,000, or `which` no filter.
        """
        must(
            (is_cursor(after), CURSOR),
            (is_whole(limit, 1, MAX_PAGE), LIMIT),
            (isinstance(which, ReservationFilter), "which: must be a ReservationFilter"),
        )
        if not is_sale(sale_id):
            return None
        shards = shard_ids(sale_id, await self._spread.shards_of(sale_id))
        clocks = await asyncio.gather(*map(self._all_recorded, shards))
        rows = await self._ledger.reservations.page(shards, after, limit, which, from_millis(max(clocks)))
        if not rows and await self._ledger.sales.get(sale_id) is None:
            return None
        return rows

    async def _all_recorded(self, shard: SaleId) -> int:
        """Wait until the ledger has what the shard's memory decided until now; return memory's clock in
        milliseconds."""
        partition = self._decisions.partition(shard)
        reply = await self._kernel.run(Verb.GET, partition, [shard], [(0, "")])
        if reply.status:
            raise MemoryAway(reply.status)
        deadline = asyncio.get_running_loop().time() + self._timeout_seconds
        while True:
            position = await self._ledger.positions.get(partition)
            if (position.epoch, position.seq) >= (reply.epoch, reply.seq):
                return reply.now_ms
            if asyncio.get_running_loop().time() >= deadline:
                raise LedgerAway("the recorder is behind: it has not written all holds yet")
            await asyncio.sleep(POLL_SECONDS)
