"""Faults in which a part stands still for a while, and the rest goes on: rows of the ledger that another
transaction has, and a process that waits until a line of its log is written."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

from tests.simulation.servers import PARTITIONS

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

POSITION: Final = "SELECT 1 FROM flashguard.partitions WHERE partition = {} FOR NO KEY UPDATE SKIP LOCKED"
ITEMS: Final = """
SELECT 1 FROM flashguard.items WHERE sale_id IN (SELECT id FROM flashguard.sales WHERE partition = {})
FOR NO KEY UPDATE SKIP LOCKED
"""


async def locked_rows(shop: "Shop", rng: random.Random) -> None:
    """An operator leaves a transaction open that has rows which the recorder of one partition must change."""
    partition = rng.randrange(PARTITIONS)
    free = shop.postgres.hold(rng.choice([POSITION, ITEMS]).format(partition))
    shop.world.note("postgres", f"rows of partition {partition} are locked")
    await asyncio.sleep(rng.choice([0.05, 0.5, 3.0]) * rng.random())
    shop.world.note("postgres", f"rows of partition {partition} are free")
    free()


async def blocked_log(shop: "Shop", rng: random.Random) -> None:
    """What collects the logs is slow: each line stops the process that writes it."""
    shop.world.log_seconds = rng.choice([0.02, 0.2, 1.0])
    await asyncio.sleep(rng.choice([1.0, 10.0]) * rng.random())
    shop.world.log_seconds = 0.0
