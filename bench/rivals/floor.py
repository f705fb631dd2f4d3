"""The floor: a bare ASGI app that reads the body and coalesces one script call. It checks and stores nothing.

It shows what HTTP in Python costs without a product.
"""

import asyncio
import secrets
import sys

from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from bench.rivals.serve import serve
from flashguard.kernel.coalescer import Coalescer

STOCK = 50_000_000
MAX_BATCH = 512
MAX_QUEUE = 50_000
KEY = f"bench:{secrets.token_hex(6)}:stock"
TAKE = "return redis.call('DECRBY', KEYS[1], ARGV[1])"
HELD = b'{"status":"held"}'
JSON = [(b"content-type", b"application/json"), (b"content-length", b"17")]


class Floor:
    """Call Valkey once for all requests of a tick."""

    async def start(self) -> None:
        self.redis = Redis.from_url(sys.argv[2], protocol=2)
        self.sha = await self.redis.script_load(TAKE)
        await self.redis.set(KEY, STOCK)
        self.coalescer: Coalescer[asyncio.Future[None]] = Coalescer(
            self.send, max_batch=MAX_BATCH, max_queue=MAX_QUEUE
        )

    async def send(self, batch: list["asyncio.Future[None]"]) -> None:
        await self.redis.evalsha(self.sha, 1, KEY, len(batch))
        for future in batch:
            if not future.done():
                future.set_result(None)

    async def stop(self) -> None:
        await self.redis.unlink(KEY)
        await self.redis.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await self.start()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
        status = 200
        if scope["method"] == "POST":
            status = 201
            await receive()
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.coalescer.submit(future)
            await future
        await send({"type": "http.response.start", "status": status, "headers": JSON})
        await send({"type": "http.response.body", "body": HELD})


if __name__ == "__main__":
    serve(Floor())
