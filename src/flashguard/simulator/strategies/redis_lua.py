"""The textbook: a script reads the stock and decrements it if it is above zero; then one INSERT per order."""

from collections.abc import Mapping

from flashguard.simulator.goods import SKU

from .base import Servers, Strategy, lua, sql


class RedisLua(Strategy):
    name = "redis-lua"

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self._take = self.redis.register_script(lua("take"))

    async def set_up(self, stocks: Mapping[str, int]) -> None:
        await self.redis.set(f"{self.prefix}stock", stocks[SKU])

    async def buy(self, customer: str) -> str | None:
        if not await self._take(keys=[f"{self.prefix}stock"]):
            return None
        async with self.pool.acquire() as connection:
            return str(await connection.fetchval(sql("insert_order"), SKU, customer))

    async def available(self) -> dict[str, int]:
        return {SKU: int(await self.redis.get(f"{self.prefix}stock") or 0)}
