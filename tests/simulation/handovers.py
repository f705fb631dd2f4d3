"""Faults of a run in which recorders come and go, and hand their partitions over."""

import asyncio
import random
from typing import TYPE_CHECKING, Final

from flashguard.recorder.states import Rebuilding, work_of
from tests.simulation.processes import RecorderProcess

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

DOUBT: Final = """
UPDATE flashguard.partitions SET doubted = true WHERE partition IN (
  SELECT partition FROM flashguard.partitions WHERE partition = {} FOR UPDATE SKIP LOCKED)
RETURNING partition
"""
BEGINS_STEPS: Final = 400
BEGINS_SECONDS: Final = 0.005


async def ask_for_rebuild(shop: "Shop", first: int = 0) -> None:
    """Have the memory of the partitions from this one on built again."""
    for partition in range(first, shop.partitions):
        while not shop.servers.backends.own.query(DOUBT.format(partition)):  # a transaction has the row
            await asyncio.sleep(0.02)


async def stop_builder(shop: "Shop", rng: random.Random) -> None:
    """Wait for a rebuild to begin, then give the recorder that does it no processor: for so long that another
    one takes it over, while buyers go on; then it goes on where it was."""
    for _ in range(BEGINS_STEPS):
        await asyncio.sleep(BEGINS_SECONDS)
        partitions = shop.primary.ask("KEYS", "fg:*:partition")
        if any(shop.primary.ask("HGET", each, "builder") for each in partitions):
            break
    await asyncio.sleep(rng.choice([0.002, 0.02, 0.1]) * rng.random())
    builders = [each for each in shop.recorders if _rebuilds(each)]
    seconds = rng.uniform(2.5, 7.0)
    rng.choice(builders or shop.recorders).pause(seconds)
    if len(shop.recorders) > 1:
        await asyncio.sleep(seconds + rng.random())
    else:
        await _have_one_more(shop, seconds + rng.random(), 1.0)


def _rebuilds(process: RecorderProcess) -> bool:
    """Return whether a process rebuilds a partition."""
    recorder = process.recorder if process.is_alive else None
    return recorder is not None and any(
        isinstance(work_of(each.state), Rebuilding) for each in recorder.partitions
    )


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
    await _have_one_more(shop, rng.uniform(0.5, 4.0), rng.uniform(0.5, 3.0))


async def _have_one_more(shop: "Shop", seconds: float, leaves_seconds: float) -> None:
    process = RecorderProcess(shop.world, shop.network, f"recorder-{len(shop.recorders)}", shop.settings)
    shop.recorders.append(process)
    process.start()
    await asyncio.sleep(seconds)
    if process.recorder is not None and process.loop is not None:
        process.loop.call_soon(process.recorder.leave)
        await asyncio.sleep(leaves_seconds)
    process.kill()
    shop.recorders.remove(process)
