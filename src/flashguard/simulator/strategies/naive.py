"""Read, check and write without a lock: two buyers who read the same stock both get the unit."""

from .base import SKU, Strategy, sql


class Naive(Strategy):
    name = "naive"

    async def buy(self, customer: str) -> str | None:
        async with self.pool.acquire() as connection:
            stock = await connection.fetchval(sql("read_stock"), SKU)
            if stock < 1:
                return None
            await connection.execute(sql("write_stock"), SKU, stock - 1)
            return str(await connection.fetchval(sql("insert_order"), SKU, customer))
