"""Read, check and write without a lock: two buyers who read the same stock both get the unit."""

from collections.abc import Sequence

from .base import BasketStrategy, sql


class Naive(BasketStrategy):
    name = "naive"

    async def take(self, customer: str, wanted: Sequence[str]) -> str | None:
        async with self.pool.acquire() as connection:
            stocks = [await connection.fetchval(sql("read_stock"), name) for name in wanted]
            if min(stocks) < 1:
                return None
            for name, stock in zip(wanted, stocks, strict=True):
                await connection.execute(sql("write_stock"), name, stock - 1)
            return await self.insert_order(connection, customer, wanted)
