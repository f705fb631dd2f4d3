"""The audit: does `stock = available + held + sold` hold in memory, in the ledger and between them?

Memory is ahead of the ledger by the journal's unrecorded tail. So the ledger is read first, in one snapshot
with its position, then memory. The tail between the two positions must explain every difference.
"""

import asyncio
from typing import Final

from msgspec import Struct

from flashguard.journal import decode_entry, last_position
from flashguard.kernel.kernel import Kernel
from flashguard.kernel.results import SaleNow, read_result
from flashguard.kernel.verbs import Verb
from flashguard.ledger import Ledger
from flashguard.ledger.audit import audited_sale
from flashguard.model import SaleId, SaleStatus
from flashguard.model.locations import item_and_location
from flashguard.model.pools import CAPPED_MOST
from flashguard.recorder.fold import fold

TRIES: Final = 50
TRY_AGAIN_SECONDS: Final = 0.2
RETURN_SECONDS_MOST: Final = 60.0
"""Holds are expired every quarter of a second; one that is this overdue is a fault."""
TAIL_ENTRIES_MOST: Final = 20_000


class ItemAudit(Struct, frozen=True, kw_only=True):
    """The audit of one item, of an item at one location, or of one pool. `held` and `sold` are the ledger's;
    memory includes the journal's tail. `stock` and `available` are None for an item without a stock of its
    own."""

    sku: str
    kind: str
    location: str | None = None
    stock: int | None
    available: int | None
    held: int
    sold: int
    memory_stock: int | None
    memory_held: int | None
    memory_sold: int | None
    tail_entries: int
    returning: int
    """Units of expired holds that are not available yet."""
    returning_seconds: float
    """Time since the oldest of these holds expired."""
    oversold: int
    differences: tuple[str, ...]
    ok: bool
    in_transit: int = 0
    """Units in transit between two shards of a spread sale: counted in `stock` and `available` of the sale,
    and in no shard's."""


class SaleAudit(Struct, frozen=True, kw_only=True):
    """The audit report of one sale; `ok` only when no check found a difference."""

    sale_id: SaleId
    ok: bool
    orders: int
    refused: int
    differences: tuple[str, ...]
    items: tuple[ItemAudit, ...]
    parts: tuple["SaleAudit", ...] = ()
    """The reports of a spread sale's shards."""


async def audit_sale(kernel: Kernel, ledger: Ledger, sale: SaleId, partition: int) -> SaleAudit:
    """Return the audit of one sale, also while it sells. Waits a few seconds for a partition's rebuild.

    Raises:
        MemoryAway, LedgerAway: a server does not answer.
    """
    for _ in range(TRIES):
        recorded = await audited_sale(ledger, sale, partition)
        position, orders = recorded.position, recorded.orders
        reply = await kernel.run(Verb.GET, partition, [sale], [(0, "")])
        if reply.status or reply.epoch != position.epoch:
            await asyncio.sleep(TRY_AGAIN_SECONDS)  # fenced, or rebuilt between the two reads
            continue
        raw = await kernel.entries(partition, position.epoch, position.seq + 1, count=TAIL_ENTRIES_MOST)
        entries = [decode_entry(*entry) for entry in raw]
        tail, _, whole = last_position([e for e in entries if e.seq <= reply.seq], position)
        if whole and len(tail) == reply.seq - position.seq:
            break
        await asyncio.sleep(TRY_AGAIN_SECONDS)
    else:
        return SaleAudit(
            sale_id=sale, ok=False, orders=0, refused=0, items=(),
            differences=("memory does not settle: it is recovering, or the journal has a gap",),
        )  # fmt: skip

    now = read_result(Verb.GET, reply.results[0])
    loaded = isinstance(now, SaleNow)
    memory = now.items if isinstance(now, SaleNow) else {}
    deltas = {sku: item for (of_sale, sku), item in fold(tail)[0].items.items() if of_sale == sale}
    items = []
    for row in recorded.items:
        differences = []
        moved = deltas.get(row["sku"])
        ledger_side = (row["stock"], row["held"], row["sold"])
        expected = ledger_side if moved is None else (
            row["stock"] + moved.stock, row["held"] + moved.held, row["sold"] + moved.sold
        )  # fmt: skip
        in_memory = memory.get(row["sku"])
        if in_memory is None and loaded:
            differences.append("memory has the sale, but not this item")
        if in_memory is not None and in_memory != expected:
            differences.append(f"memory has stock/held/sold {in_memory}, ledger and journal give {expected}")
        if (row["held"], row["sold"]) != (row["held_by_rows"], row["sold_by_rows"]):
            differences.append(
                f"the ledger counts held/sold {row['held']}/{row['sold']}, its rows add up to "
                f"{row['held_by_rows']}/{row['sold_by_rows']}"
            )
        oversold = max(0, row["sold_by_rows"] - row["stock"])
        if oversold:
            differences.append(f"{oversold} units are oversold")
        late = row["returning_seconds"] or 0.0
        if row["returning"] and not tail and late > RETURN_SECONDS_MOST:
            differences.append(
                f"{row['returning']} units are in holds that expired {late:.0f} s ago; does a recorder run?"
            )
        uncapped = row["stock"] > CAPPED_MOST
        stock, held, sold = in_memory or ledger_side
        if stock - held - sold < 0:
            differences.append("available is below zero")
        items.append(
            ItemAudit(
                sku=item_and_location(row["sku"])[0],
                location=item_and_location(row["sku"])[1],
                kind=row["kind"],
                stock=None if uncapped else row["stock"],
                available=None if uncapped else row["stock"] - row["held"] - row["sold"],
                held=row["held"],
                sold=row["sold"],
                memory_stock=None if uncapped else in_memory and in_memory[0],
                memory_held=in_memory and in_memory[1],
                memory_sold=in_memory and in_memory[2],
                tail_entries=len(tail),
                returning=row["returning"],
                returning_seconds=round(late, 3) if row["returning"] else 0.0,
                oversold=oversold,
                differences=tuple(differences),
                ok=not differences,
            )
        )
    wrong = []
    if not loaded and recorded.status not in (None, SaleStatus.CLOSED):
        wrong.append("memory does not have this sale: buyers can't buy")
    if orders["broken_lines"]:
        wrong.append(f"{orders['broken_lines']} order lines name no item or no units")
    return SaleAudit(
        sale_id=sale,
        ok=not wrong and all(item.ok for item in items),
        orders=orders["orders"],
        refused=orders["refused"],
        differences=tuple(wrong),
        items=tuple(items),
    )
