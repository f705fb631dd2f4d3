"""Pools and recipes: how an item's available units follow from the pools that it draws from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .locations import counter_at
from .names import Sku
from .sale import Item, Line, LocationStock, Pool, Sale, Use

UNCAPPED: Final = 2**50
"""The stock of an item without one of its own, in memory and in the ledger."""
CAPPED_MOST: Final = 2**49
"""More than any stock of an item's own. Cancelled orders that left the stock leave an uncapped
item a little below `UNCAPPED`."""
MAX_POOLS: Final = 1_000
"""Most pools of one sale."""
MAX_USES: Final = 8
"""Most pools that one item draws from."""
MAX_USE: Final = 1_000
"""Most units of a pool that one unit of an item draws."""

Counters = Mapping[Sku, tuple[int, int, int]]
"""Stock, held and sold by sku, pool, or item and location."""


def kept_stock(item: Item) -> int:
    """Return an item's stock as memory and ledger keep it."""
    return UNCAPPED if item.stock is None else item.stock


def own_stock(item: Item, stock: int) -> int | None:
    """Return a stock that memory or ledger has of an item, as the item shows it."""
    return None if (item.uses or item.locations) and stock > CAPPED_MOST else stock


def flat_uses(uses: Iterable[Use]) -> list[Any]:
    """Return a recipe as memory and ledger keep it: pool, quantity, pool, quantity, …"""
    return [value for use in uses for value in (use.pool, use.quantity)]


def uses_from_flat(flat: Sequence[Any]) -> tuple[Use, ...]:
    """Return the recipe that memory and ledger keep flat."""
    return tuple(Use(Sku(pool), quantity) for pool, quantity in zip(flat[::2], flat[1::2], strict=True))


def drawn(items: Iterable[Item], pools: Iterable[Pool]) -> tuple[Item, ...]:
    """Return the items, each with what its pools have of it."""
    available = {pool.id: pool.available for pool in pools}
    if not available:
        return tuple(items)
    return tuple(
        msgspec.structs.replace(
            item, in_pools=max(0, min(available.get(use.pool, 0) // use.quantity for use in item.uses))
        )
        if item.uses
        else item
        for item in items
    )


def with_counters(sale: Sale, counters: Counters) -> Sale:
    """Return the sale with these counters; what they lack keeps its own."""
    replace = msgspec.structs.replace
    pools, items = [], []
    for pool in sale.pools:
        stock, held, sold = counters.get(pool.id, (pool.stock, pool.held, pool.sold))
        pools.append(replace(pool, stock=stock, held=held, sold=sold))
    for item in sale.items:
        stock, held, sold = counters.get(item.sku, (kept_stock(item), item.held, item.sold))
        own = own_stock(item, stock)
        items.append(replace(item, stock=own, held=held, sold=sold, locations=located(item, counters)))
    return replace(sale, items=drawn(items, pools), pools=tuple(pools))


def located(item: Item, counters: Counters) -> tuple[LocationStock, ...]:
    """Return an item's stock at its locations with these counters; what they lack keeps its own."""
    found = []
    for each in item.locations:
        own = (each.stock, each.held, each.sold)
        stock, held, sold = counters.get(counter_at(item.sku, each.id), own)
        found.append(LocationStock(id=each.id, stock=stock, held=held, sold=sold))
    return tuple(found)


def counters_of(items: Iterable[Item], pools: Iterable[Pool]) -> dict[Sku, tuple[int, int, int]]:
    """Return stock, held and sold of each item, pool, and item at a location."""
    found = {pool.id: (pool.stock, pool.held, pool.sold) for pool in pools}
    for item in items:
        found[item.sku] = (kept_stock(item), item.held, item.sold)
        for each in item.locations:
            found[counter_at(item.sku, each.id)] = (each.stock, each.held, each.sold)
    return found


def takes_of(lines: Iterable[Line], recipes: Mapping[Sku, Iterable[Use]]) -> dict[str, int]:
    """Return the units of each counter that these lines move, by the recipes of their items."""
    takes: dict[str, int] = {}
    for line in lines:
        takes[line.sku] = takes.get(line.sku, 0) + line.quantity
        for use in recipes.get(line.sku, ()):
            takes[use.pool] = takes.get(use.pool, 0) + use.quantity * line.quantity
    return takes
