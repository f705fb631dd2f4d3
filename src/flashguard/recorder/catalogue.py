"""Keeps memory's sales in step with the ledger: loads, unloads, and checks that none is lost."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Final

from flashguard.kernel.kernel import Kernel
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.ledger.loading import sale_to_load, sales_in_memory
from flashguard.ledger.unreadable import TIMES_UNREADABLE, UNREADABLE
from flashguard.model import SaleId, SaleStatus
from flashguard.settings import Settings

from .load import Unloadable, bury_draft, drop_sale, load_sale
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
        position = await ledger.positions.get(partition)
        is_behind = (position.epoch, position.seq) < (first.epoch, first.seq)
        for sale in wanted:
            if not sale["readable"]:
                UNREADABLE.note("sale", sale["id"], TIMES_UNREADABLE)
                continue  # where memory has it, it goes on selling as before
            if sale["id"] in present or UNREADABLE.waits(sale["id"]):
                continue
            if sale["status"] == SaleStatus.DRAFT and is_behind:
                continue  # memory may have deleted it
            if sale["status"] == SaleStatus.DRAFT:
                with contextlib.suppress(Unloadable):
                    now = await sale_to_load(connection, sale["id"])
                    if now is not None:
                        await load_sale(kernel, connection, partition, now)
            else:  # only memory opens a sale: it was there
                suspect(f"memory has forgotten sale {sale['id']}")
                return
    keep = {SaleId(sale["id"]) for sale in wanted}
    unknown = await ledger.sales.unknown(before - keep)
    lost = [sale_id for sale_id in unknown if not await bury_draft(kernel, partition, sale_id)]
    if lost:
        lost = await _still_lost(kernel, ledger, partition, lost)
        if lost:
            suspect(f"the ledger has no sale {lost[0]}")
        return
    for sale_id in before - keep - {*unknown}:
        if await drop_sale(kernel, partition, sale_id):
            log.info("partition %d: sale %s closed long ago and is no longer in memory", partition, sale_id)
    missing = await _missing(kernel, partition, sorted(before & keep))
    if missing and not await ledger.sales.unknown([missing[0]]):  # else it was a draft, deleted since
        suspect(f"memory has lost {missing[1]} of sale {missing[0]}")


async def _still_lost(kernel: Kernel, ledger: Ledger, partition: int, lost: list[SaleId]) -> list[SaleId]:
    """Return those of these sales that the ledger lacks although it has all that memory has journalled.

    The two were read one after the other: since then a sale may have been created, or deleted and created.
    """
    head = await kernel.run(Verb.VERIFY, partition, [], [])
    position = await ledger.positions.get(partition)
    if head.status or (position.epoch, position.seq) < (head.epoch, head.seq):
        return []  # the journal restores it first
    unknown = await ledger.sales.unknown(lost)
    return [sale_id for sale_id in unknown if not await bury_draft(kernel, partition, sale_id)]


async def _missing(kernel: Kernel, partition: int, sales: list[SaleId]) -> tuple[SaleId, str] | None:
    """Return the first of these sales that lacks a key or an item, and what it lacks."""
    for at in range(0, len(sales), SALES_PER_CALL):
        some = sales[at : at + SALES_PER_CALL]
        reply = await kernel.run(Verb.VERIFY, partition, some, [(index,) for index in range(len(some))])
        for sale, (missing,) in zip(some, reply.results, strict=False):  # empty while memory recovers
            if missing:
                return sale, str(missing)
    return None
