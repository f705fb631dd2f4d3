"""Faults in which a part stands still for a while, and the rest goes on: rows of the ledger that another
transaction has, and a process that waits until a line of its log is written."""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

POSITION: Final = "SELECT 1 FROM flashguard.partitions WHERE partition = {} FOR NO KEY UPDATE SKIP LOCKED"
ITEMS: Final = """
SELECT 1 FROM flashguard.items WHERE sale_id IN (SELECT id FROM flashguard.sales WHERE partition = {})
FOR NO KEY UPDATE SKIP LOCKED
"""


def hold_position(shop: "Shop", partition: int) -> Callable[[], None]:
    """Lock the position of a partition in the ledger; return what frees it."""
    shop.world.note("postgres", f"the position of partition {partition} is locked")
    return shop.postgres.hold(POSITION.format(partition))


async def locked_rows(shop: "Shop", rng: random.Random) -> None:
    """An operator's transaction has rows that a recorder must change; or a job has those of each
    partition in turn."""
    times, seconds = rng.choice([(1, 0.5), (1, 3.0), (20, 0.05), (20, 0.1)])
    for _ in range(times):
        partition = rng.randrange(shop.partitions)
        free = shop.postgres.hold(rng.choice([POSITION, ITEMS]).format(partition))
        shop.world.note("postgres", f"rows of partition {partition} are locked")
        await asyncio.sleep(seconds * rng.random())
        free()
        await asyncio.sleep(seconds * rng.random())


async def blocked_log(shop: "Shop", rng: random.Random) -> None:
    """What collects the logs is slow: each line stops the process that writes it."""
    shop.world.log_seconds = rng.choice([0.02, 0.2, 1.0])
    await asyncio.sleep(rng.choice([1.0, 10.0]) * rng.random())
    shop.world.log_seconds = 0.0
