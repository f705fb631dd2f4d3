"""Shows what is lost either way when the ledger fell back behind memory: an operator must choose a side.

A backup or a failover may set the ledger back. Memory then has orders that the ledger does not have. A
rebuild would sell their units again, so the partition stays fenced until the operator chooses.
"""

from msgspec import Struct

from flashguard.journal import Entry, decode_sound
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Position, ReservationStatus, SaleId, Sku
from flashguard.model.pools import UNCAPPED, counters_of

from .rebuild import Memory, inspect

PAGE = 1_000
IDS_SHOWN = 10_000
"""Lost orders that are listed; there may be more."""


class ItemGap(Struct, frozen=True):
    """An item or a pool whose counters the ledger has lost track of."""

    sale: str
    sku: str
    memory: tuple[int, int, int]
    """stock, held, sold"""
    ledger: tuple[int, int, int]


class Dilemma(Struct, frozen=True):
    """What memory and the ledger each have of one partition."""

    partition: int
    why: str
    memory_epoch: int
    memory_seq: int
    ledger_epoch: int
    ledger_seq: int
    journal_entries: int
    """Entries that the ledger lacks and the journal still has."""
    items: list[ItemGap]
    lost_orders: list[str]
    """Orders that memory has and the ledger does not; only the journal's tail knows their buyers."""


async def dilemma(kernel: Kernel, ledger: Ledger, partition: int) -> Dilemma | None:
    """Return what an operator must decide about this partition; None when there is nothing to decide.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    position = await ledger.positions.get(partition)
    memory, why = await inspect(kernel, partition, position)
    if memory is not Memory.NEWER:
        return None
    head = await kernel.head(partition)
    tail = await journal_tail(kernel, partition, position, int(head["epoch"]))
    gaps: list[ItemGap] = []
    lost: list[str] = []
    for sale_id in sorted(await kernel.sales(partition)):
        stored = await ledger.sales.get(sale_id)
        known = {} if stored is None else counters_of(stored.sale.items, stored.sale.pools)
        for sku, counters in (await kernel.counters(partition, sale_id)).items():
            theirs = known.get(Sku(sku), (0, 0, 0))
            if theirs[0] == UNCAPPED:
                theirs = (counters[0], *theirs[1:])
            if counters != theirs:
                gaps.append(ItemGap(sale_id, sku, counters, theirs))
        lost += await _lost_orders(kernel, ledger, partition, sale_id, IDS_SHOWN - len(lost))
    return Dilemma(
        partition,
        why,
        int(head["epoch"]),
        int(head["seq"]),
        position.epoch,
        position.seq,
        len(tail),
        gaps,
        lost,
    )


async def _lost_orders(
    kernel: Kernel, ledger: Ledger, partition: int, sale_id: SaleId, most: int
) -> list[str]:
    lost: list[str] = []
    async for ids in kernel.confirmed_ids(partition, sale_id):
        if len(lost) >= most:
            break
        known = await ledger.reservations.recorded([(sale_id, id_) for id_ in ids])
        lost += [
            f"{sale_id}.{id_}" for id_ in ids
            if (sale_id, id_) not in known
            or known[sale_id, id_].status not in (ReservationStatus.CONFIRMED, ReservationStatus.CANCELLED)
        ]  # fmt: skip
    return lost[:most]


async def journal_tail(kernel: Kernel, partition: int, position: Position, epoch: int) -> list[Entry]:
    """Return the entries of memory's epoch after the ledger's position, up to the first gap."""
    start = position.seq + 1 if epoch == position.epoch else 1
    tail: list[Entry] = []
    while True:
        entries, broken = decode_sound(await kernel.entries(partition, epoch, start, count=PAGE))
        for entry in entries:
            if tail and not entry.follows(tail[-1].position):
                return tail
            tail.append(entry)
        if broken or len(entries) < PAGE:
            return tail
        start = tail[-1].seq + 1
