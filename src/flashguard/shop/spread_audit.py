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
        *(audit_sale(kernel, ledger, shard, partition(shard)) for shard in shard_ids(sale.id, sale.spread))
    )
    return await audited_as_one(ledger, sale.id, list(reports))


async def audited_as_one(ledger: Ledger, sale: SaleId, reports: list[SaleAudit]) -> SaleAudit:
    """Return one report of those of the shards. Units in transit belong to the stock, and to no shard.

    Raises:
        LedgerAway: PostgreSQL does not answer.
    """
    transfers, arrivals = await audited_transfers(ledger, sale)
    items = []
    for shard_items in zip(*(report.items for report in reports), strict=True):
        row = transfers.get(shard_items[0].sku)
        items.append(
            _item(list(shard_items), None if row is None else (row["in_transit"], row["oldest_seconds"]))
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


def _item(shards: list[ItemAudit], transit: tuple[int, float] | None) -> ItemAudit:
    units, seconds = transit or (0, 0.0)
    differences = [
        f"shard {number}: {difference}"
        for number, shard in enumerate(shards)
        for difference in shard.differences
    ]
    if seconds > TRANSIT_SECONDS_MOST:
        differences.append(
            f"{units} units left a shard {seconds:.0f} s ago and have not arrived; does a recorder run?"
        )
    memory = [
        None
        if any(getattr(shard, name) is None for shard in shards)
        else sum(getattr(shard, name) for shard in shards)
        for name in ("memory_stock", "memory_held", "memory_sold")
    ]
    return msgspec.structs.replace(
        shards[0],
        stock=None if shards[0].stock is None else sum(shard.stock or 0 for shard in shards) + units,
        available=None if shards[0].stock is None else sum(shard.available or 0 for shard in shards) + units,
        held=sum(shard.held for shard in shards),
        sold=sum(shard.sold for shard in shards),
        memory_stock=memory[0], memory_held=memory[1], memory_sold=memory[2],
        tail_entries=sum(shard.tail_entries for shard in shards),
        returning=sum(shard.returning for shard in shards),
        returning_seconds=max(shard.returning_seconds for shard in shards),
        oversold=sum(shard.oversold for shard in shards),
        in_transit=units,
        differences=tuple(differences),
        ok=not differences,
    )  # fmt: skip
