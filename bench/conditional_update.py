"""One process that buys with a conditional UPDATE, one request at a time: a child of `bench.engine`."""

import os
import time
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import uvloop

from bench.children import given, tell, turns
from flashguard.simulator.strategies.base import Servers
from flashguard.simulator.strategies.conditional_update import ConditionalUpdate

NO_REDIS = cast(Any, SimpleNamespace())
"""The strategy never uses it."""


async def main() -> None:
    arguments = given()
    pool = await asyncpg.create_pool(
        os.environ["FLASHGUARD_DATABASE_URL"], min_size=1, max_size=1,
        server_settings={"search_path": arguments["schema"]},
    )  # fmt: skip
    strategy = ConditionalUpdate(Servers(pool, NO_REDIS, ""))
    await strategy.buy("first")
    async for _ in turns():
        orders, latencies_ms = 0, []
        started = time.perf_counter()
        while (began := time.perf_counter()) < started + arguments["seconds"]:
            if await strategy.buy(f"c{orders}") is not None:
                orders += 1
            latencies_ms.append(round((time.perf_counter() - began) * 1000, 3))
        seconds = time.perf_counter() - started
        tell({"seconds": seconds, "answers": {"granted": orders}, "latencies_ms": latencies_ms})
    await pool.close()


if __name__ == "__main__":
    uvloop.run(main())
