"""A lock in Redis around a check in SQL: one buyer at a time, with a round trip for each step."""

import asyncio
import secrets
import time

from flashguard.simulator.strategies.base import SKU, Strategy, lua, sql

LOCK_MS = 10_000
WAIT_SECONDS = 30.0
SPIN_SECONDS = 0.005


class RedisLock(Strategy):
    name = "redis-lock"

    async def buy(self, customer: str) -> str | None:
        key, token = f"{self.prefix}lock", secrets.token_hex(8)
        deadline = time.monotonic() + WAIT_SECONDS
        while not await self.redis.set(key, token, nx=True, px=LOCK_MS):
            if time.monotonic() > deadline:
                raise TimeoutError("the lock was not free in time")
            await asyncio.sleep(SPIN_SECONDS)
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                stock = await connection.fetchval(sql("read_stock"), SKU)
                if stock < 1:
                    return None
                await connection.execute(sql("write_stock"), SKU, stock - 1)
                return str(await connection.fetchval(sql("insert_order"), SKU, customer))
        finally:
            await self.redis.eval(lua("unlock"), 1, key, token)
