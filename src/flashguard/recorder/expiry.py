"""Does what is due by memory's clock: expires holds, serves waiting lists, opens and ends sales."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from flashguard.kernel.errors import MemoryBroken
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.model import SaleId
from flashguard.settings import Settings

from .rounds import Suspect, one_round

log = logging.getLogger("flashguard.recorder")

NoteSale = Callable[[SaleId, int], None]
Note = Callable[[SaleId, int, bool, bool], None]
"""Told of a spread sale, or of one with a shared room: the number of its shards, and whether it has a waiting
room, and a waiting list."""

SALES_PER_CALL: Final = 100
CALLS_PER_TURN: Final = 20
"""Script calls for the same sales before the next partition's turn; the rest comes without a pause."""
SKIP_SECONDS: Final = 3.0
SKIP_SECONDS_MOST: Final = 60.0
"""How long a sale whose holds can't be expired is skipped, at first and at most."""


async def expire_holds(
    kernel: Kernel,
    settings: Settings,
    partitions: Mapping[int, Suspect],
    note_room: NoteSale,
    note_list: NoteSale,
) -> None:
    """Expire the holds of these partitions until cancelled.

    Parameters:
        note_room, note_list: told of each spread sale that has a waiting room, or a waiting list, with the
            number of its shards.
    """
    skipped = SkippedSales()

    def note(sale: SaleId, shards: int, has_room: bool, has_list: bool) -> None:
        if has_room:
            note_room(sale, shards)
        if has_list:
            note_list(sale, shards)

    async def turn(partition: int, suspect: Suspect) -> bool:
        sales = skipped.without(partition, await kernel.sales(partition))
        return await _expire(kernel, partition, sorted(sales), skipped, suspect, note)

    while True:
        behind = any(await one_round("expiry", partitions, turn))
        await asyncio.sleep(0 if behind else settings.sweep_interval_seconds)


class SkippedSales:
    """Sales whose holds can't be expired, because memory lacks a part of them.

    Memory is rebuilt because of each. Meanwhile the sale is skipped: a few seconds at first, longer each time
    that a rebuild did not help.
    """

    def __init__(self) -> None:
        self._until: dict[tuple[int, SaleId], tuple[float, float]] = {}
        """Until when each is skipped, by the monotonic clock, and for how many seconds in all."""

    def without(self, partition: int, sales: Iterable[SaleId]) -> list[SaleId]:
        """Return the sales of this partition that are not skipped now."""
        if not self._until:
            return list(sales)
        now = time.monotonic()
        for key, (until, seconds) in list(self._until.items()):
            if now > until + seconds + SKIP_SECONDS:
                del self._until[key]  # its holds have been expired since
        return [sale for sale in sales if self._until.get((partition, sale), (0.0, 0.0))[0] <= now]

    def add(self, partition: int, sale: SaleId, error: MemoryBroken, suspect: Suspect) -> None:
        """Skip this sale for a while, and have memory rebuilt because of it."""
        _, before = self._until.get((partition, sale), (0.0, 0.0))
        seconds = min(SKIP_SECONDS_MOST, before * 2 or SKIP_SECONDS)
        self._until[partition, sale] = time.monotonic() + seconds, seconds
        log.log(
            logging.ERROR if before else logging.WARNING,
            "partition %d: holds of sale %s can't be expired%s: %s; memory is rebuilt, next try in %.0f s",
            partition, sale, ", also after a rebuild" if before else "", error, seconds,
        )  # fmt: skip
        suspect(f"memory has lost a part of sale {sale}: {error}")


async def _expire(
    kernel: Kernel,
    partition: int,
    sales: list[SaleId],
    skipped: SkippedSales,
    suspect: Suspect,
    note: Note,
) -> bool:
    """Expire the holds of all these sales, one by one where one of them is broken; return whether more are
    due than one turn takes."""
    behind = False
    for at in range(0, len(sales), SALES_PER_CALL):
        some = sales[at : at + SALES_PER_CALL]
        try:
            behind |= await _expire_some(kernel, partition, some, note)
        except MemoryBroken:
            for sale in some:
                try:
                    behind |= await _expire_some(kernel, partition, [sale], note)
                except MemoryBroken as error:
                    skipped.add(partition, sale, error, suspect)
    return behind


async def _expire_some(kernel: Kernel, partition: int, sales: list[SaleId], note: Note) -> bool:
    """Expire holds and serve waiting lists; return whether more are due than one turn takes."""
    for _ in range(CALLS_PER_TURN):
        reply = await kernel.run(Verb.EXPIRE, partition, sales, [(index,) for index in range(len(sales))])
        for sale, (_, _, *spread) in zip(sales, reply.results, strict=False):
            if spread:
                note(sale, *spread)
        sales = [sale for sale, (_, more, *_) in zip(sales, reply.results, strict=False) if more]
        if not sales:  # the results are empty while memory recovers
            return False
    return True
