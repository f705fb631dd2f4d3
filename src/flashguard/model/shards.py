"""Spread sales: one sale over several partitions, for sales that need more than one core.

A spread sale is `spread` ordinary sales, its shards: the first has the sale's own id, the others `<id>~1`,
`<id>~2`, …, which no caller can name. Each shard has its own stock on its own partition, so every rule that
keeps a sale correct keeps each shard correct. A customer has one home shard that never changes, so limits and
idempotency stay exact.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from . import CustomerId, Item, SaleId

LARGEST_STOCK = 2**50
"""The largest stock of one shard: above the largest stock of a sale, so no shard refuses arriving units."""


def shard_id(sale: SaleId, number: int) -> SaleId:
    """Return the id of a shard; its partition follows from the id: see `model.partition_of`."""
    return SaleId(f"{sale}~{number}") if number else sale


def shard_ids(sale: SaleId, spread: int) -> list[SaleId]:
    """Return the ids of all shards, in order of their numbers."""
    return [shard_id(sale, number) for number in range(spread)]


def shard_number(shard: SaleId) -> int:
    """Return the number of a shard, from its id."""
    return int(shard.partition("~")[2] or 0)


def home_shard(customer: CustomerId, spread: int) -> int:
    """Return the number of the shard where this customer buys."""
    return zlib.crc32(customer.encode()) % spread


def split_items(items: Sequence[Item], spread: int, number: int) -> tuple[Item, ...]:
    """Return the items of a new shard: an equal share of each stock, the first shards one unit more for the
    remainder."""
    return tuple(
        msgspec.structs.replace(item, stock=item.stock // spread + (number < item.stock % spread))
        for item in items
    )


def sum_items(shards: Sequence[Sequence[Item]], in_transit: dict[str, int]) -> tuple[Item, ...]:
    """Return the items of a sale from those of its shards; units in transit between shards are available."""
    sums: dict[str, list[int]] = {}
    for items in shards:
        for item in items:
            totals = sums.setdefault(item.sku, [0, 0, 0])
            totals[0] += item.stock
            totals[1] += item.held
            totals[2] += item.sold
    return tuple(
        msgspec.structs.replace(
            item, stock=sums[item.sku][0] + max(0, in_transit.get(item.sku, 0)),
            held=sums[item.sku][1], sold=sums[item.sku][2],
        )
        for item in shards[0]
    )  # fmt: skip


def transfer_keys(id_: str) -> tuple[str, str]:
    """Return the keys of a transfer's two restocks: units leave one shard, and arrive at another."""
    return f"transfer:{id_}:out", f"transfer:{id_}:in"


def arrival(sku: str, units: int, donor: str, id_: str, fingerprint: int) -> tuple[Any, ...]:
    """Return the receiver's restock as the kernel expects it; the same whichever process completes the
    transfer."""
    return (sku, units, donor, transfer_keys(id_)[1], fingerprint, LARGEST_STOCK)
