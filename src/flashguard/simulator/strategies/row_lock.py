"""`SELECT … FOR UPDATE`: correct, and all buyers queue for one row."""

from .base import SKU, Strategy, sql


class RowLock(Strategy):
    name = "row-lock"

    async def buy(self, customer: str) -> str | None:
        async with self.pool.acquire() as connection, connection.transaction():
            stock = await connection.fetchval(sql("lock_stock"), SKU)
            if stock < 1:
                return None
            await connection.execute(sql("write_stock"), SKU, stock - 1)
            return str(await connection.fetchval(sql("insert_order"), SKU, customer))
