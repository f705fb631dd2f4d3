"""A fault of a run in which another program writes into the ledger, which only FlashGuard should do.

It takes the stock of some items for a while. Memory is not told, and goes on granting: what the ledger can't
give it refuses, and no refused grant may be called confirmed.
"""

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Final

from tests.simulation.handovers import ask_for_rebuild

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

FREE: Final = """
SELECT i.sale_id, i.sku, i.stock - i.held - i.sold
FROM flashguard.items i JOIN flashguard.sales s ON s.id = i.sale_id
WHERE i.stock > i.held + i.sold AND s.status = 'open' AND i.sale_id ~ '^(crowd|sale)' ORDER BY 1, 2
"""
LOWER: Final = """
UPDATE flashguard.items SET stock = stock - {units} WHERE (sale_id, sku) IN (
  SELECT sale_id, sku FROM flashguard.items
  WHERE sale_id = '{sale}' AND sku = '{sku}' AND stock - held - sold >= {units} FOR UPDATE SKIP LOCKED)
RETURNING 1
"""
RAISE: Final = LOWER.replace("stock - {units} WHERE", "stock + {units} WHERE").replace(
    "AND stock - held - sold >= {units} ", ""
)
REFUSED: Final = "SELECT count(*) FROM flashguard.refusals"
LOOK_SECONDS: Final = 0.005


async def edited_stock(shop: "Shop", rng: random.Random) -> None:
    """For a while another program takes what is free of some items in the ledger; then it gives all of it
    back, and an operator has memory built again. In half of the cases no recorder gets a processor once the
    ledger has refused a grant."""
    own, most, stops = shop.servers.backends.own, rng.choice([1, 2, 99]), rng.random() < 0.5
    wanted: set[tuple[str | None, str | None]] = set()
    taken: Counter[tuple[str, str]] = Counter()
    refused, until = own.query(REFUSED), shop.world.now + rng.choice([0.5, 2.0, 4.0]) * rng.random()
    while shop.world.now < until:
        for sale, sku, free in own.query(FREE):
            units = int(free or 0)
            if len(wanted) < most and rng.random() < 0.5:
                wanted.add((sale, sku))
            if (sale, sku) in wanted and own.query(LOWER.format(sale=sale, sku=sku, units=units)):
                shop.world.note("postgres", f"another program takes {units} of {sale}/{sku}")
                taken[str(sale), str(sku)] += units
        await asyncio.sleep(LOOK_SECONDS)
        if stops and own.query(REFUSED) != refused:
            stops = False
            for recorder in shop.recorders:  # as by one bad machine: nobody builds memory again for a while
                recorder.pause(rng.choice([0.01, 2.0]) * rng.random())
    for (sale, sku), units in taken.items():
        while not own.query(RAISE.format(sale=sale, sku=sku, units=units)):  # a transaction has the row
            await asyncio.sleep(0.02)
        shop.world.note("postgres", f"another program gives {units} of {sale}/{sku} back")
    await ask_for_rebuild(shop)
