"""Buyers of the second sale who wait for its scarce item, and hold or buy the other one meanwhile."""

import asyncio
from typing import Any

from flashguard.model import Line
from tests.simulation.crowd import Work
from tests.simulation.crowd_sales import CROWD, SKUS
from tests.simulation.visitors import Visitors


class Waiters(Visitors):
    """The crowd and the visitors, and these buyers beside them."""

    def _prepare(self) -> None:
        super()._prepare()
        rng = self._rng
        self._waiters = rng.choice([0, 0, 4])
        self._count = 0

    async def run(self) -> None:
        await asyncio.gather(super().run(), *(self._queue() for _ in range(self._waiters)))

    async def _queue(self) -> None:
        """Join the list as one new customer after another, and ask for the other item meanwhile."""
        rng, (scarce, other) = self._rng, SKUS
        while not self.closing:
            self._count += 1
            customer, most = f"w{self._count}", rng.choice([1, 1, 2])
            await self._call(self._join(customer, most))
            for number in range(rng.randint(0, 3)):
                await asyncio.sleep(rng.random() * 2 * self._pause)
                lines = [Line(sku=other, quantity=rng.randint(1, 2))]
                verb = rng.choice(["hold", "buy"])
                await self._call(self._sell(verb, customer, lines, f"{customer}-{number}"))
            await self._call(self._sell("hold", customer, [Line(sku=scarce, quantity=1)], f"{customer}-a"))
            await asyncio.sleep(rng.random() * 2 * self._pause)

    def _join(self, customer: str, units: int) -> Work:
        async def work(guard: Any) -> Any:
            return await guard.waiting.join(CROWD, customer, SKUS[0], units, key=f"{customer}-waits")

        return work
