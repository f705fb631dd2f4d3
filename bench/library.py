"""The library without HTTP, with several calls in flight, for a time or a number of calls: a child."""

import asyncio
import itertools
import secrets
import time
from collections import Counter

import uvloop

from bench.children import given, tell, turns
from flashguard import FlashGuard, Granted, Line, Settings
from flashguard.model import Sku

UNIT = [Line(Sku("unit"), 1)]
MOST_LATENCIES = 50_000
"""Enough for percentiles, and keeps a report short."""


class Caller:
    """Make calls again and again, each by a new customer with a new key.

    Parameters:
        verb: `reserve` or `buy`.
        calls: the number of calls; None: until the time is over.
    """

    def __init__(self, guard: FlashGuard, sale: str, verb: str, calls: int | None) -> None:
        self._call = guard.buy if verb == "buy" else guard.reserve
        self._sale = sale
        self._calls = calls
        self._run = secrets.token_hex(3)
        self._numbers = itertools.count()
        self.clear()

    def clear(self) -> None:
        self.answers: Counter[str] = Counter()
        self.latencies_ms: list[float] = []

    async def press(self, until: float) -> None:
        while (began := time.perf_counter()) < until:
            number = next(self._numbers)
            if self._calls is not None and number >= self._calls:
                return
            name = f"{self._run}-{number:08d}"
            outcome = await self._call(self._sale, name, UNIT, key=f"order-attempt-{name}")
            self.answers["granted" if isinstance(outcome, Granted) else str(outcome.code)] += 1
            if len(self.latencies_ms) < MOST_LATENCIES:
                self.latencies_ms.append(round((time.perf_counter() - began) * 1000, 3))


async def main() -> None:
    arguments = given()
    async with await FlashGuard.connect(Settings()) as guard:
        caller = Caller(guard, arguments["sale"], arguments["verb"], arguments.get("calls"))
        await guard.reserve(arguments["sale"], "first", UNIT)
        async for _ in turns():
            caller.clear()
            calls, started = guard.kernel.calls, time.perf_counter()
            until = started + arguments["seconds"]
            await asyncio.gather(*(caller.press(until) for _ in range(arguments["in_flight"])))
            seconds = time.perf_counter() - started
            tell(
                {
                    "seconds": seconds, "answers": caller.answers, "latencies_ms": caller.latencies_ms,
                    "script_calls": guard.kernel.calls - calls,
                }
            )  # fmt: skip


if __name__ == "__main__":
    uvloop.run(main())
