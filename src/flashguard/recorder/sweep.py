"""What the clock does: gives ended holds back, opens and closes sales, keeps memory's sales in step."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

import asyncpg

from flashguard.kernel.kernel import Kernel, MemoryAway, MemoryBroken, Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.sql import query
from flashguard.model import SaleId, SaleStatus
from flashguard.recorder.loading import LoadRefused, drop_sale, load_sale
from flashguard.settings import Settings

log = logging.getLogger("flashguard.recorder")

SALES_PER_CALL: Final = 100
RECONCILE_SECONDS: Final = 2.0
"""How often the sales in memory are compared with those the ledger wants there."""


Suspect = Callable[[str], None]
"""Says of a partition's memory that it is wrong, and why: its recorder builds it again."""


async def sweep(
    kernel: Kernel, ledger: Ledger, settings: Settings, partitions: Mapping[int, Suspect]
) -> None:
    """Runs until cancelled. A server that is away is the partition recorders' matter: this only waits."""
    reconciled_at = 0.0
    while True:
        due = time.monotonic() - reconciled_at >= RECONCILE_SECONDS
        if due:
            reconciled_at = time.monotonic()
        for partition, suspect in list(partitions.items()):  # they come and go meanwhile
            try:
                await _expire(kernel, partition, sorted(await kernel.sales(partition)))
                if due:
                    await reconcile(kernel, ledger, partition, settings.closed_sale_hours, suspect)
            except MemoryBroken as error:
                suspect(str(error))
            except (MemoryAway, LedgerAway, LoadRefused, asyncpg.PostgresError) as error:
                log.debug("sweep of partition %d: %s", partition, error)
            except Exception:
                log.exception("sweep of partition %d", partition)
        await asyncio.sleep(settings.sweep_interval_seconds)


async def _expire(kernel: Kernel, partition: int, sales: list[SaleId]) -> None:
    for at in range(0, len(sales), SALES_PER_CALL):
        some = sales[at : at + SALES_PER_CALL]
        more = True
        while more:
            reply = await kernel.run(Verb.EXPIRE, partition, some, [(index,) for index in range(len(some))])
            more = not reply.status and any(waiting for _, waiting in reply.results)


async def reconcile(
    kernel: Kernel, ledger: Ledger, partition: int, closed_sale_hours: float, suspect: Suspect
) -> None:
    """Loads a sale whose creator died before loading it; forgets sales closed for long enough; and looks
    whether memory still has all of every other sale."""
    first = await kernel.run(Verb.VERIFY, partition, [], [])
    before = await kernel.sales(partition)
    async with ledger.connection() as connection:
        wanted = await connection.fetch(query("sales_in_memory"), partition, closed_sale_hours * 3600)
        present = await kernel.sales(partition)
        again = await kernel.run(Verb.VERIFY, partition, [], [])
        if first.status or again.status or first.epoch != again.epoch:
            return  # it is being built
        for sale in wanted:
            if sale["id"] in present:
                continue
            if sale["status"] == SaleStatus.DRAFT:
                await load_sale(kernel, connection, partition, sale)
            else:  # opening it took memory: it was there
                suspect(f"memory has forgotten sale {sale['id']}")
                return
    keep = {SaleId(sale["id"]) for sale in wanted}
    lost = await ledger.unknown_sales(before - keep)
    if lost:
        position = await ledger.position(partition)
        if (position.epoch, position.seq) >= (first.epoch, first.seq):  # else the journal restores it first
            suspect(f"the ledger has no sale {lost[0]}")
        return
    for sale_id in before - keep:
        if await drop_sale(kernel, partition, sale_id):
            log.info("sale %s is closed and done with: forgotten by memory", sale_id)
    await _verify(kernel, partition, sorted(before & keep), suspect)


async def _verify(kernel: Kernel, partition: int, sales: list[SaleId], suspect: Suspect) -> None:
    for at in range(0, len(sales), SALES_PER_CALL):
        some = sales[at : at + SALES_PER_CALL]
        reply = await kernel.run(Verb.VERIFY, partition, some, [(index,) for index in range(len(some))])
        for sale, (missing,) in zip(some, reply.results, strict=False):  # none while it recovers
            if missing:
                suspect(f"memory has lost {missing} of sale {sale}")
                return
