"""One row per unit, `FOR UPDATE SKIP LOCKED`: buyers take different rows and do not queue."""

from collections.abc import Mapping

from flashguard.simulator.goods import SKU

from .base import Strategy, sql


class SkipLocked(Strategy):
    name = "skip-locked"

    async def set_up(self, stocks: Mapping[str, int]) -> None:
        await self.pool.execute(sql("put_units"), SKU, stocks[SKU])

    async def buy(self, customer: str) -> str | None:
        async with self.pool.acquire() as connection, connection.transaction():
            unit = await connection.fetchval(sql("take_free_unit"), SKU)
            if unit is None:
                return None
            return str(await connection.fetchval(sql("insert_order"), SKU, customer))

    async def available(self) -> dict[str, int]:
        return {SKU: await self.pool.fetchval(sql("count_free_units"), SKU)}
