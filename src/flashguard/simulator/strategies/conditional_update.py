"""One conditional UPDATE: holds the row's lock as briefly as SQL can."""

from .base import SKU, Strategy, sql


class ConditionalUpdate(Strategy):
    name = "conditional-update"

    async def buy(self, customer: str) -> str | None:
        async with self.pool.acquire() as connection, connection.transaction():
            if await connection.execute(sql("take_unit"), SKU) == "UPDATE 0":
                return None
            return str(await connection.fetchval(sql("insert_order"), SKU, customer))
