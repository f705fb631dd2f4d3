"""A lock in Redis around a check in SQL: one buyer at a time, with a round trip for each step.

Buyers of one process queue, so that only one of them at a time asks Redis for the lock.
"""

import asyncio
import secrets

from flashguard.simulator.goods import SKU

from .base import Servers, Strategy, lua, sql

LOCK_MS = 10_000
WAIT_SECONDS = 30.0
SPIN_SECONDS = 0.005


class RedisLock(Strategy):
    name = "redis-lock"

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self._turn = asyncio.Lock()

    async def buy(self, customer: str) -> str | None:
        key, token = f"{self.prefix}lock", secrets.token_hex(8)
        async with asyncio.timeout(WAIT_SECONDS) as patience, self._turn:
            while True:
                if await self.redis.set(key, token, nx=True, px=LOCK_MS):
                    break
                await asyncio.sleep(SPIN_SECONDS)
            patience.reschedule(None)
            try:
                return await self._check_and_write(customer)
            finally:
                await self.redis.eval(lua("unlock"), 1, key, token)

    async def _check_and_write(self, customer: str) -> str | None:
        async with self.pool.acquire() as connection, connection.transaction():
            stock = await connection.fetchval(sql("read_stock"), SKU)
            if stock < 1:
                return None
            await connection.execute(sql("write_stock"), SKU, stock - 1)
            return str(await connection.fetchval(sql("insert_order"), SKU, customer))
