"""Spread sales: one sale over several partitions, for sales that need more than one core.

A spread sale is `spread` ordinary sales, its shards: the first has the sale's own id, the others `<id>~1`,
`<id>~2`, …, which no caller can name. Each shard has its own stock on its own partition, so every rule that
keeps a sale correct keeps each shard correct. A customer has one home shard that never changes, so limits and
idempotency stay exact.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from . import CustomerId, Item, Pool, SaleId, Sku
from .pools import UNCAPPED, Counters

Stocked = TypeVar("Stocked", Item, Pool)

LARGEST_STOCK = UNCAPPED
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


def split_stock(stocked: Sequence[Stocked], spread: int, number: int) -> tuple[Stocked, ...]:
    """Return the items or the pools of a new shard: an equal share of each stock, the first shards one unit
    more for the remainder. An item without a stock of its own has none on any shard."""
    return tuple(
        one
        if one.stock is None
        else msgspec.structs.replace(one, stock=one.stock // spread + (number < one.stock % spread))
        for one in stocked
    )


def sum_counters(shards: Iterable[Counters], in_transit: Mapping[str, int]) -> Counters:
    """Return the counters of a sale from those of its shards; units in transit between shards are
    available."""
    sums: dict[Sku, tuple[int, int, int]] = {}
    for shard in shards:
        for name, (stock, held, sold) in shard.items():
            before = sums.get(name, (max(0, in_transit.get(name, 0)), 0, 0))
            sums[name] = (before[0] + stock, before[1] + held, before[2] + sold)
    return sums


def transfer_keys(id_: str) -> tuple[str, str]:
    """Return the keys of a transfer's two restocks: units leave one shard, and arrive at another."""
    return f"transfer:{id_}:out", f"transfer:{id_}:in"


def departure(sku: str, units: int, receiver: str, id_: str, fingerprint: int) -> tuple[Any, ...]:
    """Return the donor's restock as the kernel expects it."""
    return (sku, -units, receiver, transfer_keys(id_)[0], fingerprint, LARGEST_STOCK)


def arrival(sku: str, units: int, donor: str, id_: str, fingerprint: int) -> tuple[Any, ...]:
    """Return the receiver's restock as the kernel expects it; the same whichever process completes the
    transfer."""
    return (sku, units, donor, transfer_keys(id_)[1], fingerprint, LARGEST_STOCK)


def plan(
    available: Sequence[int], needed: Sequence[int], *, exact: bool = False
) -> list[tuple[int, int, int]]:
    """Return the transfers (donor, receiver, units) that cover every need; the total must suffice.

    Parameters:
        available, needed: units by shard.
        exact: no more units than are needed; otherwise half of a donor's, as far as no other receiver needs
            them, so that the next buyers at the receiver find units too.
    """
    spare = [units - min(units, need) for units, need in zip(available, needed, strict=True)]
    extra = 0 if exact else sum(available) - sum(needed)
    moves: list[tuple[int, int, int]] = []
    for home, need in enumerate(needed):
        shortage = need - available[home]
        while shortage > 0:
            donor = max(range(len(spare)), key=spare.__getitem__)
            units = min(spare[donor], max(shortage, min(spare[donor] // 2, shortage + extra)))
            if units <= 0:
                raise AssertionError("the shards need more units than there are")
            moves.append((donor, home, units))
            spare[donor] -= units
            extra -= max(0, units - shortage)
            shortage -= units
    return moves
