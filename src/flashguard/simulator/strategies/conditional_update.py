"""One conditional UPDATE per stock: holds the row's lock as briefly as SQL can."""

from collections.abc import Sequence

from .base import BasketStrategy, sql


class ConditionalUpdate(BasketStrategy):
    name = "conditional-update"

    async def take(self, customer: str, wanted: Sequence[str]) -> str | None:
        async with self.pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                order = None
                for name in wanted:
                    if await connection.execute(sql("take_unit"), name) == "UPDATE 0":
                        break
                else:
                    order = await self.insert_order(connection, customer, wanted)
            except BaseException:
                await transaction.rollback()
                raise
            await (transaction.rollback() if order is None else transaction.commit())
            return order
