"""PostgreSQL alone, in batches: all clicks that arrive while one statement runs share the next one."""

import asyncio

from flashguard.kernel.coalescer import Coalescer
from flashguard.simulator.goods import SKU

from .base import Servers, Strategy, sql

MAX_BATCH = 512
MAX_QUEUE = 50_000

_Click = tuple[str, "asyncio.Future[str | None]"]


class SqlBatched(Strategy):
    name = "sql-batched"

    def __init__(self, servers: Servers) -> None:
        super().__init__(servers)
        self._coalescer: Coalescer[_Click] = Coalescer(self._send, max_batch=MAX_BATCH, max_queue=MAX_QUEUE)

    async def buy(self, customer: str) -> str | None:
        future: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._coalescer.submit((customer, future))
        return await future

    async def _send(self, batch: list[_Click]) -> None:
        try:
            async with self.pool.acquire() as connection:
                rows = await connection.fetch(sql("take_batch"), SKU, [customer for customer, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        orders = {row["place"]: str(row["id"]) for row in rows}
        for place, (_, future) in enumerate(batch, 1):
            if not future.done():
                future.set_result(orders.get(place))
