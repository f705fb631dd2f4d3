"""What an experiment of `bounded.py` runs on: the servers, a recorder that can be away, and a watch."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import Redis

from bench.plot_bounded import Curve
from flashguard import FlashGuard, Granted, Line, NewSale, Settings
from flashguard.embedded import EmbeddedServers
from flashguard.kernel.kernel import Kernel
from flashguard.ledger import Ledger
from flashguard.model import Item, MinorUnits, SaleId, Sku
from flashguard.recorder import Recorder
from flashguard.valkey.connect import connect_kernel

IN_FLIGHT: Final = 32
SAMPLE_SECONDS: Final = 0.5
UNIT: Final = [Line(Sku("unit"), 1)]

Read = Callable[[], Awaitable[float]]


class House:
    """The servers, a recorder that can be away, and the library."""

    def __init__(self, servers: EmbeddedServers, guard: FlashGuard, ledger: Ledger, settings: Settings):
        self.guard = guard
        self.ledger = ledger
        self.settings = settings
        self.memory = Redis.from_url(servers.redis_url)
        self.database_url = servers.database_url
        self._client = connect_kernel(servers.redis_url, settings)
        self._recorder: asyncio.Task[None] | None = None
        self._names = itertools.count()

    async def record(self) -> None:
        recorder = Recorder(Kernel(self._client), self.ledger, self.settings, 1)
        self._recorder = asyncio.create_task(recorder.run())

    async def stop_recording(self) -> None:
        if self._recorder is not None:
            self._recorder.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._recorder
            self._recorder = None

    async def sale(self, **more: Any) -> SaleId:
        id_ = SaleId(f"sale-{next(self._names)}")
        item = Item(
            sku=Sku("unit"), name="Unit", price_minor=MinorUnits(100), currency="EUR", stock=10_000_000
        )
        await self.guard.shop.create_sale(NewSale(name="Sale", items=(item,), id=id_, **more))
        await self.guard.shop.change(id_, "open")
        return id_

    @asynccontextmanager
    async def load(self, sale: SaleId, verb: str) -> AsyncIterator[list[int]]:
        """Hold or buy with some calls in flight; yields the numbers of grants and refusals."""
        counts, call = [0, 0], self.guard.buy if verb == "buy" else self.guard.reserve

        async def press() -> None:
            while True:
                name = f"c{next(self._names):09}"
                granted = isinstance(await call(sale, name, UNIT, key=f"key-{name}"), Granted)
                counts[not granted] += 1
                if not granted:
                    await asyncio.sleep(0.05)

        pressing = [asyncio.create_task(press()) for _ in range(IN_FLIGHT)]
        try:
            yield counts
        finally:
            for each in pressing:
                each.cancel()
            await asyncio.gather(*pressing, return_exceptions=True)

    async def bytes_of(self, *names: str) -> int:
        sizes = [await self.memory.memory_usage(name, samples=0) for name in names]
        return sum(size or 0 for size in sizes)

    async def close(self) -> None:
        await self.stop_recording()
        await self._client.aclose()
        await self.memory.aclose()


class Watch:
    """Reads values at even distances, from the start of an experiment on."""

    def __init__(self, *curves: tuple[Curve, Read]) -> None:
        self._curves = curves
        self._started = time.monotonic()

    @property
    def at(self) -> float:
        return round(time.monotonic() - self._started, 2)

    def mark(self, what: str) -> None:
        for curve, _ in self._curves:
            curve.marks.append((self.at, what))

    async def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            for curve, read in self._curves:
                curve.points.append((self.at, round(await read(), 3)))
            await asyncio.sleep(SAMPLE_SECONDS)
