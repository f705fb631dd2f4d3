"""The audit of a spread sale: each shard by itself, then the transfers between them."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.ledger.audit import audited_transfers
from flashguard.model import Sale, SaleId
from flashguard.model.shards import shard_ids

from .audit import ItemAudit, SaleAudit, audit_sale

TRANSIT_SECONDS_MOST: Final = 60.0
"""A recorder completes the transfers of a dead process within seconds. Units in transit for longer mean a
fault."""


async def audit_spread_sale(
    kernel: Kernel, ledger: Ledger, sale: Sale, partition: Callable[[SaleId], int]
) -> SaleAudit:
    """Return one report of the audits of all shards and of the transfers between them.

    Parameters:
        partition: returns the partition of a shard.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    reports = await asyncio.gather(
        *(audit_sale(kernel, ledger, part, partition(part)) for part in shard_ids(sale.id, sale.spread))
    )
    return await audited_as_one(ledger, sale.id, list(reports))


async def audited_as_one(ledger: Ledger, sale: SaleId, reports: list[SaleAudit]) -> SaleAudit:
    """Return one report of those of the shards. Units in transit belong to the stock, and to no shard.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    transfers, arrivals = await audited_transfers(ledger, sale)
    items = []
    for of_shards in zip(*(report.items for report in reports), strict=True):
        row = transfers.get(of_shards[0].sku)
        items.append(
            _item(list(of_shards), None if row is None else (row["in_transit"], row["oldest_seconds"]))
        )
    wrong = [f"{report.sale_id}: {difference}" for report in reports for difference in report.differences]
    wrong += [
        f"{row['unequal']} transfers of {sku} arrived as another number of units than left"
        for sku, row in transfers.items()
        if row["unequal"]
    ]
    wrong += [f"{row['transfers']} transfers of {row['sku']} arrived that never left" for row in arrivals]
    return SaleAudit(
        sale_id=sale,
        ok=not wrong and all(report.ok for report in reports) and all(item.ok for item in items),
        orders=sum(report.orders for report in reports),
        refused=sum(report.refused for report in reports),
        differences=tuple(wrong),
        items=tuple(items),
        parts=tuple(reports),
    )


def _item(parts: list[ItemAudit], transit: tuple[int, float] | None) -> ItemAudit:
    units, seconds = transit or (0, 0.0)
    differences = [
        f"part {number}: {difference}" for number, part in enumerate(parts) for difference in part.differences
    ]
    if seconds > TRANSIT_SECONDS_MOST:
        differences.append(f"{units} units left a part {seconds:.0f} s ago and arrived nowhere; no recorder?")
    memory = [
        None
        if any(getattr(part, name) is None for part in parts)
        else sum(getattr(part, name) for part in parts)
        for name in ("memory_stock", "memory_held", "memory_sold")
    ]
    return msgspec.structs.replace(
        parts[0],
        stock=sum(part.stock for part in parts) + units,
        available=sum(part.available for part in parts) + units,
        held=sum(part.held for part in parts),
        sold=sum(part.sold for part in parts),
        memory_stock=memory[0], memory_held=memory[1], memory_sold=memory[2],
        tail_entries=sum(part.tail_entries for part in parts),
        returning=sum(part.returning for part in parts),
        returning_seconds=max(part.returning_seconds for part in parts),
        oversold=sum(part.oversold for part in parts),
        in_transit=units,
        differences=tuple(differences),
        ok=not differences,
    )  # fmt: skip
