"""A fault that waits for its moment: units leave a shard for another one, and memory forgets it."""

import asyncio
import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.simulation.standstill import hold_position

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

DEPARTURE: Final = re.compile(rb"transfer:[\w-]+:out")
PATIENCE_SECONDS: Final = 3.0


async def lost_departure(shop: "Shop", rng: random.Random) -> None:
    """The server of one partition starts empty, just after units have left one of its shards and before the
    ledger has that. Where none leave, it is a partition at random."""
    partition = rng.randrange(shop.partitions)
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            call = await shop.primary.next_call(DEPARTURE)
            partition = int(re.findall(rb"\d+", call[3])[0])
    free = hold_position(shop, partition)
    await asyncio.sleep(rng.choice([0.01, 0.1, 1.0]) * rng.random())
    shop.primary.cut_all("a partition starts empty")
    shop.primary.restore([], f"fg:{{{partition}}}:*")
    free()
