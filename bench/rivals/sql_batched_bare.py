"""PostgreSQL alone, grouped, as a bare ASGI app: the least that sells durably without overselling.

It reads who buys, and answers the order's number after the commit. It has no key, no idempotency, no limit,
no holds and no validation. Requests of one event-loop turn share a statement, as do those that arrive while
one is running.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import msgspec
from starlette.types import Receive, Scope, Send

from bench.rivals.serve import serve
from flashguard.kernel.coalescer import Coalescer

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

    Connection = asyncpg.Connection[asyncpg.Record]
    Statement = PreparedStatement[asyncpg.Record]

STOCK = 50_000_000
MAX_BATCH = 512
MAX_QUEUE = 50_000
FOLDER = Path(__file__).parent
JSON = (b"content-type", b"application/json")


class Click(msgspec.Struct):
    customer: str


read_click = msgspec.json.Decoder(Click).decode
Member = tuple[str, "asyncio.Future[int | None]"]


async def connected(schema: str) -> "Connection":
    """Return a connection to PostgreSQL that uses this schema."""
    return await asyncpg.connect(
        os.environ["FLASHGUARD_DATABASE_URL"], server_settings={"search_path": schema}
    )


class Batches:
    """Sells in batches, with one connection to PostgreSQL."""

    @classmethod
    async def connect(cls, schema: str) -> "Batches":
        connection = await connected(schema)
        return cls(connection, await connection.prepare((FOLDER / "sell_batch.sql").read_text()))

    def __init__(self, connection: "Connection", sell: "Statement") -> None:
        self._connection = connection
        self._sell = sell
        self._coalescer: Coalescer[Member] = Coalescer(self._send, max_batch=MAX_BATCH, max_queue=MAX_QUEUE)

    async def close(self) -> None:
        await self._connection.close()

    async def buy(self, customer: str) -> int | None:
        """Return the order's number; None if sold out."""
        future: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._coalescer.submit((customer, future))
        return await future

    async def _send(self, batch: list[Member]) -> None:
        try:
            while batch:
                rows = await self._sell.fetch([customer for customer, _ in batch])
                if rows:
                    _settle(batch, [row[0] for row in rows])
                    return
                left = int(await self._connection.fetchval("SELECT stock FROM items"))
                if left < len(batch):
                    _settle(batch[left:], [None] * len(batch))
                    batch = batch[:left]
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)


def _settle(batch: list[Member], orders: "list[int] | list[None]") -> None:
    for (_, future), order in zip(batch, orders, strict=False):
        if not future.done():
            future.set_result(order)


class Bare:
    """The ASGI app. Any POST buys; any GET counts."""

    def __init__(self, schema: str) -> None:
        self._schema = schema

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            self._batches = await Batches.connect(self._schema)
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._batches.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        status, body = await self._buy(receive) if scope["method"] == "POST" else (200, await self._truth())
        headers = [JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _buy(self, receive: Receive) -> tuple[int, bytes]:
        order = await self._batches.buy(read_click((await receive())["body"]).customer)
        return (409, b'{"code":"sold-out"}') if order is None else (201, b'{"order":%d}' % order)

    async def _truth(self) -> bytes:
        connection = await connected(self._schema)
        orders = await connection.fetchval("SELECT count(*) FROM orders")
        stock = await connection.fetchval("SELECT stock FROM items")
        await connection.close()
        return b'{"orders":%d,"available":%d}' % (orders, stock)


async def make_tables(schema: str) -> None:
    """Make this run's own schema with its tables."""
    connection = await connected(schema)
    await connection.execute(f"CREATE SCHEMA {schema}")
    await connection.execute((FOLDER / "sell_batch_tables.sql").read_text())
    await connection.execute("INSERT INTO items VALUES ($1)", STOCK)
    await connection.close()


async def remove_tables(schema: str) -> None:
    connection = await connected(schema)
    await connection.execute(f"DROP SCHEMA {schema} CASCADE")
    await connection.close()


def create() -> Bare:
    """Return one worker's app."""
    return Bare(sys.argv[2])


if __name__ == "__main__":
    asyncio.run(make_tables(sys.argv[2]))
    try:
        serve("bench.rivals.sql_batched_bare:create", workers=int(sys.argv[3]))
    finally:
        asyncio.run(remove_tables(sys.argv[2]))
