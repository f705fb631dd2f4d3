"""What the clock does: gives ended holds back, opens and closes sales, keeps memory's sales in step."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import asyncpg

from flashguard.kernel.kernel import Kernel, MemoryAway, MemoryBroken, Verb
from flashguard.ledger import Ledger, LedgerAway
from flashguard.ledger.loading import sales_in_memory
from flashguard.ledger.unreadable import TIMES_UNREADABLE, UNREADABLE
from flashguard.model import SaleId, SaleStatus
from flashguard.settings import Settings

from .load import LoadRefused, Unloadable, drop_sale, load_sale

log = logging.getLogger("flashguard.recorder")

SALES_PER_CALL: Final = 100
REST_SECONDS: Final = 3.0
REST_SECONDS_MOST: Final = 60.0
"""How long a sale that can't be swept is left out, at first and at most."""
CALLS_PER_TURN: Final = 20
"""Script calls for the same sales before the next partition's turn; what is left comes without a pause."""
RECONCILE_SECONDS: Final = 2.0
"""How often the sales in memory are compared with those the ledger wants there."""


Suspect = Callable[[str], None]
"""Says of a partition's memory that it is wrong, and why: its recorder builds it again."""


async def sweep(
    kernel: Kernel, ledger: Ledger, settings: Settings, partitions: Mapping[int, Suspect]
) -> None:
    """Runs until cancelled. A server that is away is the partition recorders' matter: this only waits."""
    reconciled_at, resting = 0.0, Resting()
    while True:
        behind = False
        due = time.monotonic() - reconciled_at >= RECONCILE_SECONDS
        if due:
            reconciled_at = time.monotonic()
        for partition, suspect in list(partitions.items()):  # they come and go meanwhile
            try:
                sales = resting.without(partition, await kernel.sales(partition))
                behind |= await _expire(kernel, partition, sorted(sales), resting, suspect)
                if due:
                    await reconcile(kernel, ledger, partition, settings.closed_sale_hours, suspect)
            except MemoryBroken as error:
                log.warning("sweep of partition %d: %s", partition, error)
                suspect(str(error))
            except (MemoryAway, LedgerAway, LoadRefused, asyncpg.PostgresError) as error:
                log.debug("sweep of partition %d: %s", partition, error)
            except Exception:
                log.exception("sweep of partition %d", partition)
        await asyncio.sleep(0 if behind else settings.sweep_interval_seconds)


class Resting:
    """Sales that can't be swept. Each has its partition built again, and is left out of the sweep meanwhile:
    for a few seconds at first, longer each time that a rebuild did not help."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, SaleId], tuple[float, float]] = {}
        """When it is swept again, and how long it rested."""

    def without(self, partition: int, sales: Iterable[SaleId]) -> list[SaleId]:
        """Return the sales of this partition that do not rest now."""
        if not self._until:
            return list(sales)
        now = time.monotonic()
        for key, (until, seconds) in list(self._until.items()):
            if now > until + seconds + REST_SECONDS:
                del self._until[key]  # it was swept since
        return [sale for sale in sales if self._until.get((partition, sale), (0.0, 0.0))[0] <= now]

    def begin(self, partition: int, sale: SaleId, error: MemoryBroken, suspect: Suspect) -> None:
        """Have memory built again because of this sale."""
        _, before = self._until.get((partition, sale), (0.0, 0.0))
        seconds = min(REST_SECONDS_MOST, before * 2 or REST_SECONDS)
        self._until[partition, sale] = time.monotonic() + seconds, seconds
        log.log(
            logging.ERROR if before else logging.WARNING,
            "sale %s of partition %d can't be swept%s: %s; memory is built again, next try in %.0f s",
            sale, partition, ", also after a rebuild" if before else "", error, seconds,
        )  # fmt: skip
        suspect(f"memory has lost a part of sale {sale}: {error}")


async def _expire(
    kernel: Kernel, partition: int, sales: list[SaleId], resting: Resting, suspect: Suspect
) -> bool:
    """Sweep all these sales, one by one where one of them is broken; return whether there is more than one
    turn does."""
    behind = False
    for at in range(0, len(sales), SALES_PER_CALL):
        some = sales[at : at + SALES_PER_CALL]
        try:
            behind |= await _expire_some(kernel, partition, some)
        except MemoryBroken:
            for sale in some:
                try:
                    behind |= await _expire_some(kernel, partition, [sale])
                except MemoryBroken as error:
                    resting.begin(partition, sale, error, suspect)
    return behind


async def _expire_some(kernel: Kernel, partition: int, sales: list[SaleId]) -> bool:
    """Take ended holds back and serve waiting lists; return whether there is more than one turn does."""
    for _ in range(CALLS_PER_TURN):
        reply = await kernel.run(Verb.EXPIRE, partition, sales, [(index,) for index in range(len(sales))])
        sales = [sale for sale, (_, more) in zip(sales, reply.results, strict=False) if more]
        if not sales:  # none while it recovers
            return False
    return True


async def reconcile(
    kernel: Kernel, ledger: Ledger, partition: int, closed_sale_hours: float, suspect: Suspect
) -> None:
    """Loads a sale whose creator died before loading it; forgets sales closed for long enough; and looks
    whether memory still has all of every other sale."""
    first = await kernel.run(Verb.VERIFY, partition, [], [])
    before = await kernel.sales(partition)
    async with ledger.connection() as connection:
        wanted = await sales_in_memory(connection, partition, closed_sale_hours * 3600)
        present = await kernel.sales(partition)
        again = await kernel.run(Verb.VERIFY, partition, [], [])
        if first.status or again.status or first.epoch != again.epoch:
            return  # it is being built
        for sale in wanted:
            if not sale["readable"]:
                UNREADABLE.note("sale", sale["id"], TIMES_UNREADABLE)
                continue  # where memory has it, it goes on selling as before
            if sale["id"] in present or UNREADABLE.waits(sale["id"]):
                continue
            if sale["status"] == SaleStatus.DRAFT:
                with contextlib.suppress(Unloadable):
                    await load_sale(kernel, connection, partition, sale)
            else:  # opening it took memory: it was there
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
            log.info("sale %s is closed and done with: forgotten by memory", sale_id)
    items = {SaleId(sale["id"]): int(sale["items"]) for sale in wanted}
    await _verify(kernel, partition, [(id_, items[id_]) for id_ in sorted(before & keep)], suspect)


async def _verify(kernel: Kernel, partition: int, sales: list[tuple[SaleId, int]], suspect: Suspect) -> None:
    """Ask memory whether it has all keys of these sales, and so many items of each."""
    for at in range(0, len(sales), SALES_PER_CALL):
        some = [sale for sale, _ in sales[at : at + SALES_PER_CALL]]
        counts = [(index, items) for index, (_, items) in enumerate(sales[at : at + SALES_PER_CALL])]
        reply = await kernel.run(Verb.VERIFY, partition, some, counts)
        for sale, (missing,) in zip(some, reply.results, strict=False):  # none while it recovers
            if missing:
                suspect(f"memory has lost {missing} of sale {sale}")
                return
