"""Spread sales: one sale over several partitions, for when it is hotter than one core.

Such a sale is `spread` ordinary sales, its parts: the first has the sale's own id, the others `<id>~1`,
`<id>~2`, …, which nobody outside can name. Each has its own stock on its own partition, so that all that
keeps one sale right keeps each part right. A customer's home is one part, always the same: limits and
idempotency stay exact there.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from . import CustomerId, Item, SaleId

LARGEST_STOCK = 2**50
"""Of one part: what moves there was below the most a shop may have, so no part ever refuses what arrives."""


def shard_id(sale: SaleId, number: int) -> SaleId:
    """The id of a part; its partition follows from it: see `model.partition_of`."""
    return SaleId(f"{sale}~{number}") if number else sale


def shard_ids(sale: SaleId, spread: int) -> list[SaleId]:
    """The ids of all parts, the first one first."""
    return [shard_id(sale, number) for number in range(spread)]


def shard_number(part: SaleId) -> int:
    """Which part it is, from its id."""
    return int(part.partition("~")[2] or 0)


def home_shard(customer: CustomerId, spread: int) -> int:
    """The number of the part where this customer buys."""
    return zlib.crc32(customer.encode()) % spread


def shared_out(items: Sequence[Item], spread: int, number: int) -> tuple[Item, ...]:
    """A part's items at creation: its share of each stock, as even as can be."""
    return tuple(
        msgspec.structs.replace(item, stock=item.stock // spread + (number < item.stock % spread))
        for item in items
    )


def added_up(parts: Sequence[Sequence[Item]], in_transit: dict[str, int]) -> tuple[Item, ...]:
    """The items of a sale from those of its parts; units on their way between two of them are available."""
    sums: dict[str, list[int]] = {}
    for items in parts:
        for item in items:
            of_all = sums.setdefault(item.sku, [0, 0, 0])
            of_all[0] += item.stock
            of_all[1] += item.held
            of_all[2] += item.sold
    return tuple(
        msgspec.structs.replace(
            item, stock=sums[item.sku][0] + max(0, in_transit.get(item.sku, 0)),
            held=sums[item.sku][1], sold=sums[item.sku][2],
        )
        for item in parts[0]
    )  # fmt: skip


def transfer_keys(id_: str) -> tuple[str, str]:
    """The keys of the two restocks that a transfer is: what leaves a part, and what arrives at another."""
    return f"transfer:{id_}:out", f"transfer:{id_}:in"


def arrival(sku: str, units: int, donor: str, id_: str, fingerprint: int) -> tuple[Any, ...]:
    """The restock of the receiver, as the kernel takes it; the same for everybody who completes the
    transfer."""
    return (sku, units, donor, transfer_keys(id_)[1], fingerprint, LARGEST_STOCK)
