"""A version column: write only if the version is still the one that was read, else retry."""

import asyncio
import random

from flashguard.simulator.goods import SKU

from .base import Strategy, sql

MAX_ATTEMPTS = 200
BACK_OFF_SECONDS = 0.005


class Optimistic(Strategy):
    name = "optimistic"

    async def buy(self, customer: str) -> str | None:
        for _ in range(MAX_ATTEMPTS):
            async with self.pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(sql("read_version"), SKU)
                if row is None or row["stock"] < 1:
                    return None
                status = await connection.execute(sql("write_version"), SKU, row["stock"] - 1, row["version"])
                if status == "UPDATE 1":
                    return str(await connection.fetchval(sql("insert_order"), SKU, customer))
            await asyncio.sleep(random.uniform(0, BACK_OFF_SECONDS))
        raise TimeoutError(f"no success in {MAX_ATTEMPTS} attempts")
