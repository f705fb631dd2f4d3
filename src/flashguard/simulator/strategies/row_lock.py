"""`SELECT … FOR UPDATE`: correct, and all buyers queue for one row."""

from collections.abc import Sequence

from .base import BasketStrategy, sql


class RowLock(BasketStrategy):
    name = "row-lock"

    async def take(self, customer: str, wanted: Sequence[str]) -> str | None:
        async with self.pool.acquire() as connection, connection.transaction():
            # All buyers lock the rows in the same order: two that want both never wait for each other.
            stocks = [await connection.fetchval(sql("lock_stock"), name) for name in wanted]
            if min(stocks) < 1:
                return None
            for name, stock in zip(wanted, stocks, strict=True):
                await connection.execute(sql("write_stock"), name, stock - 1)
            return await self.insert_order(connection, customer, wanted)
