"""Faults of memory's replica: it is promoted, and lacks what the primary had last."""

import asyncio
import random
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.simulation.handovers import ask_for_rebuild
from tests.simulation.histories import LOADS
from tests.simulation.valkey import Snapshot

if TYPE_CHECKING:
    from tests.simulation.shop import Shop

PAGE: Final = re.compile(LOADS)
PATIENCE_SECONDS: Final = 3.0


async def stale_replica(shop: "Shop", rng: random.Random) -> None:
    """A replica that lags is promoted; the old primary goes on serving those who have not heard of it."""
    async with shop.failover:
        copy = _fall_behind(shop)
        await asyncio.sleep(rng.choice([0.002, 0.05, 0.5, 4.0, 4.0]) * rng.random())
        await _promote(shop, rng, copy, rng.choice([0.0, 0.02, 0.8]) * rng.random())


async def promoted_in_rebuild(shop: "Shop", rng: random.Random) -> None:
    """Memory falls back and is rebuilt; a replica that lacks a page of that is promoted, and the builder may
    go on there."""
    async with shop.failover:
        before = shop.primary.snapshot()
        await asyncio.sleep(rng.choice([0.5, 3.0]) * rng.random())
        shop.primary.cut_all("valkey falls back")
        shop.primary.restore(before)
        await ask_for_rebuild(shop)
        for _ in range(rng.randint(0, 6)):
            await _next_page(shop)
        copy = _fall_behind(shop)
        await _next_page(shop)
        await asyncio.sleep(shop.world.latency * rng.choice([2.0, 4.0]) * rng.random())
        await _promote(shop, rng, copy, 0.0)


async def _next_page(shop: "Shop") -> None:
    """Wait until memory has taken the next page of a rebuild."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await shop.primary.next_call(PAGE)


def _fall_behind(shop: "Shop") -> Snapshot:
    """Have the replica get no more writes; return what it has."""
    shop.primary.is_replicated = shop.replica.is_replicated = False
    return shop.primary.snapshot()


async def _promote(shop: "Shop", rng: random.Random, copy: Snapshot, unheard_seconds: float) -> None:
    """Promote the replica, which has this copy.

    Parameters:
        unheard_seconds: how long the old primary goes on serving.
    """
    old, new = shop.primary, shop.replica
    new.restore(copy)
    shop.invariants.promoted(old, new)
    new.is_down = False
    new.hangs_until = 0.0
    new.skew_seconds = rng.choice([0.0, 0.0, 0.2, -0.2]) * rng.random()
    shop.primary, shop.replica = new, old
    shop.world.note(new.name, "is promoted")
    await asyncio.sleep(unheard_seconds)
    old.is_down = True
    old.cut_all("demoted")
    old.refuses = b""
    await asyncio.sleep(rng.choice([0.02, 1.0]) * rng.random())
    new.is_replicated = True
