"""Keeps memory's sales in step with the ledger: loads, unloads, and checks that none is lost."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Final

from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.ledger.loading import sales_in_memory
from flashguard.ledger.unreadable import TIMES_UNREADABLE, UNREADABLE
from flashguard.model import SaleId, SaleStatus
from flashguard.settings import Settings

from .load import Unloadable, drop_sale, load_sale
from .rounds import Suspect, one_round

log = logging.getLogger("flashguard.recorder")

ROUND_SECONDS: Final = 2.0
"""How often the sales in memory are compared with those that the ledger wants there."""
SALES_PER_CALL: Final = 100


async def keep_catalogue(
    kernel: Kernel, ledger: Ledger, settings: Settings, partitions: Mapping[int, Suspect]
) -> None:
    """Compare the sales of these partitions until cancelled."""

    async def turn(partition: int, suspect: Suspect) -> None:
        await compare_sales(kernel, ledger, partition, settings.closed_sale_hours, suspect)

    while True:
        await one_round("catalogue", partitions, turn)
        await asyncio.sleep(ROUND_SECONDS)


async def compare_sales(
    kernel: Kernel, ledger: Ledger, partition: int, closed_sale_hours: float, suspect: Suspect
) -> None:
    """Load a draft that memory lacks, because its creator died before it loaded it; unload sales that closed
    long ago; and check that memory still has all of every other sale."""
    first = await kernel.run(Verb.VERIFY, partition, [], [])
    before = await kernel.sales(partition)
    async with ledger.connection() as connection:
        wanted = await sales_in_memory(connection, partition, closed_sale_hours * 3600)
        present = await kernel.sales(partition)
        again = await kernel.run(Verb.VERIFY, partition, [], [])
        if first.status or again.status or first.epoch != again.epoch:
            return  # memory is being rebuilt
        for sale in wanted:
            if not sale["readable"]:
                UNREADABLE.note("sale", sale["id"], TIMES_UNREADABLE)
                continue  # where memory has it, it goes on selling as before
            if sale["id"] in present or UNREADABLE.waits(sale["id"]):
                continue
            if sale["status"] == SaleStatus.DRAFT:
                with contextlib.suppress(Unloadable):
                    await load_sale(kernel, connection, partition, sale)
            else:  # only memory opens a sale: it was there
                suspect(f"memory has forgotten sale {sale['id']}")
                return
    keep = {SaleId(sale["id"]) for sale in wanted}
    lost = await ledger.sales.unknown(before - keep)
    if lost:
        position = await ledger.positions.get(partition)
        if (position.epoch, position.seq) >= (first.epoch, first.seq):  # else the journal restores it first
            suspect(f"the ledger has no sale {lost[0]}")
        return
    for sale_id in before - keep:
        if await drop_sale(kernel, partition, sale_id):
            log.info("partition %d: sale %s closed long ago and is no longer in memory", partition, sale_id)
    items = {SaleId(sale["id"]): int(sale["items"]) for sale in wanted}
    await _verify(kernel, partition, [(id_, items[id_]) for id_ in sorted(before & keep)], suspect)


async def _verify(kernel: Kernel, partition: int, sales: list[tuple[SaleId, int]], suspect: Suspect) -> None:
    """Check that memory has all keys of these sales, and this number of items of each."""
    for at in range(0, len(sales), SALES_PER_CALL):
        some = [sale for sale, _ in sales[at : at + SALES_PER_CALL]]
        counts = [(index, items) for index, (_, items) in enumerate(sales[at : at + SALES_PER_CALL])]
        reply = await kernel.run(Verb.VERIFY, partition, some, counts)
        for sale, (missing,) in zip(some, reply.results, strict=False):  # empty while memory recovers
            if missing:
                suspect(f"memory has lost {missing} of sale {sale}")
                return
