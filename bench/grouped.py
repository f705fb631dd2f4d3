"""One process that buys from PostgreSQL alone, grouped, many calls in flight: a child of `bench.engine`."""

import asyncio
import itertools
import secrets
import time
from collections import Counter

import uvloop

from bench.children import given, tell, turns
from bench.library import MOST_LATENCIES
from bench.rivals.sql_batched_bare import Batches


class Caller:
    """Buys again and again, each time as a new customer."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._run = secrets.token_hex(3)
        self._numbers = itertools.count()
        self.clear()

    def clear(self) -> None:
        self.answers: Counter[str] = Counter()
        self.latencies_ms: list[float] = []

    async def press(self, until: float) -> None:
        while (began := time.perf_counter()) < until:
            order = await self._batches.buy(f"{self._run}-{next(self._numbers):08d}")
            self.answers["sold-out" if order is None else "granted"] += 1
            if len(self.latencies_ms) < MOST_LATENCIES:
                self.latencies_ms.append(round((time.perf_counter() - began) * 1000, 3))


async def main() -> None:
    arguments = given()
    batches = await Batches.connect(arguments["schema"])
    caller = Caller(batches)
    async for _ in turns():
        caller.clear()
        started = time.perf_counter()
        until = started + arguments["seconds"]
        await asyncio.gather(*(caller.press(until) for _ in range(arguments["in_flight"])))
        seconds = time.perf_counter() - started
        tell({"seconds": seconds, "answers": caller.answers, "latencies_ms": caller.latencies_ms})
    await batches.close()


if __name__ == "__main__":
    uvloop.run(main())
