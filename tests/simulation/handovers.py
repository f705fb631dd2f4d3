"""Faults of a run in which recorders come and go, and hand their partitions over."""

import asyncio
import random
from typing import TYPE_CHECKING

from tests.simulation.processes import RecorderProcess

if TYPE_CHECKING:
    from tests.simulation.shop import Shop


async def recorder_leaves(shop: "Shop", rng: random.Random) -> None:
    """A recorder hands over and ends, and another one starts in its place."""
    process = rng.choice(shop.recorders)
    if process.recorder is None or process.loop is None:
        return
    process.loop.call_soon(process.recorder.leave)
    await asyncio.sleep(rng.uniform(0.5, 6.0))
    process.kill()
    process.start()


async def recorder_joins(shop: "Shop", rng: random.Random) -> None:
    """One more recorder starts, takes its share over from the others while all record, and leaves again."""
    process = RecorderProcess(shop.world, shop.network, f"recorder-{len(shop.recorders)}", shop.settings)
    shop.recorders.append(process)
    process.start()
    await asyncio.sleep(rng.uniform(0.5, 4.0))
    if process.recorder is not None and process.loop is not None:
        process.loop.call_soon(process.recorder.leave)
        await asyncio.sleep(rng.uniform(0.5, 3.0))
    process.kill()
    shop.recorders.remove(process)
