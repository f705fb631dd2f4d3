"""What the clock does: gives ended holds back, opens and closes sales, keeps memory's sales in step."""

import asyncio
import logging
import time
from typing import Final

from flashguard.kernel.kernel import Kernel, MemoryAway, Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.sql import query
from flashguard.model import SaleId
from flashguard.recorder.loading import LoadRefused, drop_sale, load_sale
from flashguard.settings import Settings

log = logging.getLogger("flashguard.recorder")

SALES_PER_CALL: Final = 100
RECONCILE_SECONDS: Final = 2.0
"""How often the sales in memory are compared with those the ledger wants there."""


async def sweep(kernel: Kernel, ledger: Ledger, settings: Settings, partitions: int) -> None:
    """Runs until cancelled. A server that is away is the partition recorders' matter: this only waits."""
    reconciled_at = 0.0
    while True:
        for partition in range(partitions):
            try:
                await _expire(kernel, partition, sorted(await kernel.sales(partition)))
            except MemoryAway as error:
                log.debug("sweep of partition %d: %s", partition, error)
        if time.monotonic() - reconciled_at >= RECONCILE_SECONDS:
            reconciled_at = time.monotonic()
            for partition in range(partitions):
                try:
                    await reconcile(kernel, ledger, partition, settings.closed_sale_hours)
                except (MemoryAway, LedgerAway, LoadRefused) as error:
                    log.debug("reconciling partition %d: %s", partition, error)
        await asyncio.sleep(settings.sweep_interval_seconds)


async def _expire(kernel: Kernel, partition: int, sales: list[SaleId]) -> None:
    for at in range(0, len(sales), SALES_PER_CALL):
        some = sales[at : at + SALES_PER_CALL]
        more = True
        while more:
            reply = await kernel.run(Verb.EXPIRE, partition, some, [(index,) for index in range(len(some))])
            more = not reply.status and any(waiting for _, waiting in reply.results)


async def reconcile(kernel: Kernel, ledger: Ledger, partition: int, closed_sale_hours: float) -> None:
    """Loads a sale whose creator died before loading it; forgets sales closed for long enough."""
    present = await kernel.sales(partition)
    async with ledger.connection() as connection:
        wanted = await connection.fetch(query("sales_in_memory"), partition, closed_sale_hours * 3600)
        for sale in wanted:
            if sale["id"] not in present:
                await load_sale(kernel, connection, partition, sale)
    keep = {SaleId(sale["id"]) for sale in wanted}
    for sale_id in present - keep:
        if await drop_sale(kernel, partition, sale_id):
            log.info("sale %s is closed and done with: forgotten by memory", sale_id)
